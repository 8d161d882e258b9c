#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/yaml.h"
#include "base/yaml_internal.h"

#define OTHERS_FIRST 16

struct yaml_document *yaml_overlay_new(const struct yaml_document *base)
{
    OWNED(yaml_document_free) struct yaml_document *document = calloc(1, sizeof(*document));

    if (document == NULL)
        return NULL;
    document->overlay = calloc(1, sizeof(*document->overlay));
    document->file = strdup(base->file);
    if (document->overlay == NULL || document->file == NULL)
        return NULL;
    document->root = json_incref(base->root);
    document->overlay->below[0] = base;
    document->overlay->below_count = 1;
    return TAKE(document);
}

void yaml_overlay_free(struct yaml_overlay *overlay)
{
    if (overlay == NULL)
        return;
    free(overlay->others);
    free(overlay);
}

bool yaml_overlay_add(struct yaml_document *document, const struct yaml_document *other)
{
    struct yaml_overlay *overlay = document->overlay;

    for (size_t i = 0; i < overlay->below_count; i++)
        if (overlay->below[i] == other)
            return true;
    if (overlay->below_count == YAML_OVERLAY_MAX)
        return false;
    overlay->below[overlay->below_count++] = other;
    return true;
}

void yaml_overlay_use(struct yaml_document *document, const json_t *at)
{
    document->overlay->used_at = at;
}

/* ---- places ---- */

/* The place of a value that stands in a document below, and which one. */
static const struct yaml_place *find_below(const struct yaml_overlay *overlay, const json_t *value,
                                           size_t *origin)
{
    for (size_t i = 0; i < overlay->below_count; i++) {
        const struct yaml_place *place = yaml_places_find(&overlay->below[i]->places, value);

        if (place == NULL)
            continue;
        *origin = i;
        return place;
    }
    return NULL;
}

const struct yaml_place *yaml_overlay_find(const struct yaml_document *document,
                                           const json_t *value, const struct yaml_document **owner)
{
    const struct yaml_place *place = yaml_places_find(&document->places, value);
    size_t origin = 0;

    if (place == NULL)
        place = find_below(document->overlay, value, &origin);
    else
        origin = place->origin;
    *owner = document->overlay->below[origin];
    return place;
}

struct str yaml_overlay_source(const struct yaml_document *document, struct position at)
{
    const struct yaml_overlay *overlay = document->overlay;

    for (size_t i = 0; i < overlay->below_count; i++)
        if (str_eq(at.file, str_from(overlay->below[i]->file)))
            return yaml_source(overlay->below[i], at);
    return STR("");
}

static bool remember_other(struct yaml_overlay *overlay, const json_t *value,
                           const struct yaml_stand *stand)
{
    if (stand->other == NULL)
        return true;
    if (overlay->other_count == overlay->other_capacity) {
        size_t capacity = overlay->other_capacity == 0 ? OTHERS_FIRST : overlay->other_capacity * 2;
        struct yaml_other *larger = realloc(overlay->others, capacity * sizeof(*larger));

        if (larger == NULL)
            return false;
        overlay->others = larger;
        overlay->other_capacity = capacity;
    }
    overlay->others[overlay->other_count++] =
        (struct yaml_other){ value, stand->other, stand->note, stand->note_has_text };
    return true;
}

bool yaml_overlay_place(struct yaml_document *document, const json_t *value,
                        const struct yaml_stand *stand)
{
    struct yaml_overlay *overlay = document->overlay;
    size_t origin = 0;
    size_t key_origin = 0;
    const struct yaml_place *at = find_below(overlay, stand->at, &origin);
    const struct yaml_place *key =
        stand->key == NULL ? NULL : find_below(overlay, stand->key, &key_origin);
    struct yaml_place place = { .value = value };

    if (at != NULL)
        place = *at;
    place.value = value;
    place.origin = (uint8_t)origin;
    place.key_origin = (uint8_t)key_origin;
    place.key_line = key == NULL ? 0 : key->key_line;
    place.key_column = key == NULL ? 0 : key->key_column;
    place.key_width = key == NULL ? 0 : key->key_width;
    return yaml_places_put(&document->places, place) && remember_other(overlay, value, stand);
}

/* ---- reports ---- */

static const struct yaml_other *find_other(const struct yaml_overlay *overlay, const json_t *value)
{
    for (size_t i = 0; value != NULL && i < overlay->other_count; i++)
        if (overlay->others[i].value == value)
            return &overlay->others[i];
    return NULL;
}

void yaml_overlay_relate(const struct yaml_document *document, const json_t *value,
                         struct yaml_spot *spot)
{
    const struct yaml_overlay *overlay = document->overlay;
    const struct yaml_other *other = overlay == NULL ? NULL : find_other(overlay, value);

    if (other != NULL) {
        spot->related = yaml_at(document, other->other);
        spot->note = other->note;
        if (other->note_has_text)
            spot->note_text = json_str(value);
        return;
    }
    if (overlay == NULL || overlay->used_at == NULL ||
        str_eq(spot->at.file, str_from(document->file)))
        return;
    spot->related = yaml_at(document, overlay->used_at);
    spot->note = "used here";
}
