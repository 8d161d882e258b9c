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
    json_decref(document->root);
    yaml_places_release(&document->places);
    free(document->text);
    free(document->file);
    free(document);
}

const json_t *yaml_root(const struct yaml_document *document)
{
    return document->root;
}

struct position yaml_at(const struct yaml_document *document, const json_t *value)
{
    const struct yaml_place *place = yaml_places_find(&document->places, value);
    struct position at = { str_from(document->file), 0, 0 };

    if (place != NULL) {
        at.line = place->line;
        at.column = place->column;
    }
    return at;
}

struct position yaml_at_key(const struct yaml_document *document, const json_t *map,
                            const char *key)
{
    const struct yaml_place *place = yaml_places_find(&document->places, json_object_get(map, key));

    if (place == NULL)
        return yaml_at(document, map);
    return (struct position){ str_from(document->file), place->key_line, place->key_column };
}

bool yaml_is_plain(const struct yaml_document *document, const json_t *scalar)
{
    const struct yaml_place *place = yaml_places_find(&document->places, scalar);

    return place != NULL && place->is_plain;
}

struct str yaml_line(const struct yaml_document *document, size_t line)
{
    return yaml_text_line(yaml_text(document), line);
}
