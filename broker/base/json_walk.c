/*
 * A text is looked at by blocks of 64 bytes, once each: whether all of them are plain, and where
 * quotes stand. A string then ends at the next quote, which is found without looking at its bytes.
 */
#include "base/json_walk.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define LEVELS_MAX 16
#define DIGITS_MAX 18
#define BLOCK 64

/* So that the walker stays in registers: all that changes it becomes part of one function. */
#define INLINE static inline __attribute__((always_inline))

/* ---- blocks ---- */

/* The high bit of each of eight bytes that is zero. */
static uint64_t zeros(uint64_t eight)
{
    return ~(((eight & EACH_BYTE(0x7f)) + EACH_BYTE(0x7f)) | eight) & EACH_BYTE(0x80);
}

/* The high bits of eight bytes, as the lowest eight bits. */
static uint64_t high_bits(uint64_t eight)
{
    return ((eight >> 7) * UINT64_C(0x0102040810204080)) >> 56;
}

/* Where quotes stand, the first byte's in the lowest bit; false where bytes are not plain. */
static bool look_at_words(const char *bytes, uint64_t *quotes)
{
    uint64_t bad = 0;

    *quotes = 0;
    for (unsigned i = 0; i < BLOCK; i += 8) {
        uint64_t eight;

        memcpy(&eight, bytes + i, sizeof(eight));
        eight = le64toh(eight);
        bad |= (eight & EACH_BYTE(0x80)) | zeros(eight ^ EACH_BYTE('\\')) |
               zeros(eight ^ EACH_BYTE(0x7f)) |
               (~((eight | EACH_BYTE(0x80)) - EACH_BYTE(0x20)) & EACH_BYTE(0x80));
        *quotes |= high_bits(zeros(eight ^ EACH_BYTE('"'))) << i;
    }
    return bad == 0;
}

#if defined(__SSE2__)

/* The same of sixteen: what is not plain is marked in `bad`. */
INLINE uint64_t look_at_sixteen(const char *bytes, __m128i *bad)
{
    __m128i some = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    __m128i quotes = _mm_cmpeq_epi8(some, _mm_set1_epi8('"'));
    /* One more than plain bytes is above 0x20, and positive. */
    __m128i more = _mm_add_epi8(some, _mm_set1_epi8(1));

    *bad = _mm_or_si128(*bad, _mm_cmpgt_epi8(_mm_set1_epi8(0x21), more));
    *bad = _mm_or_si128(*bad, _mm_cmpeq_epi8(some, _mm_set1_epi8('\\')));
    return (uint64_t)(unsigned)_mm_movemask_epi8(quotes);
}

INLINE bool look_at_vectors(const char *bytes, uint64_t *quotes)
{
    __m128i bad = _mm_setzero_si128();

    *quotes = look_at_sixteen(bytes, &bad) | look_at_sixteen(bytes + 16, &bad) << 16 |
              look_at_sixteen(bytes + 32, &bad) << 32 | look_at_sixteen(bytes + 48, &bad) << 48;
    return _mm_movemask_epi8(bad) == 0;
}

#else

INLINE bool look_at_vectors(const char *bytes, uint64_t *quotes)
{
    return look_at_words(bytes, quotes);
}

#endif

/* A block that is not whole, or not to be looked at by vectors. */
static bool look_at_slowly(const char *bytes, size_t len, bool is_portable, uint64_t *quotes)
{
    char block[BLOCK];

    memset(block, ' ', sizeof(block));
    memcpy(block, bytes, len < BLOCK ? len : BLOCK);
    return is_portable ? look_at_words(block, quotes) : look_at_vectors(block, quotes);
}

/* ---- what a text is made of ---- */

struct walker {
    const char *at;
    const char *end;
    const char *block; /* that was looked at last */
    uint64_t quotes;   /* of it, those that were not taken yet */
    bool is_portable;
};

INLINE bool take_byte(struct walker *walker, char byte)
{
    if (walker->at == walker->end || *walker->at != byte)
        return false;
    walker->at++;
    return true;
}

INLINE bool enter_block(struct walker *walker, const char *block)
{
    size_t left = (size_t)(walker->end - block);
    uint64_t quotes = 0;

    walker->block = block;
    if (left >= BLOCK && !walker->is_portable)
        return look_at_vectors(block, &walker->quotes);
    if (!look_at_slowly(block, left, walker->is_portable, &quotes))
        return false;
    walker->quotes = quotes;
    return true;
}

/* NULL: there is none, or something that is not plain before it. */
INLINE const char *next_quote(struct walker *walker)
{
    const char *quote;

    while (walker->quotes == 0)
        if (walker->end - walker->block <= BLOCK || !enter_block(walker, walker->block + BLOCK))
            return NULL;
    quote = walker->block + __builtin_ctzll(walker->quotes);
    walker->quotes &= walker->quotes - 1;
    return quote;
}

/* The text of a string, without its quotes. All quotes are of strings, so none is passed over. */
INLINE bool take_string(struct walker *walker, struct str *text)
{
    const char *start = next_quote(walker);
    const char *end;

    if (start != walker->at)
        return false;
    end = next_quote(walker);
    if (end == NULL)
        return false;
    *text = (struct str){ start + 1, (size_t)(end - start - 1) };
    walker->at = end + 1;
    return true;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* A fraction or an exponent behind it is met as something that cannot stand there. NULL: none. */
static const char *skip_integer(const char *at, const char *end)
{
    bool is_negative = *at == '-';
    const char *start = is_negative ? at + 1 : at;

    at = start;
    while (at < end && is_digit(*at))
        at++;
    if (at == start || at - start > DIGITS_MAX)
        return NULL;
    return *start != '0' || (at - start == 1 && !is_negative) ? at : NULL;
}

/* What has neither quotes nor brackets. */
static const char *skip_scalar(const char *at, const char *end)
{
    static const struct str words[] = { STR_INIT("true"), STR_INIT("false"), STR_INIT("null") };

    if (*at <= '9')
        return skip_integer(at, end);
    for (size_t i = 0; i < COUNT(words); i++)
        if (str_starts_with((struct str){ at, (size_t)(end - at) }, words[i]))
            return at + words[i].len;
    return NULL;
}

/* ---- the walk ---- */

/* An object or a list that it is in. No padding: the compiler would fill it. */
struct level {
    struct str name; /* an object's latest; NULL: there was none */
    uint64_t head;   /* str_head() of it */
    uint64_t end;    /* the bracket that closes it */
};

/* Names ascend; most differ in their first eight bytes already. */
INLINE bool take_name(struct walker *walker, struct level *level)
{
    struct str name;
    uint64_t head;

    if (!take_string(walker, &name) || !take_byte(walker, ':'))
        return false;
    head = str_head(name, walker->end);
    if (level->name.data != NULL &&
        (level->head > head || (level->head == head && str_compare(level->name, name) >= 0)))
        return false;
    level->name = name;
    level->head = head;
    return true;
}

/* All of a value: `*is_whole`. Else the walker is inside of it now. */
INLINE bool take_value(struct walker *walker, struct level *inside, bool *is_whole)
{
    struct str ignored;
    char first;

    if (walker->at == walker->end)
        return false;
    *is_whole = true;
    first = *walker->at;
    if (first == '"')
        return take_string(walker, &ignored);
    if (first != '{' && first != '[') {
        walker->at = skip_scalar(walker->at, walker->end);
        return walker->at != NULL;
    }
    walker->at++;
    *inside = (struct level){ .end = first == '{' ? '}' : ']' };
    *is_whole = take_byte(walker, (char)inside->end);
    return true;
}

/* Behind the text's own object's beginning: a value a turn, and what ends with it. */
/* NOLINTNEXTLINE(readability-function-cognitive-complexity): one loop, for all levels */
static bool walk_inside(struct walker walker, json_walk_member each, void *context)
{
    struct level levels[LEVELS_MAX] = { { .end = '}' } };
    struct level *level = levels;
    const char *value = NULL; /* of the text's own object */
    bool is_whole = false;

    for (;;) {
        if (level->end == '}' && !take_name(&walker, level))
            return false;
        if (level == levels)
            value = walker.at;
        if (level == &levels[LEVELS_MAX - 1] || !take_value(&walker, level + 1, &is_whole))
            return false;
        if (!is_whole) {
            level++;
            continue;
        }
        for (;;) {
            if (level == levels &&
                !each(context, level->name, (struct str){ value, (size_t)(walker.at - value) }))
                return false;
            if (take_byte(&walker, ','))
                break;
            if (!take_byte(&walker, (char)level->end))
                return false;
            if (level == levels)
                return walker.at == walker.end;
            level--;
        }
    }
}

static bool walk(struct walker walker, json_walk_member each, void *context)
{
    if (!take_byte(&walker, '{') || !enter_block(&walker, walker.at))
        return false;
    if (take_byte(&walker, '}'))
        return walker.at == walker.end;
    return walk_inside(walker, each, context);
}

bool json_walk(struct str text, json_walk_member each, void *context)
{
    return walk((struct walker){ .at = text.data, .end = text.data + text.len }, each, context);
}

bool json_walk_portable(struct str text, json_walk_member each, void *context)
{
    return walk(
        (struct walker){ .at = text.data, .end = text.data + text.len, .is_portable = true }, each,
        context);
}
