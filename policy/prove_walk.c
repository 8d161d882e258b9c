#include <string.h>

#include "base/time_text.h"
#include "policy/prove_internal.h"

/*
 * All patterns and lists of a text's demands are walked at once, byte by byte: a state is the set
 * of places in each pattern, and the part of each sorted list that starts as the text does. Texts
 * that lead to the same state are the same to every demand, so one of them, the shortest, is tried.
 * Breadth first; from a state go on those bytes that stand somewhere in it, '/', ':' and '@', which
 * wildcards tell apart, and one other byte for all others.
 */

/* The states of one walk, bytes: several thousand. */
#define WALK_BYTES_MAX ((size_t)2 * 1024 * 1024)
#define WALK_LEN_MAX 1024
#define BUCKETS 256 /* a power of two */

/* The part of a sorted list that starts as the text does. */
struct range {
    uint32_t from;
    uint32_t to;
    uint32_t depth; /* how many bytes that are; 0 where the part is empty */
};

struct state {
    struct state *parent;
    struct state *next; /* in the order of breadth */
    struct state *next_in_bucket;
    uint32_t depth;
    uint8_t byte; /* that led here */
    /* What tells states apart stands behind: shape, ranges, places. */
    uint32_t shape;
    uint64_t parts[];
};

struct walk {
    struct prover *prover;
    const struct prove_demands *demands;
    const struct prove_shape *shape;
    const struct policy_values **lists;
    size_t list_count;
    const struct glob **globs;
    bool *are_needed; /* a pattern each: the text must fit it */
    size_t glob_count;
    size_t parts_size; /* bytes */
    size_t bytes_left;
    bool reads_times;
    bool is_too_much;

    struct state *first;
    struct state *last;
    struct state *spare; /* one that was not kept */
    struct state **buckets;
};

static struct range *ranges_of(struct state *state)
{
    return (struct range *)(void *)state->parts;
}

static struct glob_places *places_of(const struct walk *walk, struct state *state)
{
    size_t size = walk->list_count * sizeof(struct range);

    return (struct glob_places *)(void *)(state->parts + (size + 7) / 8);
}

/* ---- what is walked ---- */

static void add_list(struct walk *walk, const struct policy_values *values)
{
    for (size_t i = 0; i < walk->list_count; i++)
        if (walk->lists[i]->texts == values->texts)
            return;
    walk->lists[walk->list_count++] = values;
}

static void add_glob(struct walk *walk, const struct glob *glob, bool is_needed)
{
    for (size_t i = 0; i < walk->glob_count; i++) {
        if (!str_eq(walk->globs[i]->text, glob->text))
            continue;
        walk->are_needed[i] |= is_needed;
        return;
    }
    walk->are_needed[walk->glob_count] = is_needed;
    walk->globs[walk->glob_count++] = glob;
}

static void add_demand(struct walk *walk, const struct prove_demand *demand)
{
    const struct policy_condition *condition = demand->atom->condition;

    if (prove_words_of(demand) != NULL)
        add_list(walk, prove_words_of(demand));
    if (!prove_reads_texts(demand))
        return;
    for (size_t i = 0; i < condition->test_count; i++) {
        const struct policy_test *test = &condition->tests[i];

        if (test->operation == POLICY_ONE_OF && test->values.texts != NULL)
            add_list(walk, &test->values);
        if (test->operation == POLICY_LIKE)
            add_glob(walk, test->glob, prove_needs(demand, test));
        walk->reads_times |= test->operation == POLICY_BEFORE || test->operation == POLICY_AFTER;
    }
}

static struct str prefix_of(const struct glob *glob)
{
    return str_slice(glob->text, 0, glob->prefix_len);
}

static bool can_both_start(const struct glob *a, const struct glob *b)
{
    struct str left = prefix_of(a);
    struct str right = prefix_of(b);
    size_t len = left.len < right.len ? left.len : right.len;

    return str_eq(str_slice(left, 0, len), str_slice(right, 0, len));
}

/* Whether some pattern that the text must fit starts otherwise than this one. */
static bool is_ruled_out(const struct walk *walk, size_t index)
{
    for (size_t i = 0; i < walk->glob_count; i++)
        if (walk->are_needed[i] && !can_both_start(walk->globs[i], walk->globs[index]))
            return true;
    return false;
}

/* Leave out what cannot fit any text that is looked for; false: there is none. */
static bool drop_ruled_out(struct walk *walk)
{
    size_t kept = 0;

    for (size_t i = 0; i < walk->glob_count; i++)
        if (walk->are_needed[i] && is_ruled_out(walk, i))
            return false;
    for (size_t i = 0; i < walk->glob_count; i++) {
        if (is_ruled_out(walk, i))
            continue;
        walk->globs[kept] = walk->globs[i];
        walk->are_needed[kept++] = walk->are_needed[i];
    }
    walk->glob_count = kept;
    return true;
}

static size_t count_tests(const struct prove_demands *demands)
{
    size_t count = 1;

    for (size_t i = 0; i < demands->count; i++)
        count +=
            prove_reads_texts(&demands->list[i]) ? demands->list[i].atom->condition->test_count : 1;
    return count;
}

/* False without memory. */
static bool gather(struct walk *walk)
{
    size_t max = count_tests(walk->demands);

    walk->lists = prove_alloc(walk->prover, max, sizeof(const struct policy_values *));
    walk->globs = prove_alloc(walk->prover, max, sizeof(const struct glob *));
    walk->are_needed = prove_alloc(walk->prover, max, sizeof(bool));
    walk->buckets = prove_alloc(walk->prover, BUCKETS, sizeof(struct state *));
    if (walk->lists == NULL || walk->globs == NULL || walk->are_needed == NULL ||
        walk->buckets == NULL)
        return false;
    for (size_t i = 0; i < walk->demands->count; i++)
        add_demand(walk, &walk->demands->list[i]);
    return true;
}

/* ---- states ---- */

static uint64_t hash_state(const struct walk *walk, const struct state *state)
{
    uint64_t hash = state->shape + UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < walk->parts_size / 8; i++) {
        hash = (hash ^ state->parts[i]) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    return hash;
}

/* Keep the spare state, unless there is one like it. */
static void keep_spare(struct walk *walk)
{
    struct state *state = walk->spare;
    struct state **bucket = &walk->buckets[hash_state(walk, state) & (BUCKETS - 1)];

    for (const struct state *known = *bucket; known != NULL; known = known->next_in_bucket)
        if (known->shape == state->shape &&
            memcmp(known->parts, state->parts, walk->parts_size) == 0)
            return;
    walk->spare = NULL;
    state->next_in_bucket = *bucket;
    *bucket = state;
    if (walk->last != NULL)
        walk->last->next = state;
    else
        walk->first = state;
    walk->last = state;
}

/* A state to fill; false: no memory, or too many of them. */
static bool make_spare(struct walk *walk)
{
    size_t size = sizeof(struct state) + walk->parts_size;

    if (walk->spare != NULL)
        return true;
    if (walk->bytes_left < size)
        return false;
    walk->bytes_left -= size;
    walk->spare = prove_alloc(walk->prover, 1, size);
    return walk->spare != NULL;
}

/* The first of [from, to) whose byte at `depth` is not below `byte`; all are longer. */
static uint32_t lower_bound(const struct policy_values *values, struct range range, uint8_t byte)
{
    while (range.from < range.to) {
        uint32_t middle = range.from + (range.to - range.from) / 2;

        if ((uint8_t)values->texts[middle].data[range.depth] < byte)
            range.from = middle + 1;
        else
            range.to = middle;
    }
    return range.from;
}

/* The part without the value that ends here; it is the first, if it is there. */
static struct range longer_part(const struct policy_values *values, struct range range)
{
    if (range.from < range.to && values->texts[range.from].len == range.depth)
        range.from++;
    return range;
}

static struct range step_range(const struct policy_values *values, struct range range, uint8_t byte)
{
    struct range longer = longer_part(values, range);
    struct range next = longer;

    next.from = lower_bound(values, longer, byte);
    next.to = byte == UINT8_MAX ? longer.to : lower_bound(values, longer, (uint8_t)(byte + 1));
    next.depth++;
    return next.from < next.to ? next : (struct range){ 0, 0, 0 };
}

static void mark_range(const struct policy_values *values, struct range range, uint64_t bytes[4])
{
    struct range rest = longer_part(values, range);

    while (rest.from < rest.to) {
        uint8_t byte = (uint8_t)values->texts[rest.from].data[rest.depth];

        bytes[byte / 64] |= UINT64_C(1) << (byte % 64);
        if (byte == UINT8_MAX)
            return;
        rest.from = lower_bound(values, rest, (uint8_t)(byte + 1));
    }
}

static bool start(struct walk *walk)
{
    size_t ranges_size = (walk->list_count * sizeof(struct range) + 7) / 8 * 8;
    struct state *state;

    walk->parts_size = ranges_size + walk->glob_count * sizeof(struct glob_places);
    if (!make_spare(walk))
        return false;
    state = walk->spare;
    state->shape = prove_shape_start(walk->shape);
    for (size_t i = 0; i < walk->list_count; i++)
        ranges_of(state)[i] = (struct range){ 0, (uint32_t)walk->lists[i]->count, 0 };
    for (size_t i = 0; i < walk->glob_count; i++)
        glob_walk_start(walk->globs[i], &places_of(walk, state)[i]);
    keep_spare(walk);
    return true;
}

/* Go on by a byte, if there is any use in it. False: no more can be kept. */
static bool step(struct walk *walk, struct state *from, uint8_t byte)
{
    uint32_t shape = prove_shape_step(walk->shape, from->shape, byte);
    struct state *state;
    bool is_of_use = true;

    if (shape == PROVE_SHAPE_BAD)
        return true;
    if (!make_spare(walk))
        return false;
    state = walk->spare;
    state->parent = from;
    state->depth = from->depth + 1;
    state->byte = byte;
    state->shape = shape;
    for (size_t i = 0; i < walk->list_count; i++)
        ranges_of(state)[i] = step_range(walk->lists[i], ranges_of(from)[i], byte);
    for (size_t i = 0; i < walk->glob_count && is_of_use; i++)
        is_of_use = glob_walk_step(walk->globs[i], &places_of(walk, from)[i], byte,
                                   &places_of(walk, state)[i]) ||
                    !walk->are_needed[i];
    if (is_of_use)
        keep_spare(walk);
    return true;
}

/* ---- the walk ---- */

/* Characters that an example may have where any would do, the prettiest first. */
static const char plain[] = "x1abcdefghijklmnopqrstuvwyz023456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.+,;=~"
                            " !\"#$%&'()*<>?[\\]^`{|}";

static bool is_marked(const uint64_t bytes[4], unsigned byte)
{
    return (bytes[byte / 64] >> (byte % 64) & 1) != 0;
}

/* A byte that stands for all that are not marked; -1: there is none. */
static int other_byte(const struct walk *walk, uint32_t shape, const uint64_t bytes[4])
{
    for (const char *byte = plain; *byte != '\0'; byte++)
        if (!is_marked(bytes, (uint8_t)*byte) &&
            prove_shape_step(walk->shape, shape, (uint8_t)*byte) != PROVE_SHAPE_BAD)
            return (uint8_t)*byte;
    for (unsigned byte = 0x80; byte <= UINT8_MAX; byte++)
        if (!is_marked(bytes, byte) &&
            prove_shape_step(walk->shape, shape, (uint8_t)byte) != PROVE_SHAPE_BAD)
            return (int)byte;
    return -1;
}

static bool expand(struct walk *walk, struct state *state)
{
    uint64_t bytes[4] = { UINT64_C(1) << '/' | UINT64_C(1) << ':', 1, 0, 0 }; /* '@' is 64 */
    int other;

    if (walk->shape->kind != PROVE_SHAPE_TEXT)
        bytes[0] |= UINT64_C(0x3ff) << '0'; /* digits are told apart by what they mean */
    for (size_t i = 0; i < walk->list_count; i++)
        mark_range(walk->lists[i], ranges_of(state)[i], bytes);
    for (size_t i = 0; i < walk->glob_count; i++)
        glob_walk_mark(walk->globs[i], &places_of(walk, state)[i], bytes);
    other = other_byte(walk, state->shape, bytes);
    if (other >= 0 && !step(walk, state, (uint8_t)other))
        return false;
    for (unsigned byte = 0; byte <= UINT8_MAX; byte++)
        if (is_marked(bytes, byte) && !step(walk, state, (uint8_t)byte))
            return false;
    return true;
}

/* The text that led to a state. */
static struct str text_of(const struct state *state, char text[WALK_LEN_MAX])
{
    struct str result = { text, state->depth };

    for (; state->parent != NULL; state = state->parent)
        text[state->depth - 1] = (char)state->byte;
    return result;
}

/* Whether the text that led to a state is a time, which others of this state need not be. */
static bool is_odd_time(const struct walk *walk, struct state *state, const char *text)
{
    int64_t time_ms;

    for (size_t i = 0; i < walk->list_count; i++)
        if (ranges_of(state)[i].from < ranges_of(state)[i].to)
            return false; /* there are no others */
    return walk->reads_times && time_text_parse((struct str){ text, state->depth }, &time_ms);
}

/* Whether the text that led to a state is one that is looked for; it is written to `text`. */
static bool accept(struct walk *walk, struct state *state, char text[WALK_LEN_MAX],
                   struct prove_value *value)
{
    struct prove_value tried = { .kind = PROVE_TEXT };

    if (!prove_shape_is_whole(walk->shape, state->shape, state->depth))
        return false;
    tried.text = text_of(state, text);
    if (walk->shape->kind == PROVE_SHAPE_INTEGER) {
        tried.kind = PROVE_INTEGER;
        if (!str_to_int64(tried.text, &tried.integer))
            return false;
    }
    if (!prove_demands_allow(walk->demands, &tried)) {
        walk->is_too_much |=
            walk->shape->kind == PROVE_SHAPE_TEXT && is_odd_time(walk, state, text);
        return false;
    }
    *value = tried;
    return true;
}

static enum proof_answer search(struct walk *walk, char text[WALK_LEN_MAX],
                                struct prove_value *value)
{
    if (!gather(walk))
        return PROOF_UNDECIDED;
    if (!drop_ruled_out(walk))
        return PROOF_NO;
    if (!start(walk))
        return PROOF_UNDECIDED;
    for (struct state *state = walk->first; state != NULL; state = state->next) {
        if (!prove_spend(walk->prover, 1 + (walk->glob_count + walk->list_count) / 8))
            return PROOF_UNDECIDED;
        if (accept(walk, state, text, value))
            return PROOF_YES;
        if (state->depth == WALK_LEN_MAX)
            walk->is_too_much = true;
        else if (!expand(walk, state))
            return PROOF_UNDECIDED;
    }
    return walk->is_too_much ? PROOF_UNDECIDED : PROOF_NO;
}

enum proof_answer prove_walk(struct prover *prover, const struct prove_demands *demands,
                             const struct prove_shape *shape, struct prove_value *value)
{
    struct walk walk = {
        .prover = prover,
        .demands = demands,
        .shape = shape,
        .bytes_left = WALK_BYTES_MAX,
    };
    const struct prove_mark mark = prove_mark(prover);
    char text[WALK_LEN_MAX];
    enum proof_answer answer = search(&walk, text, value);

    prove_rewind(prover, mark);
    if (answer == PROOF_YES)
        value->text = prove_copy(prover, value->text);
    return answer;
}
