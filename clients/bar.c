#include "clients/bar.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/variable.h"

#define WIDTH 40

static bool is_terminal(void)
{
    const char *term = variable_get("TERM");

    return isatty(STDERR_FILENO) != 0 && term != NULL && strcmp(term, "dumb") != 0;
}

void bar_show(size_t done, size_t total, void *given)
{
    static const char full[] = "########################################";
    struct bar *bar = given;
    int percent = total == 0 ? 100 : (int)(done * 100 / total);
    int filled = percent * WIDTH / 100;

    if (total < bar->total_min || (bar->is_open && percent == bar->percent) || !is_terminal())
        return;
    bar->is_open = true;
    bar->percent = percent;
    (void)fprintf(stderr, "\r%-10s [%.*s%*s] %3d%%", bar->what, filled, full, WIDTH - filled, "",
                  percent);
    (void)fflush(stderr); /* nothing depends on it */
}

void bar_end(struct bar *bar)
{
    if (!bar->is_open)
        return;
    bar->is_open = false;
    (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
}
