#include "policy/glob.h"

#include <string.h>

/*
 * Matching walks the value once and carries the set of all places in the pattern that the part read
 * so far can have led to, as Thompson's construction does: there is no backtracking, so nothing
 * that an attacker writes into a branch name makes it slow. glob_capture() carries with each place
 * where its names began and ended; the set is kept in order of preference and the first to reach a
 * place keeps it.
 */

/* Elements from here on are wildcards; below, they are bytes. */
#define STAR 256
#define STAR_STAR 257
#define CAPTURE 258 /* and the name's index on top */

static bool may_touch(const uint16_t *elements, size_t count)
{
    return count == 0 || elements[count - 1] < STAR;
}

/* Read `{name}` at the start of `rest`. */
static const char *take_name(struct str *rest, struct glob *glob, struct str *names)
{
    struct str name;
    struct str behind;

    if (!str_cut(str_slice(*rest, 1, rest->len), '}', &name, &behind))
        return "'{' opens a name that no '}' ends";
    if (name.len == 0 || name.len > GLOB_NAME_MAX || !str_is_made_of(name, GLOB_NAME_SET))
        return "a name in '{}' has 1 to 40 of a-z, 0-9, '_' and '-'";
    for (size_t i = 0; i < glob->name_count; i++)
        if (str_eq(names[i], name))
            return "a name stands in the pattern twice";
    if (glob->name_count == GLOB_CAPTURES_MAX)
        return "a pattern remembers at most 8 names";
    names[glob->name_count++] = name;
    *rest = behind;
    return NULL;
}

/* Read one element at the start of `rest`; returns what is wrong, or NULL. */
static const char *take_element(struct str *rest, struct glob *glob, struct str *names,
                                uint16_t *element)
{
    const char *problem = NULL;

    if (str_starts_with(*rest, STR("${")))
        return "'${...}' is filled in grants only; '{name}' remembers a part of the value";
    if (rest->data[0] == '}')
        return "'}' without a '{'";
    if (rest->data[0] == '{') {
        *element = (uint16_t)(CAPTURE + glob->name_count);
        problem = take_name(rest, glob, names);
        return problem;
    }
    *element = (uint8_t)rest->data[0];
    if (str_starts_with(*rest, STR("**")))
        *element = STAR_STAR;
    else if (rest->data[0] == '*')
        *element = STAR;
    *rest = str_slice(*rest, *element == STAR_STAR ? 2 : 1, rest->len);
    return NULL;
}

static const char *read_elements(struct str text, struct glob *glob, uint16_t *elements,
                                 struct str *names)
{
    while (text.len > 0) {
        uint16_t element = 0;
        const char *problem = take_element(&text, glob, names, &element);

        if (problem != NULL)
            return problem;
        if (element >= STAR && !may_touch(elements, glob->count))
            return "two wildcards touch each other: which takes what would be a guess";
        elements[glob->count++] = element;
    }
    while (glob->prefix_len < glob->count && elements[glob->prefix_len] < STAR)
        glob->prefix_len++;
    return NULL;
}

bool glob_compile(struct str text, struct arena *arena, struct glob *glob, const char **problem)
{
    struct str names[GLOB_CAPTURES_MAX] = { 0 };
    uint16_t *elements;
    struct str *kept;

    *glob = (struct glob){ 0 };
    *problem = text.len == 0 ? "an empty pattern fits nothing" : NULL;
    if (text.len > GLOB_LEN_MAX)
        *problem = "a pattern has at most 256 bytes";
    if (*problem != NULL)
        return false;
    glob->text = arena_copy(arena, text);
    elements = arena_alloc_array(arena, text.len, sizeof(*elements));
    if (glob->text.data == NULL || elements == NULL)
        return false;
    *problem = read_elements(glob->text, glob, elements, names);
    if (*problem != NULL)
        return false;
    glob->elements = elements;
    if (glob->name_count == 0)
        return true;
    kept = arena_alloc_array(arena, glob->name_count, sizeof(*kept));
    if (kept == NULL)
        return false;
    memcpy(kept, names, glob->name_count * sizeof(*kept));
    glob->names = kept;
    return true;
}

static bool takes(uint16_t element, uint8_t byte)
{
    if (element < STAR)
        return element == byte;
    if (byte == '@')
        return false;
    return element == STAR_STAR || (byte != '/' && byte != ':');
}

/* Places in the pattern that can be next; `count` of the pattern is its end. */
struct places {
    uint16_t list[GLOB_LEN_MAX + 1];
    size_t count;
    uint8_t is_in[GLOB_LEN_MAX + 1];
};

/* Add a place, and the one behind it where it is a wildcard, which may be empty. */
static void add_place(const struct glob *glob, struct places *places, size_t place)
{
    for (; !places->is_in[place]; place++) {
        places->is_in[place] = 1;
        places->list[places->count++] = (uint16_t)place;
        if (place == glob->count || glob->elements[place] < STAR)
            return;
    }
}

static void step(const struct glob *glob, const struct places *from, uint8_t byte,
                 struct places *to)
{
    for (size_t i = 0; i < from->count; i++) {
        size_t place = from->list[i];

        if (place < glob->count && takes(glob->elements[place], byte))
            add_place(glob, to, glob->elements[place] < STAR ? place + 1 : place);
    }
}

static void empty_places(struct places *places)
{
    for (size_t i = 0; i < places->count; i++)
        places->is_in[places->list[i]] = 0;
    places->count = 0;
}

static bool walk(const struct glob *glob, struct str value, size_t start)
{
    struct places places[2];
    size_t now = 0;

    for (size_t i = 0; i < 2; i++) {
        places[i].count = 0;
        memset(places[i].is_in, 0, glob->count + 1);
    }
    add_place(glob, &places[now], start);
    for (size_t i = start; i < value.len && places[now].count > 0; i++) {
        step(glob, &places[now], (uint8_t)value.data[i], &places[1 - now]);
        empty_places(&places[now]);
        now = 1 - now;
    }
    return places[now].is_in[glob->count] != 0;
}

static bool has_prefix(const struct glob *glob, struct str value)
{
    return value.len <= GLOB_VALUE_MAX &&
           str_starts_with(value, str_slice(glob->text, 0, glob->prefix_len));
}

bool glob_match(const struct glob *glob, struct str value)
{
    if (!has_prefix(glob, value))
        return false;
    if (glob->prefix_len == glob->count)
        return value.len == glob->count;
    if (glob->prefix_len + 1 < glob->count)
        return walk(glob, value, glob->prefix_len);
    for (size_t i = glob->prefix_len; i < value.len; i++) /* one wildcard, at the end */
        if (!takes(glob->elements[glob->prefix_len], (uint8_t)value.data[i]))
            return false;
    return true;
}

/* A place and where the names on the way to it began and ended. */
struct path {
    uint16_t place;
    uint16_t begin[GLOB_CAPTURES_MAX];
    uint16_t end[GLOB_CAPTURES_MAX];
};

/* Paths in order of preference, at most one to a place. */
struct paths {
    struct path list[GLOB_LEN_MAX + 1];
    size_t count;
    uint8_t is_in[GLOB_LEN_MAX + 1];
};

static void add_one(struct paths *paths, const struct path *path)
{
    if (paths->is_in[path->place])
        return;
    paths->is_in[path->place] = 1;
    paths->list[paths->count++] = *path;
}

/* Add a path; before it, the one that leaves the wildcard it stands on: shorter is better. */
static void add_path(const struct glob *glob, struct paths *paths, struct path path, size_t at)
{
    uint16_t element = path.place < glob->count ? glob->elements[path.place] : 0;

    if (element >= STAR && !paths->is_in[path.place]) {
        struct path behind = path;

        behind.place++;
        if (element >= CAPTURE)
            behind.end[element - CAPTURE] = (uint16_t)at;
        add_one(paths, &behind);
    }
    add_one(paths, &path);
}

/* Continue a path with the byte at `at`. */
static void follow(const struct glob *glob, struct path path, size_t at, uint8_t byte,
                   struct paths *to)
{
    uint16_t element = path.place < glob->count ? glob->elements[path.place] : 0;

    if (path.place == glob->count || !takes(element, byte))
        return;
    if (element < STAR) {
        path.place++;
        element = path.place < glob->count ? glob->elements[path.place] : 0;
        if (element >= CAPTURE)
            path.begin[element - CAPTURE] = (uint16_t)(at + 1);
    }
    add_path(glob, to, path, at + 1);
}

static const struct path *find_end(const struct glob *glob, const struct paths *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        if (paths->list[i].place == glob->count)
            return &paths->list[i];
    return NULL;
}

bool glob_capture(const struct glob *glob, struct str value, struct str captures[GLOB_CAPTURES_MAX])
{
    struct path first = { .place = (uint16_t)glob->prefix_len };
    struct paths paths[2];
    const struct path *path;
    size_t now = 0;

    if (!has_prefix(glob, value))
        return false;
    for (size_t i = 0; i < 2; i++) {
        paths[i].count = 0;
        memset(paths[i].is_in, 0, glob->count + 1);
    }
    for (size_t i = 0; i < GLOB_CAPTURES_MAX; i++)
        first.begin[i] = (uint16_t)glob->prefix_len;
    add_path(glob, &paths[now], first, glob->prefix_len);
    for (size_t i = glob->prefix_len; i < value.len; i++) {
        for (size_t k = 0; k < paths[now].count; k++)
            follow(glob, paths[now].list[k], i, (uint8_t)value.data[i], &paths[1 - now]);
        memset(paths[now].is_in, 0, glob->count + 1);
        paths[now].count = 0;
        now = 1 - now;
    }
    path = find_end(glob, &paths[now]);
    for (size_t i = 0; path != NULL && i < glob->name_count; i++)
        captures[i] = str_slice(value, path->begin[i], (size_t)(path->end[i] - path->begin[i]));
    return path != NULL;
}

/* ---- walking ---- */

static bool has_place(const struct glob_places *places, size_t place)
{
    return (places->bits[place / 64] >> (place % 64) & 1) != 0;
}

/* As add_place(). */
static void walk_add(const struct glob *glob, struct glob_places *places, size_t place)
{
    for (; !has_place(places, place); place++) {
        places->bits[place / 64] |= UINT64_C(1) << (place % 64);
        if (place == glob->count || glob->elements[place] < STAR)
            return;
    }
}

/* The first place from `place` on; `glob->count` is the end. Behind it, there is none. */
static size_t next_place(const struct glob *glob, const struct glob_places *places, size_t place)
{
    while (place < glob->count && !has_place(places, place)) {
        uint64_t rest = places->bits[place / 64] >> (place % 64);

        place = rest != 0 ? place + (size_t)__builtin_ctzll(rest) : (place / 64 + 1) * 64;
    }
    return place > glob->count ? glob->count : place;
}

void glob_walk_start(const struct glob *glob, struct glob_places *places)
{
    *places = (struct glob_places){ 0 };
    walk_add(glob, places, 0);
}

bool glob_walk_step(const struct glob *glob, const struct glob_places *from, uint8_t byte,
                    struct glob_places *to)
{
    bool is_any = false;

    *to = (struct glob_places){ 0 };
    for (size_t i = next_place(glob, from, 0); i < glob->count; i = next_place(glob, from, i + 1)) {
        if (!takes(glob->elements[i], byte))
            continue;
        walk_add(glob, to, glob->elements[i] < STAR ? i + 1 : i);
        is_any = true;
    }
    return is_any;
}

bool glob_walk_is_end(const struct glob *glob, const struct glob_places *places)
{
    return has_place(places, glob->count);
}

void glob_walk_mark(const struct glob *glob, const struct glob_places *places, uint64_t bytes[4])
{
    for (size_t i = next_place(glob, places, 0); i < glob->count;
         i = next_place(glob, places, i + 1))
        if (glob->elements[i] < STAR)
            bytes[glob->elements[i] / 64] |= UINT64_C(1) << (glob->elements[i] % 64);
}

size_t glob_fill(const struct glob *glob, struct str wildcard, struct str remembered, char *out,
                 size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < glob->count; i++) {
        char byte = (char)(uint8_t)glob->elements[i];
        struct str piece = { &byte, 1 };

        if (glob->elements[i] >= STAR)
            piece = glob->elements[i] >= CAPTURE ? remembered : wildcard;
        if (piece.len > size - len)
            return 0;
        memcpy(out + len, piece.data, piece.len);
        len += piece.len;
    }
    return len;
}
