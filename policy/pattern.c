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
    SET_NO_AT = 4 << 21, /* no '@' */
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
    case SET_NO_AT:
        return character != '@';
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
    if (matching == POLICY_MATCHING_AWS && character >= 'A' && character <= 'Z')
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
        out[0] = (taken == 2 ? SET_NO_AT : SET_PIECE) | IS_REPEATED;
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

bool pattern_meets(const struct pattern *pattern, const struct pattern *other)
{
    uint8_t small[2 * 256];
    uint8_t *places = small;
    bool is_met;

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
