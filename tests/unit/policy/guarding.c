#include "guarding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time_text.h"
#include "tests/test.h"
#include "world.h"

int guard_set_up(void **state)
{
    struct guarded *guarded = calloc(1, sizeof(*guarded));

    if (guarded == NULL)
        return -1;
    world_make_folder(guarded->folder);
    guarded->arena = arena_new((size_t)16 * 1024 * 1024);
    buf_init(&guarded->said, (size_t)1024 * 1024);
    *state = guarded;
    return guarded->arena == NULL ? -1 : 0;
}

int guard_tear_down(void **state)
{
    struct guarded *guarded = *state;

    ask_release();
    policy_unref(guarded->policy);
    buf_release(&guarded->said);
    arena_free(guarded->arena);
    world_remove(guarded->folder);
    free(guarded);
    return 0;
}

int64_t guard_seconds(const char *text)
{
    int64_t time_ms;

    assert_true(time_text_parse(str_from(text), &time_ms));
    return time_ms / 1000;
}

bool guard_load_at(struct guarded *guarded, int64_t now_s)
{
    OWNED(policy_unref) struct policy *previous = guarded->policy;
    const struct policy_load_options options = { .folder = guarded->folder,
                                                 .world = &test_world,
                                                 .diagnostics = &guarded->diagnostics,
                                                 .now_s = now_s,
                                                 .previous = previous };
    struct error error = { 0 };
    bool is_loaded;

    guarded->policy = NULL;
    buf_release(&guarded->said);
    buf_init(&guarded->said, (size_t)1024 * 1024);
    diagnostics_init(&guarded->diagnostics, guarded->arena);
    is_loaded = policy_load(&options, &guarded->policy, &error);
    diagnostics_write(&guarded->diagnostics, &guarded->said);
    buf_add_byte(&guarded->said, '\0');
    return is_loaded;
}

bool guard_load(struct guarded *guarded)
{
    return guard_load_at(guarded, guard_seconds(NOW));
}

void guard_says(const struct guarded *guarded, const char *fragment)
{
    if (strstr(guarded->said.data, fragment) == NULL)
        fail_msg("expected '%s' in: %s", fragment, guarded->said.data);
}

void guard_loads(struct guarded *guarded)
{
    if (!guard_load(guarded))
        fail_msg("%s", guarded->said.data);
}

void guard_refuses(struct guarded *guarded, const char *fragment)
{
    assert_false(guard_load(guarded));
    guard_says(guarded, fragment);
}

void guard_prepare(struct guarded *guarded, const char *guardrails, const char *stages)
{
    char text[8192];

    assert_in_range(snprintf(text, sizeof(text), HEAD "%s", stages), 1, sizeof(text) - 1);
    world_write(guarded->folder, "p.yaml", text);
    assert_in_range(snprintf(text, sizeof(text), "guardrails:\n%s\n", guardrails), 1,
                    sizeof(text) - 1);
    world_write(guarded->folder, "guardrails.yaml", text);
    guard_loads(guarded);
}

void guard_allows(const struct guarded *guarded, struct asking asking)
{
    const struct answer *answer = ask(guarded->policy, &asking);

    if (!answer->is_allowed)
        fail_msg("denied at %s: %s", asking.at == NULL ? NOW : asking.at, answer->error.cause);
}

void guard_denies(const struct guarded *guarded, struct asking asking, const char *failed)
{
    const struct answer *answer = ask(guarded->policy, &asking);

    assert_false(answer->is_allowed);
    assert_int_equal(answer->error.code, ERROR_CONDITION);
    assert_string_equal(failed_names(answer), failed);
    assert_int_equal(answer->decision.grant_count, 0);
}
