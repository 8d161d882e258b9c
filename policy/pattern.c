#include "policy/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/*
 * A pattern is a row of elements, each of which takes one character of a set; a repeated one takes
 * any number of them, an optional one takes one or none. `${name}` is one element of its set and 63
 * optional ones.
 *
 * Two patterns meet where both can be walked to their ends by the same characters. The walk
 * carries, for a place in one pattern, the set of places in the other that a common text can have
 * led to. Places only ever grow, so one pass over both decides.
 */

#define HOLE_MAX 64

/* Below, what a literal element takes: a character; above, which set an element takes from. */
#define CHARACTER_MASK 0x1fffff
enum {
    SET_LITERAL = 0,
    SET_ANY = 1 << 21,
    SET_HOLE = 2 << 21,  /* A-Z a-z 0-9 . _ - */
    SET_PIECE = 3 << 21, /* no '/', ':' and '@' */
    SET_MASK = 7 << 21,
    IS_OPTIONAL = 1 << 24, /* one or none */
    IS_REPEATED = 1 << 25, /* any number */
};

static bool is_of_hole(uint32_t character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '.' || character == '_' ||
           character == '-';
}

static bool set_has(uint32_t element, uint32_t character)
{
    switch (element & SET_MASK) {
    case SET_LITERAL:
        return (element & CHARACTER_MASK) == character;
    case SET_HOLE:
        return is_of_hole(character);
    case SET_PIECE:
        return character != '/' && character != ':' && character != '@';
    default:
        return true;
    }
}

/* Whether a character is in both sets. All sets but the literal ones have the letters. */
static bool sets_meet(uint32_t a, uint32_t b)
{
    if ((a & SET_MASK) == SET_LITERAL)
        return set_has(b, a & CHARACTER_MASK);
    if ((b & SET_MASK) == SET_LITERAL)
        return set_has(a, b & CHARACTER_MASK);
    return true;
}

/* ---- compiling ---- */

/* Take a character that is itself; of what is no UTF-8, a byte. */
static uint32_t take_literal(struct str *rest, enum policy_matching matching)
{
    uint32_t character = (uint8_t)rest->data[0];

    if (!utf8_take(rest, &character))
        *rest = str_slice(*rest, 1, rest->len);
    if (matching != POLICY_MATCHING_GLOB && character >= 'A' && character <= 'Z')
        return character - 'A' + 'a';
    return character;
}

static size_t take_hole(uint32_t *out)
{
    for (size_t i = 0; i < HOLE_MAX; i++)
        out[i] = i == 0 ? SET_HOLE : SET_HOLE | IS_OPTIONAL;
    return HOLE_MAX;
}

/* How many elements the next piece of a text becomes; the piece is taken off. */
static size_t take_piece(struct str *rest, enum policy_matching matching, uint32_t *out)
{
    bool is_aws = matching == POLICY_MATCHING_AWS;
    size_t taken = 1;
    struct str behind;
    struct str name;

    if (str_starts_with(*rest, STR("${")) && str_cut(*rest, '}', &name, &behind)) {
        *rest = behind;
        return take_hole(out);
    }
    if (rest->data[0] != '*' && !(rest->data[0] == '?' && is_aws)) {
        out[0] = take_literal(rest, matching);
        return 1;
    }
    if (is_aws) {
        out[0] = rest->data[0] == '?' ? SET_ANY : SET_ANY | IS_REPEATED;
    } else {
        taken = str_starts_with(*rest, STR("**")) ? 2 : 1;
        out[0] = (taken == 2 ? SET_ANY : SET_PIECE) | IS_REPEATED;
    }
    *rest = str_slice(*rest, taken, rest->len);
    return 1;
}

static size_t count_elements(struct str text, enum policy_matching matching)
{
    uint32_t piece[HOLE_MAX];
    size_t count = 0;

    while (text.len > 0)
        count += take_piece(&text, matching, piece);
    return count;
}

bool pattern_compile(struct str text, enum policy_matching matching, struct arena *arena,
                     struct pattern *pattern, const char **problem)
{
    uint32_t piece[HOLE_MAX];
    uint32_t *elements;

    *pattern = (struct pattern){ .matching = matching };
    *problem = text.len == 0 ? "an empty pattern fits nothing" : NULL;
    if (text.len > PATTERN_LEN_MAX)
        *problem = "a pattern over names has at most 2048 bytes";
    if (*problem != NULL)
        return false;
    pattern->text = arena_copy(arena, text);
    elements = arena_alloc_array(arena, count_elements(text, matching), sizeof(*elements));
    if (pattern->text.data == NULL || elements == NULL)
        return false;
    while (text.len > 0) {
        size_t count = take_piece(&text, matching, piece);

        memcpy(elements + pattern->count, piece, count * sizeof(*piece));
        pattern->count += count;
    }
    pattern->elements = elements;
    return true;
}

/* ---- meeting ---- */

/* Add the places that follow without a character: behind what may be left out. */
static void close_places(const struct pattern *pattern, uint8_t *places)
{
    for (size_t i = 0; i < pattern->count; i++)
        if (places[i] && (pattern->elements[i] & (IS_OPTIONAL | IS_REPEATED)) != 0)
            places[i + 1] = 1;
}

/* From `places` go on by one character of `element`'s set; what is reached is added to `to`. */
static void step(const struct pattern *pattern, const uint8_t *places, uint32_t element,
                 uint8_t *to)
{
    for (size_t i = 0; i < pattern->count; i++) {
        if (!places[i] || !sets_meet(pattern->elements[i], element))
            continue;
        to[(pattern->elements[i] & IS_REPEATED) != 0 ? i : i + 1] = 1;
    }
}

/*
 * Go on by an element. A repeated one adds to the places in their own order, so that what it adds
 * is gone on from in the same pass.
 */
static void follow(const struct pattern *pattern, uint32_t element, uint8_t *places, uint8_t *next)
{
    size_t size = pattern->count + 1;

    close_places(pattern, places);
    if ((element & IS_REPEATED) != 0) {
        for (size_t i = 0; i < pattern->count; i++)
            if (places[i] && ((pattern->elements[i] & (IS_OPTIONAL | IS_REPEATED)) != 0 ||
                              sets_meet(pattern->elements[i], element)))
                places[i + 1] = 1;
        return;
    }
    memset(next, 0, size);
    step(pattern, places, element, next);
    for (size_t i = 0; i < size; i++)
        places[i] = next[i] || (places[i] && (element & IS_OPTIONAL) != 0);
}

/* Whether they begin with different text: most pairs are told apart by it. */
static bool start_apart(const struct pattern *pattern, const struct pattern *other)
{
    for (size_t i = 0; i < pattern->count && i < other->count; i++) {
        uint32_t a = pattern->elements[i];
        uint32_t b = other->elements[i];

        if (((a | b) & ~(uint32_t)CHARACTER_MASK) != SET_LITERAL)
            return false;
        if (a != b)
            return true;
    }
    return false;
}

/* The same of how they end. */
static bool end_apart(const struct pattern *pattern, const struct pattern *other)
{
    for (size_t i = 1; i <= pattern->count && i <= other->count; i++) {
        uint32_t a = pattern->elements[pattern->count - i];
        uint32_t b = other->elements[other->count - i];

        if (((a | b) & ~(uint32_t)CHARACTER_MASK) != SET_LITERAL)
            return false;
        if (a != b)
            return true;
    }
    return false;
}

static bool are_apart(const struct pattern *pattern, const struct pattern *other)
{
    return start_apart(pattern, other) || end_apart(pattern, other);
}

size_t pattern_meeting_steps(const struct pattern *pattern, const struct pattern *other)
{
    return are_apart(pattern, other) ? 1 : (pattern->count + 1) * (other->count + 1);
}

bool pattern_meets(const struct pattern *pattern, const struct pattern *other)
{
    uint8_t small[2 * 256];
    uint8_t *places = small;
    bool is_met;

    if (are_apart(pattern, other))
        return false;
    if (2 * (pattern->count + 1) > sizeof(small))
        places = malloc(2 * (pattern->count + 1));
    if (places == NULL)
        return true;
    memset(places, 0, pattern->count + 1);
    places[0] = 1;
    for (size_t i = 0; i < other->count; i++)
        follow(pattern, other->elements[i], places, places + pattern->count + 1);
    close_places(pattern, places);
    is_met = places[pattern->count] != 0;
    if (places != small)
        free(places);
    return is_met;
}

/* ---- covering ---- */

/*
 * A walk over `pattern` carries the set of places, in all of the others at once, that what was read
 * so far can have led to. Where the walk can end and none of them does, there is a name that they
 * do not have. Characters that no pattern tells apart are tried once: each literal of theirs, those
 * that sets leave out, one more letter, and one more of all others.
 */

#define COVER_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define OTHER_CHARACTER 0xe000 /* of private use; what follows it, too */

struct cover_state {
    size_t place;  /* in the pattern */
    size_t next;   /* of the same place, plus 1; 0: none */
    uint64_t *set; /* places in the others */
};

struct cover {
    const struct pattern *pattern;
    const struct pattern *others;
    size_t other_count;
    size_t word_count; /* of a set */
    uint32_t *characters;
    size_t character_count;
    struct cover_state *states;
    size_t state_count;
    size_t *heads; /* a place each: its last state plus 1 */
    uint64_t *scratch;
    struct arena *arena;
};

static bool set_holds(const uint64_t *set, size_t place)
{
    return (set[place / 64] >> place % 64 & 1) != 0;
}

static void set_add(uint64_t *set, size_t place)
{
    set[place / 64] |= (uint64_t)1 << place % 64;
}

static void add_character(struct cover *cover, uint32_t character)
{
    for (size_t i = 0; i < cover->character_count; i++)
        if (cover->characters[i] == character)
            return;
    cover->characters[cover->character_count++] = character;
}

static bool has_character(const struct cover *cover, uint32_t character)
{
    for (size_t i = 0; i < cover->character_count; i++)
        if (cover->characters[i] == character)
            return true;
    return false;
}

static void add_literals(struct cover *cover, const struct pattern *pattern)
{
    for (size_t i = 0; i < pattern->count; i++)
        if ((pattern->elements[i] & SET_MASK) == SET_LITERAL)
            add_character(cover, pattern->elements[i] & CHARACTER_MASK);
}

/* One character of each kind that the patterns tell apart. */
static void choose_characters(struct cover *cover)
{
    static const char of_hole[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    uint32_t other = OTHER_CHARACTER;

    add_literals(cover, cover->pattern);
    for (size_t i = 0; i < cover->other_count; i++)
        add_literals(cover, &cover->others[i]);
    for (size_t i = 0; of_hole[i] != '\0'; i++)
        if (!has_character(cover, (uint8_t)of_hole[i])) {
            add_character(cover, (uint8_t)of_hole[i]);
            break;
        }
    while (has_character(cover, other))
        other++;
    add_character(cover, other);
    add_character(cover, '/');
    add_character(cover, ':');
    add_character(cover, '@');
}

/* Add what follows without a character. */
static void close_set(const struct cover *cover, uint64_t *set)
{
    size_t base = 0;

    for (size_t i = 0; i < cover->other_count; i++) {
        const struct pattern *other = &cover->others[i];

        for (size_t k = 0; k < other->count; k++)
            if (set_holds(set, base + k) && (other->elements[k] & (IS_OPTIONAL | IS_REPEATED)) != 0)
                set_add(set, base + k + 1);
        base += other->count + 1;
    }
}

/* Where a character leads to from a set; false where nowhere. */
static bool step_set(const struct cover *cover, const uint64_t *from, uint32_t character,
                     uint64_t *to)
{
    bool is_somewhere = false;
    size_t base = 0;

    memset(to, 0, cover->word_count * sizeof(*to));
    for (size_t i = 0; i < cover->other_count; i++) {
        const struct pattern *other = &cover->others[i];

        for (size_t k = 0; k < other->count; k++) {
            if (!set_holds(from, base + k) || !set_has(other->elements[k], character))
                continue;
            set_add(to, base + k + ((other->elements[k] & IS_REPEATED) != 0 ? 0 : 1));
            is_somewhere = true;
        }
        base += other->count + 1;
    }
    close_set(cover, to);
    return is_somewhere;
}

static bool set_ends(const struct cover *cover, const uint64_t *set)
{
    size_t base = 0;

    for (size_t i = 0; i < cover->other_count; i++) {
        base += cover->others[i].count + 1;
        if (set_holds(set, base - 1))
            return true;
    }
    return false;
}

/* Whether a state of the place is known that leads to no more than `set`. */
static bool is_known(const struct cover *cover, size_t place, const uint64_t *set)
{
    for (size_t i = cover->heads[place]; i > 0; i = cover->states[i - 1].next) {
        bool is_within = true;

        for (size_t k = 0; is_within && k < cover->word_count; k++)
            is_within = (cover->states[i - 1].set[k] & ~set[k]) == 0;
        if (is_within)
            return true;
    }
    return false;
}

/* Remember a state to go on from; false where there is no room. */
static bool push_state(struct cover *cover, size_t place, const uint64_t *set)
{
    struct cover_state *state = &cover->states[cover->state_count];

    if (is_known(cover, place, set))
        return true;
    if (cover->state_count == PATTERN_COVER_STATES_MAX)
        return false;
    state->set = arena_alloc_array(cover->arena, cover->word_count, sizeof(*set));
    if (state->set == NULL)
        return false;
    memcpy(state->set, set, cover->word_count * sizeof(*set));
    state->place = place;
    state->next = cover->heads[place];
    cover->heads[place] = ++cover->state_count;
    return true;
}

/* Go on from a state; false where a name is found that the others do not have. */
static bool expand_state(struct cover *cover, size_t index)
{
    const struct cover_state state = cover->states[index];
    uint32_t element;

    if (state.place == cover->pattern->count)
        return set_ends(cover, state.set);
    element = cover->pattern->elements[state.place];
    if ((element & (IS_OPTIONAL | IS_REPEATED)) != 0 &&
        !push_state(cover, state.place + 1, state.set))
        return false;
    for (size_t i = 0; i < cover->character_count; i++) {
        size_t place = state.place + ((element & IS_REPEATED) != 0 ? 0 : 1);

        if (!set_has(element, cover->characters[i]))
            continue;
        if (!step_set(cover, state.set, cover->characters[i], cover->scratch) ||
            !push_state(cover, place, cover->scratch))
            return false;
    }
    return true;
}

static bool open_cover(struct cover *cover)
{
    size_t literals = cover->pattern->count + 8;
    size_t places = 0;

    for (size_t i = 0; i < cover->other_count; i++) {
        literals += cover->others[i].count;
        places += cover->others[i].count + 1;
    }
    cover->word_count = places / 64 + 1;
    cover->characters = arena_alloc_array(cover->arena, literals, sizeof(uint32_t));
    cover->states =
        arena_alloc_array(cover->arena, PATTERN_COVER_STATES_MAX, sizeof(*cover->states));
    cover->heads =
        arena_alloc_array(cover->arena, cover->pattern->count + 1, sizeof(*cover->heads));
    cover->scratch = arena_alloc_array(cover->arena, cover->word_count, sizeof(uint64_t));
    return cover->characters != NULL && cover->states != NULL && cover->heads != NULL &&
           cover->scratch != NULL;
}

static bool start_cover(struct cover *cover)
{
    size_t base = 0;

    if (!open_cover(cover))
        return false;
    choose_characters(cover);
    for (size_t i = 0; i < cover->other_count; i++) {
        set_add(cover->scratch, base);
        base += cover->others[i].count + 1;
    }
    close_set(cover, cover->scratch);
    return push_state(cover, 0, cover->scratch);
}

bool pattern_is_covered(const struct pattern *pattern, const struct pattern *others, size_t count)
{
    struct cover cover = { .pattern = pattern, .others = others, .other_count = count };
    OWNED(arena_free) struct arena *arena = NULL;

    for (size_t i = 0; i < count; i++)
        if (str_eq(pattern->text, others[i].text))
            return true;
    arena = arena_new(COVER_BYTES_MAX);
    cover.arena = arena;
    if (arena == NULL || !start_cover(&cover))
        return false;
    for (size_t i = 0; i < cover.state_count; i++)
        if (!expand_state(&cover, i))
            return false;
    return true;
}
