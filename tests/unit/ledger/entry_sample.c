#include "entry_sample.h"

#include "tests/test.h"

struct arena *arena;

int arena_make(void **state)
{
    (void)state;
    arena = arena_new(ARENA_REQUEST_MAX);
    return arena ? 0 : -1;
}

int arena_clean(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

json_t *parse(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    return json;
}
