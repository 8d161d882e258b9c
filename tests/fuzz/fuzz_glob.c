#include <assert.h>
#include <stdint.h>

#include "policy/glob.h"
#include "policy/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAIVE_MAX 24 /* bytes of a pattern and a value: what follows is exponential */

static bool is_wide(struct str pattern)
{
    return pattern.len > 1 && pattern.data[1] == '*';
}

/* How many bytes of a pattern its first element has. */
static size_t element_len(struct str pattern)
{
    if (pattern.data[0] == '*')
        return is_wide(pattern) ? 2 : 1;
    return pattern.data[0] == '{' ? str_find(pattern, '}') + 1 : 1;
}

/* The language of glob.h, as it reads. */
static bool fits(struct str pattern, struct str value)
{
    size_t len = pattern.len == 0 ? 0 : element_len(pattern);
    struct str rest = str_slice(pattern, len, pattern.len);
    char byte = value.len > 0 ? value.data[0] : '\0';

    if (pattern.len == 0)
        return value.len == 0;
    if (pattern.data[0] != '*' && pattern.data[0] != '{')
        return value.len > 0 && byte == pattern.data[0] &&
               fits(rest, str_slice(value, 1, value.len));
    if (fits(rest, value))
        return true;
    if (value.len == 0 || byte == '@')
        return false;
    if ((byte == '/' || byte == ':') && !(pattern.data[0] == '*' && is_wide(pattern)))
        return false;
    return fits(pattern, str_slice(value, 1, value.len));
}

static bool walks(const struct glob *glob, struct str value)
{
    struct glob_places places[2];

    glob_walk_start(glob, &places[0]);
    for (size_t i = 0; i < value.len; i++)
        if (!glob_walk_step(glob, &places[i % 2], (uint8_t)value.data[i], &places[(i + 1) % 2]))
            return false;
    return glob_walk_is_end(glob, &places[value.len % 2]);
}

static void check_value(const struct glob *glob, struct str text, struct str value)
{
    struct str captures[GLOB_CAPTURES_MAX];
    bool does_fit = glob_match(glob, value);

    if (text.len <= NAIVE_MAX && value.len <= NAIVE_MAX)
        assert(does_fit == fits(text, value));
    assert(does_fit == walks(glob, value));
    assert(does_fit == glob_capture(glob, value, captures));
    for (size_t i = 0; does_fit && i < glob->name_count; i++)
        assert(captures[i].len == 0 ||
               (captures[i].data >= value.data &&
                captures[i].data + captures[i].len <= value.data + value.len));
}

/* What fits both proves that they meet; what covers lets in all that is covered. */
static void check_pair(const struct glob *first, const struct glob *second, struct str value,
                       struct arena *arena)
{
    const char *problem;
    struct pattern a;
    struct pattern b;
    bool fits_first = glob_match(first, value);
    bool fits_second = glob_match(second, value);

    if (first->name_count > 0 || second->name_count > 0)
        return; /* '{' is itself in names */
    if (!pattern_compile(first->text, POLICY_MATCHING_GLOB, arena, &a, &problem) ||
        !pattern_compile(second->text, POLICY_MATCHING_GLOB, arena, &b, &problem))
        return;
    assert(pattern_meets(&a, &a) && pattern_is_covered(&a, &a, 1));
    assert(pattern_meets(&a, &b) == pattern_meets(&b, &a));
    assert(!fits_first || !fits_second || pattern_meets(&a, &b));
    assert(!fits_first || fits_second || !pattern_is_covered(&a, &b, 1));
    assert(!pattern_is_covered(&a, &b, 1) || pattern_meets(&a, &b));
}

/* Two patterns and a value, a line each. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct str value = { (const char *)data, size };
    const char *problem = NULL;
    struct str texts[2];
    struct glob globs[2];
    bool are_good[2];

    for (size_t i = 0; i < 2; i++) {
        (void)str_cut(value, '\n', &texts[i], &value);
        are_good[i] = glob_compile(texts[i], arena, &globs[i], &problem);
        assert(are_good[i] || problem != NULL);
        if (are_good[i])
            check_value(&globs[i], texts[i], value);
    }
    if (are_good[0] && are_good[1])
        check_pair(&globs[0], &globs[1], value, arena);
    return 0;
}
