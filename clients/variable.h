#pragma once

/**
 * A variable of our own environment; NULL where it is not set or empty.
 *
 * Threads: any; nothing in the program changes its environment.
 */
const char *variable_get(const char *name);
