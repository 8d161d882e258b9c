#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time_text.h"
#include "policy/diff_internal.h"
#include "policy/pattern.h"
#include "policy/stage_lines.h"

/*
 * Grants of one name are compared in two ways. What they give, as their kind says it, is compared
 * by patterns: that is what guardrails look at, too. And their fields are compared as they stand,
 * since a kind says only part of what they mean: of an AWS grant the actions, not the resources.
 * There a list that gives more the more it holds (the kind names these) can be seen to shrink or to
 * grow; of all else that differs nobody can tell, so it counts as wider.
 */

#define PATTERNS_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define SHOWN_NAMES_MAX 5
#define SHOWN_BYTES_MAX 120

/* ---- lists of names ---- */

/* A grant's names, compiled. */
struct names {
    const struct str *texts;
    struct pattern *patterns;
    size_t count;
};

static bool compile(const struct str *texts, size_t count, enum policy_matching matching,
                    struct arena *arena, struct names *names)
{
    const char *problem;

    *names = (struct names){ .texts = texts, .count = count };
    names->patterns = arena_alloc_array(arena, count + 1, sizeof(*names->patterns));
    for (size_t i = 0; names->patterns != NULL && i < count; i++)
        if (!pattern_compile(texts[i], matching, arena, &names->patterns[i], &problem))
            return false;
    return names->patterns != NULL;
}

/* "s3:PutObject, s3:GetObject and 3 more" of those that the others do not have; how many. */
static size_t list_uncovered(const struct names *names, const struct names *others, struct buf *out)
{
    size_t count = 0;

    for (size_t i = 0; i < names->count; i++) {
        if (pattern_is_covered(&names->patterns[i], others->patterns, others->count))
            continue;
        if (count < SHOWN_NAMES_MAX) {
            buf_add_text(out, count > 0 ? ", " : "");
            policy_value_describe(str_slice(names->texts[i], 0, SHOWN_BYTES_MAX), out);
        }
        count++;
    }
    if (count > SHOWN_NAMES_MAX)
        buf_printf(out, " and %zu more", count - SHOWN_NAMES_MAX);
    return count;
}

/* ---- what they give ---- */

static bool read_given(const struct policy_grant *grant, struct arena *arena,
                       struct policy_given *given)
{
    const struct policy_grant_view view = { grant->name, grant->fields, grant->target,
                                            grant->ttl_s };

    *given = (struct policy_given){ 0 };
    return grant->kind->gives(&view, arena, given);
}

/* A comparison of two grants of one kind. */
struct comparison {
    const struct policy_grant *before;
    const struct policy_grant *after;
    struct diff_changes *changes;
};

static void tell(const struct comparison *comparison, enum policy_way way, const char *subject,
                 struct str sentence)
{
    struct policy_change *change =
        diff_add(comparison->changes, way, subject, "'" STR_FMT "' " STR_FMT,
                 STR_ARG(comparison->after->name), STR_ARG(sentence));

    if (change != NULL)
        change->grant = comparison->after->name;
}

/* Tell those of one side that the other one does not have. */
static void tell_names(const struct comparison *comparison, enum policy_way way,
                       const struct names *names, const struct names *others)
{
    OWNED(buf_release) struct buf list = { 0 };

    buf_init(&list, PATTERNS_BYTES_MAX);
    if (list_uncovered(names, others, &list) > 0)
        tell(comparison, way, "gives",
             arena_printf(comparison->changes->arena, "%s " STR_FMT,
                          way == POLICY_WAY_WIDER ? "now gives" : "gives no more",
                          STR_ARG(buf_str(&list))));
}

static void compare_names(const struct comparison *comparison, const struct policy_given *before,
                          const struct policy_given *after, struct arena *arena)
{
    enum policy_matching matching = comparison->after->kind->matching;
    struct names old;
    struct names new;

    if (!compile(before->names, before->name_count, matching, arena, &old) ||
        !compile(after->names, after->name_count, matching, arena, &new)) {
        comparison->changes->is_out_of_memory = true;
        return;
    }
    tell_names(comparison, POLICY_WAY_WIDER, &new, &old);
    tell_names(comparison, POLICY_WAY_NARROWER, &old, &new);
}

static bool has_text(const struct str *texts, size_t count, struct str text)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(texts[i], text))
            return true;
    return false;
}

/* Whom a credential stands for is a name, no pattern. */
static void compare_principals(const struct comparison *comparison,
                               const struct policy_given *before, const struct policy_given *after)
{
    struct diff_changes *changes = comparison->changes;

    for (size_t i = 0; i < after->principal_count; i++)
        if (!has_text(before->principals, before->principal_count, after->principals[i]))
            tell(
                comparison, POLICY_WAY_WIDER, "principal",
                arena_printf(changes->arena, "is now for " STR_FMT, STR_ARG(after->principals[i])));
    for (size_t i = 0; i < before->principal_count; i++)
        if (!has_text(after->principals, after->principal_count, before->principals[i]))
            tell(comparison, POLICY_WAY_NARROWER, "principal",
                 arena_printf(changes->arena, "is no more for " STR_FMT,
                              STR_ARG(before->principals[i])));
}

static void compare_given(const struct comparison *comparison)
{
    OWNED(arena_free) struct arena *arena = arena_new(PATTERNS_BYTES_MAX);
    struct policy_given before;
    struct policy_given after;

    if (comparison->after->kind->gives == NULL)
        return;
    if (arena == NULL || !read_given(comparison->before, arena, &before) ||
        !read_given(comparison->after, arena, &after)) {
        comparison->changes->is_out_of_memory = true;
        return;
    }
    if (after.is_everything && !before.is_everything)
        tell(comparison, POLICY_WAY_WIDER, "gives", STR("gives what it cannot say: maybe all"));
    else if (before.is_everything && !after.is_everything)
        tell(comparison, POLICY_WAY_NARROWER, "gives", STR("now says what it gives"));
    else if (!before.is_everything)
        compare_names(comparison, &before, &after, arena);
    compare_principals(comparison, &before, &after);
}

/* ---- fields ---- */

enum relation {
    IS_SAME,
    IS_LESS,
    IS_MORE,
    IS_OTHER,
};

static bool is_listed(const char *const *names, const char *name)
{
    for (size_t i = 0; names != NULL && name != NULL && names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static enum relation join(enum relation a, enum relation b)
{
    if (a == IS_SAME || a == b)
        return b;
    return b == IS_SAME ? a : IS_OTHER;
}

/*
 * In AWS's fields '*' and '?' are wildcards everywhere, but case counts where they are no actions.
 * So a capital letter is written as another character, one of private use.
 */
static struct str keep_case(struct str text, struct arena *arena)
{
    OWNED(buf_release) struct buf buf = { 0 };

    buf_init(&buf, 4 * text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.data[i];

        if (byte >= 'A' && byte <= 'Z') {
            buf_add_text(&buf, "\xee\x84");
            byte = (uint8_t)(0x80 + (byte - 'A'));
        }
        buf_add_byte(&buf, byte);
    }
    return arena_copy(arena, buf_str(&buf));
}

static bool covers(struct str wide, struct str narrow)
{
    OWNED(arena_free) struct arena *arena = arena_new(PATTERNS_BYTES_MAX);
    struct str texts[2];
    struct names names;

    if (arena == NULL)
        return false;
    texts[0] = keep_case(wide, arena);
    texts[1] = keep_case(narrow, arena);
    return compile(texts, 2, POLICY_MATCHING_AWS, arena, &names) &&
           pattern_is_covered(&names.patterns[1], &names.patterns[0], 1);
}

static enum relation relate_texts(const struct policy_grant_kind *kind, const json_t *before,
                                  const json_t *after)
{
    if (kind->matching != POLICY_MATCHING_AWS || !json_is_string(before) || !json_is_string(after))
        return IS_OTHER;
    if (covers(json_str(before), json_str(after)))
        return IS_LESS;
    return covers(json_str(after), json_str(before)) ? IS_MORE : IS_OTHER;
}

static enum relation relate(const struct policy_grant_kind *kind, const char *name,
                            const json_t *before, const json_t *after);

static const json_t *item_at(const json_t *list, size_t index)
{
    return json_is_array(list) ? json_array_get(list, index) : list;
}

static size_t item_count(const json_t *list)
{
    return json_is_array(list) ? json_array_size(list) : 1;
}

/* Whether all of a list is in another one, as it is or as less than it. */
static bool is_within(const struct policy_grant_kind *kind, const json_t *list, const json_t *of)
{
    for (size_t i = 0; i < item_count(list); i++) {
        bool is_found = false;

        for (size_t k = 0; !is_found && k < item_count(of); k++) {
            enum relation relation = relate(kind, NULL, item_at(of, k), item_at(list, i));

            is_found = relation == IS_SAME || relation == IS_LESS;
        }
        if (!is_found)
            return false;
    }
    return true;
}

static enum relation relate_lists(const struct policy_grant_kind *kind, const json_t *before,
                                  const json_t *after)
{
    bool is_less = is_within(kind, after, before);
    bool is_more = is_within(kind, before, after);

    if (is_less && is_more)
        return IS_SAME;
    if (is_less)
        return IS_LESS;
    return is_more ? IS_MORE : IS_OTHER;
}

static enum relation relate_maps(const struct policy_grant_kind *kind, const json_t *before,
                                 const json_t *after)
{
    enum relation relation = IS_SAME;
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(before), name, value)
        relation = join(relation, relate(kind, name, value, json_object_get(after, name)));
    json_object_foreach (json_iterable(after), name, value)
        if (json_object_get(before, name) == NULL)
            relation = IS_OTHER;
    return relation;
}

/* How a value has changed; NULL: it is not there. As deep as the document. */
static enum relation relate(const struct policy_grant_kind *kind, const char *name,
                            const json_t *before, const json_t *after)
{
    if (before == NULL || after == NULL)
        return IS_OTHER;
    if (json_equal(before, after))
        return IS_SAME;
    if (is_listed(kind->lists_that_give, name))
        return relate_lists(kind, before, after);
    if (json_is_object(before) && json_is_object(after))
        return relate_maps(kind, before, after);
    return name == NULL ? relate_texts(kind, before, after) : IS_OTHER;
}

/* A value as the file has it, cut. */
static struct str shown(const json_t *value, struct arena *arena)
{
    struct str text = value == NULL ? STR("not there") : json_text(arena, value);

    if (text.len <= SHOWN_BYTES_MAX)
        return text;
    return arena_printf(arena, STR_FMT "...", STR_ARG(str_slice(text, 0, SHOWN_BYTES_MAX)));
}

/* The one member that differs where both maps have the same members otherwise, or NULL. */
static const char *only_difference(const json_t *before, const json_t *after)
{
    const char *found = NULL;
    const char *name;
    json_t *value;

    if (json_object_size(before) != json_object_size(after))
        return NULL;
    json_object_foreach (json_iterable(before), name, value) {
        const json_t *other = json_object_get(after, name);

        if (other != NULL && json_equal(value, other))
            continue;
        if (other == NULL || found != NULL)
            return NULL;
        found = name;
    }
    return found;
}

/* Go down to what differs, as long as that is one thing; its path is added: "allow[0].actions". */
static void go_down(const json_t **before, const json_t **after, struct buf *path)
{
    for (size_t i = 0; i < YAML_DEPTH_MAX; i++) {
        const char *name = only_difference(*before, *after);

        if (json_is_array(*before) && json_array_size(*before) == 1 && json_is_array(*after) &&
            json_array_size(*after) == 1 && json_is_object(json_array_get(*before, 0))) {
            buf_add_text(path, "[0]");
            *before = json_array_get(*before, 0);
            *after = json_array_get(*after, 0);
        } else if (json_is_object(*before) && json_is_object(*after) && name != NULL) {
            buf_printf(path, ".%s", name);
            *before = json_object_get(*before, name);
            *after = json_object_get(*after, name);
        } else {
            return;
        }
    }
}

static void compare_field(const struct comparison *comparison, const char *name)
{
    const json_t *before = json_object_get(comparison->before->fields, name);
    const json_t *after = json_object_get(comparison->after->fields, name);
    enum relation relation = relate(comparison->after->kind, name, before, after);
    struct diff_changes *changes = comparison->changes;
    OWNED(buf_release) struct buf path = { 0 };
    struct policy_change *change;

    if (relation == IS_SAME)
        return;
    buf_init(&path, PATTERNS_BYTES_MAX);
    buf_add_text(&path, name);
    go_down(&before, &after, &path);
    change =
        diff_add(changes, relation == IS_LESS ? POLICY_WAY_NARROWER : POLICY_WAY_WIDER, "field",
                 "'" STR_FMT "' of '" STR_FMT "' is " STR_FMT ", not " STR_FMT,
                 STR_ARG(buf_str(&path)), STR_ARG(comparison->after->name),
                 STR_ARG(shown(after, changes->arena)), STR_ARG(shown(before, changes->arena)));
    if (change == NULL)
        return;
    change->grant = comparison->after->name;
    change->is_undecided = relation == IS_OTHER;
}

static bool is_compared(const struct policy_grant_kind *kind, const char *name)
{
    return strcmp(name, "target") != 0 && !is_listed(kind->fields_told, name);
}

static void compare_fields(const struct comparison *comparison)
{
    const struct policy_grant_kind *kind = comparison->after->kind;
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(comparison->before->fields), name, value)
        if (is_compared(kind, name))
            compare_field(comparison, name);
    json_object_foreach (json_iterable(comparison->after->fields), name, value)
        if (is_compared(kind, name) && json_object_get(comparison->before->fields, name) == NULL)
            compare_field(comparison, name);
}

/* ---- a grant ---- */

static struct str target_of(const struct policy_grant *grant)
{
    return grant->target == NULL ? STR("") : grant->target->name;
}

/* 0 is for ever. */
static void compare_until(const struct comparison *comparison)
{
    int64_t before_s = comparison->before->until_s;
    int64_t after_s = comparison->after->until_s;
    bool is_longer = after_s == 0 || (before_s != 0 && after_s > before_s);
    char text[TIME_TEXT_S_LEN + 1];

    if (before_s == after_s)
        return;
    time_text_s(after_s, text);
    tell(comparison, is_longer ? POLICY_WAY_WIDER : POLICY_WAY_NARROWER, "until",
         after_s == 0 ? STR("does not end any more")
                      : arena_printf(comparison->changes->arena, "ends at %s", text));
}

static void compare_life(const struct comparison *comparison)
{
    int64_t before_s = comparison->before->ttl_s;
    int64_t after_s = comparison->after->ttl_s;
    char before[STAGE_DURATION_MAX];
    char after[STAGE_DURATION_MAX];

    if (before_s != after_s)
        tell(comparison, after_s > before_s ? POLICY_WAY_WIDER : POLICY_WAY_NARROWER, "ttl",
             arena_printf(comparison->changes->arena, "lives %s, not %s",
                          stage_duration(after_s, after), stage_duration(before_s, before)));
    compare_until(comparison);
}

static void compare_grants(const struct comparison *comparison)
{
    const struct policy_grant *before = comparison->before;
    const struct policy_grant *after = comparison->after;
    struct arena *arena = comparison->changes->arena;

    compare_life(comparison);
    if (strcmp(before->kind->name, after->kind->name) != 0) {
        tell(comparison, POLICY_WAY_WIDER, "kind",
             arena_printf(arena, "is of kind '%s', not '%s'", after->kind->name,
                          before->kind->name));
        return;
    }
    if (!str_eq(target_of(before), target_of(after)))
        tell(comparison, POLICY_WAY_WIDER, "target",
             arena_printf(arena, "is for the target '" STR_FMT "', not '" STR_FMT "'",
                          STR_ARG(target_of(after)), STR_ARG(target_of(before))));
    if (json_equal(before->fields, after->fields))
        return;
    compare_given(comparison);
    compare_fields(comparison);
}

/* ---- all of a stage's ---- */

static const struct policy_grant *find_grant(const struct policy_stage *stage, struct str name)
{
    for (size_t i = 0; i < stage->grant_count; i++)
        if (str_eq(stage->grants[i].name, name))
            return &stage->grants[i];
    return NULL;
}

static void tell_grant(const struct policy_grant *grant, enum policy_way way, const char *what,
                       struct diff_changes *changes)
{
    struct str target = target_of(grant);
    struct policy_change *change = diff_add(changes, way, "grant", "%s '" STR_FMT "': %s%s" STR_FMT,
                                            what, STR_ARG(grant->name), grant->kind->name,
                                            target.len > 0 ? " at " : "", STR_ARG(target));

    if (change != NULL)
        change->grant = grant->name;
}

void diff_grants(const struct policy_stage *before, const struct policy_stage *after,
                 struct diff_changes *changes)
{
    for (size_t i = 0; i < before->grant_count; i++) {
        const struct policy_grant *found = find_grant(after, before->grants[i].name);
        const struct comparison comparison = { &before->grants[i], found, changes };

        if (found != NULL)
            compare_grants(&comparison);
        else
            tell_grant(&before->grants[i], POLICY_WAY_NARROWER, "no more grant", changes);
    }
    for (size_t i = 0; i < after->grant_count; i++)
        if (find_grant(before, after->grants[i].name) == NULL)
            tell_grant(&after->grants[i], POLICY_WAY_WIDER, "a new grant", changes);
}
