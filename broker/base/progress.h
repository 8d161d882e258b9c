#pragma once

/** What a step says that may have to wait. With PROGRESS_FAILED its `struct error` is set. */
enum progress {
    PROGRESS_DONE,
    PROGRESS_WAIT,
    PROGRESS_FAILED,
};

/**
 * How a step that waits is told to go on.
 *
 * Whoever makes a step wait keeps a copy and calls `wake(context)` exactly once, from any thread,
 * as its last act with the waiting object. The step is then entered again.
 */
struct waker {
    void (*wake)(void *context);
    void *context;
};
