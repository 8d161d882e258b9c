#include <assert.h>
#include <stdint.h>

#include "base/json.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every value has its place, every string is text. */
static void check(const struct yaml_document *document, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;

    assert(yaml_at(document, value).line > 0);
    assert(json_is_string(value) || json_is_object(value) || json_is_array(value));
    json_array_foreach (value, i, member)
        check(document, member);
    json_object_foreach (json_iterable(value), key, member) {
        assert(yaml_at_key(document, value, key).line > 0);
        check(document, member);
    }
}

/* A refusal says why, in text that can be shown. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    OWNED(buf_release) struct buf buf = { 0 };
    OWNED(yaml_document_free) struct yaml_document *document = NULL;
    struct diagnostics diagnostics;
    bool is_read;

    if (arena == NULL)
        return 0;
    diagnostics_init(&diagnostics, arena);
    buf_init(&buf, 1024 * 1024);
    is_read = yaml_parse(STR("a.yaml"), (struct str){ (const char *)data, size }, &diagnostics,
                         &document);
    diagnostics_write(&diagnostics, &buf);
    assert(is_read == (document != NULL) && is_read == (diagnostics.error_count == 0));
    assert(buf_is_ok(&buf) && str_is_utf8(buf_str(&buf)));
    if (is_read)
        check(document, yaml_root(document));
    return 0;
}
