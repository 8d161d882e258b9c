#include "help.h"

struct arena *arena;

int make_arena(void **state)
{
    (void)state;
    arena = arena_new((size_t)8 * 1024 * 1024);
    return arena ? 0 : -1;
}

int free_arena(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}
