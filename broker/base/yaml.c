#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>

#include "base/yaml_internal.h"

static struct str yaml_text(const struct yaml_document *document)
{
    return (struct str){ document->text, document->text_len };
}

/* A copy with a NUL behind it; NULL without memory. */
static char *copy_text(struct str text)
{
    char *copy = malloc(text.len + 1);

    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

static struct yaml_document *document_new(struct str file, struct str text)
{
    struct yaml_document *document = calloc(1, sizeof(*document));

    if (document == NULL)
        return NULL;
    document->file = copy_text(file);
    document->text = copy_text(text);
    document->text_len = text.len;
    if (document->file != NULL && document->text != NULL)
        return document;
    yaml_document_free(document);
    return NULL;
}

bool yaml_parse(struct str file, struct str text, struct diagnostics *diagnostics,
                struct yaml_document **out)
{
    OWNED(yaml_document_free) struct yaml_document *document = NULL;

    if (!yaml_text_check(file, text, diagnostics))
        return false;
    document = document_new(file, text);
    if (document == NULL)
        return diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct position){ file, 0, 0 },
                               STR(""), STR(""), "no memory to read the file");
    if (!yaml_build(document, diagnostics))
        return false;
    *out = TAKE(document);
    return true;
}

void yaml_document_free(struct yaml_document *document)
{
    if (document == NULL)
        return;
    yaml_document_free(document->joined); /* as deep as documents are joined: two, today */
    json_decref(document->root);
    yaml_places_release(&document->places);
    yaml_overlay_free(document->overlay);
    free(document->text);
    free(document->file);
    free(document);
}

const json_t *yaml_root(const struct yaml_document *document)
{
    return document->root;
}

/* A value's place, and the document that it was written in: this one where there is none. */
static const struct yaml_place *find_place(const struct yaml_document *document,
                                           const json_t *value, const struct yaml_document **in)
{
    if (document->overlay != NULL)
        return yaml_overlay_find(document, value, in);
    *in = document;
    for (const struct yaml_document *at = document; at != NULL; at = at->joined) {
        const struct yaml_place *place = yaml_places_find(&at->places, value);

        if (place == NULL)
            continue;
        *in = at;
        return place;
    }
    return NULL;
}

struct yaml_spot yaml_spot(const struct yaml_document *document, const json_t *value)
{
    const struct yaml_document *owner;
    const struct yaml_place *place = find_place(document, value, &owner);
    struct yaml_spot spot = { .at.file = str_from(owner->file) };

    if (place == NULL)
        return spot;
    spot.at.line = place->line;
    spot.at.column = place->column;
    spot.width = place->width;
    return spot;
}

/* Where the key of a place of an overlay stands. */
static const struct yaml_document *key_owner(const struct yaml_document *document,
                                             const struct yaml_document *owner,
                                             const struct yaml_place *place)
{
    bool is_own = document->overlay != NULL && yaml_places_find(&document->places, place->value);

    return is_own ? document->overlay->below[place->key_origin] : owner;
}

struct yaml_spot yaml_spot_of_key(const struct yaml_document *document, const json_t *map,
                                  const char *key)
{
    const struct yaml_document *owner;
    const struct yaml_place *place = find_place(document, json_object_get(map, key), &owner);

    if (place == NULL || place->key_line == 0)
        return yaml_spot(document, map);
    return (struct yaml_spot){
        .at = { str_from(key_owner(document, owner, place)->file), place->key_line,
                place->key_column },
        .width = place->key_width,
    };
}

struct position yaml_at(const struct yaml_document *document, const json_t *value)
{
    return yaml_spot(document, value).at;
}

struct position yaml_at_key(const struct yaml_document *document, const json_t *map,
                            const char *key)
{
    return yaml_spot_of_key(document, map, key).at;
}

bool yaml_is_plain(const struct yaml_document *document, const json_t *scalar)
{
    const struct yaml_document *owner;
    const struct yaml_place *place = find_place(document, scalar, &owner);

    return place != NULL && place->is_plain;
}

struct str yaml_source(const struct yaml_document *document, struct position at)
{
    if (document->overlay != NULL)
        return yaml_overlay_source(document, at);
    for (const struct yaml_document *in = document; in != NULL; in = in->joined)
        if (str_eq(str_from(in->file), at.file))
            return yaml_text_line(yaml_text(in), at.line);
    return STR("");
}

/* ---- joining ---- */

struct joining {
    struct yaml_document *document;
    struct diagnostics *diagnostics;
};

static void complain_twice(const struct joining *joining, const json_t *map, const json_t *other,
                           const char *key)
{
    const struct yaml_document *document = joining->document;
    struct yaml_spot spot = yaml_spot_of_key(document, map, key);
    struct position first = yaml_at_key(document, other, key);

    (void)diagnostics_add(joining->diagnostics, DIAGNOSTIC_ERROR, spot.at,
                          yaml_source(document, spot.at), STR("write it in one of them"),
                          "'%s' stands in two files", key);
    diagnostics_underline(joining->diagnostics, spot.width);
    diagnostics_relate(joining->diagnostics, first, yaml_source(document, first), STR("here, too"));
}

static void join_value(const struct joining *joining, json_t *map, const char *key, json_t *value)
{
    if (json_object_set(map, key, value) != 0)
        (void)diagnostics_add(joining->diagnostics, DIAGNOSTIC_ERROR,
                              yaml_at(joining->document, value), STR(""), STR(""),
                              "no memory to join two files");
}

/* The depth is the caller's, so this ends. */
static void join_maps(const struct joining *joining, json_t *map, json_t *other, size_t depth)
{
    const char *key;
    json_t *value;

    json_object_foreach (other, key, value) {
        json_t *own = json_object_get(map, key);

        if (own == NULL)
            join_value(joining, map, key, value);
        else if (depth > 1 && json_is_object(own) && json_is_object(value))
            join_maps(joining, own, value, depth - 1);
        else
            complain_twice(joining, map, other, key);
    }
}

void yaml_join(struct yaml_document *document, struct yaml_document *take_other, size_t depth,
               struct diagnostics *diagnostics)
{
    const struct joining joining = { document, diagnostics };
    struct yaml_document *last = document;

    while (last->joined != NULL)
        last = last->joined;
    last->joined = take_other;
    join_maps(&joining, document->root, take_other->root, depth);
}
