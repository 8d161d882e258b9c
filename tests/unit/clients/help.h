#pragma once

#include "base/arena.h"

/** What the tests of a program take memory from: 8 MiB of it. As cmocka's group set-up. */
extern struct arena *arena;

int make_arena(void **state);
int free_arena(void **state);
