#pragma once

#include <stddef.h>

#define JOBS_THREADS_MAX 64

/**
 * Run `job(jobs, 0)` to `job(jobs, count - 1)`, each once, on as many threads as there are cores;
 * the caller's is one of them. Comes back when all are done. Where no thread can be had the caller
 * does all of it.
 *
 * Has the shape of `run_jobs` in struct policy_load_options; `context` is not used.
 *
 * Threads: any; the threads that it makes have ended when it returns, and take no signals
 */
void jobs_run(size_t count, void (*job)(void *jobs, size_t index), void *jobs, void *context);
