#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "base/yaml_internal.h"

#define HINT_MAX 160
#define LEAVE_OUT_HINT "leave it out, or quote the whole text"
#define EMPTY_HINT "write \"\" for an empty text, [] for an empty list, or leave it out"

/* A map or list under construction. */
struct frame {
    json_t *container; /* borrowed: hangs in the tree from its start */
    json_t *key;       /* owned; NULL where the next scalar is a key, and in lists */
    yaml_mark_t key_mark;
    uint16_t key_width;
    bool is_repeated; /* the key is there already */
};

struct builder {
    yaml_parser_t parser;
    struct yaml_document *document;
    struct diagnostics *diagnostics;
    json_t *discarded; /* values of repeated keys: alive, so that places stay unique */

    struct frame stack[YAML_DEPTH_MAX];
    size_t depth; /* how many of `stack` are open */

    struct str unread;   /* the text from the last scalar on */
    size_t unread_index; /* characters before it */
    bool has_document;
    bool is_finished;
};

static struct str document_text(const struct builder *builder)
{
    return (struct str){ builder->document->text, builder->document->text_len };
}

/* Report, and go on while there is room for more reports. */
static bool note(struct builder *builder, yaml_mark_t mark, struct str hint, const char *format,
                 ...) PRINTF_LIKE(4, 5);
static bool note(struct builder *builder, yaml_mark_t mark, struct str hint, const char *format,
                 ...)
{
    struct position at =
        yaml_position(str_from(builder->document->file), document_text(builder), mark);
    char message[DIAGNOSTIC_TEXT_MAX];
    va_list values;

    va_start(values, format);
    (void)vsnprintf(message, sizeof(message), format, values);
    va_end(values);
    (void)diagnostics_add(builder->diagnostics, DIAGNOSTIC_ERROR, at,
                          yaml_text_line(document_text(builder), at.line), hint, "%s", message);
    return builder->diagnostics->count < DIAGNOSTICS_MAX;
}

/* Report something behind which the rest of the file cannot be understood. */
static bool stop(struct builder *builder, yaml_mark_t mark, const char *hint, const char *message)
{
    (void)note(builder, mark, str_from(hint), "%s", message);
    return false;
}

static bool stop_without_memory(struct builder *builder)
{
    return stop(builder, builder->parser.mark, "", "no memory to read the file");
}

static struct frame *top(struct builder *builder)
{
    return builder->depth == 0 ? NULL : &builder->stack[builder->depth - 1];
}

static bool is_key_next(struct builder *builder)
{
    const struct frame *frame = top(builder);

    return frame != NULL && json_is_object(frame->container) && frame->key == NULL;
}

static bool note_tag(struct builder *builder, yaml_mark_t mark)
{
    return note(builder, mark, STR(LEAVE_OUT_HINT),
                "a leading '!' makes this a YAML tag, which is not allowed");
}

/*
 * Whether a scalar starts with '!'. libyaml drops that tag and tells nobody, so `! main` would be
 * read as `main`. Marks only move ahead, but for scalars that are not there; those have no tag.
 */
static bool has_dropped_tag(struct builder *builder, yaml_mark_t mark)
{
    size_t skipped;

    if (mark.index < builder->unread_index)
        return false;
    skipped = utf8_offset(builder->unread, mark.index - builder->unread_index);
    builder->unread = str_slice(builder->unread, skipped, builder->unread.len - skipped);
    builder->unread_index = mark.index;
    return str_starts_with(builder->unread, STR("!"));
}

static bool check_properties(struct builder *builder, const yaml_char_t *anchor,
                             const yaml_char_t *tag, yaml_mark_t mark)
{
    if (anchor != NULL)
        return note(builder, mark, STR(LEAVE_OUT_HINT),
                    "a leading '&' makes this a YAML anchor, which is not allowed");
    return tag == NULL || note_tag(builder, mark);
}

/* Hang a value into the tree. Where that fails the tree does not hold it. */
static bool attach(struct builder *builder, json_t *take_value)
{
    struct frame *frame = top(builder);

    if (frame == NULL) {
        builder->document->root = take_value;
        return true;
    }
    if (json_is_array(frame->container))
        return json_array_append_new(frame->container, take_value) == 0;
    if (frame->is_repeated)
        return json_array_append_new(builder->discarded, take_value) == 0;
    return json_put(frame->container, json_string_value(frame->key), take_value);
}

/* Characters of a scalar on one line; 0 where it has several, or too many. */
static uint16_t width_of(const yaml_event_t *event)
{
    size_t width = event->end_mark.column - event->start_mark.column;

    return event->start_mark.line != event->end_mark.line || width > UINT16_MAX ? 0
                                                                                : (uint16_t)width;
}

/* Hang in a value that stands where `place` says. */
static bool add_value(struct builder *builder, json_t *take_value, yaml_mark_t mark,
                      struct yaml_place place)
{
    const struct frame *frame = top(builder);

    place.value = take_value;
    place.line = (uint32_t)mark.line + 1;
    place.column = (uint32_t)mark.column + 1;

    if (frame != NULL && frame->key != NULL) {
        place.key_line = (uint32_t)frame->key_mark.line + 1;
        place.key_column = (uint32_t)frame->key_mark.column + 1;
        place.key_width = frame->key_width;
    }
    if (take_value == NULL || !attach(builder, take_value) ||
        !yaml_places_put(&builder->document->places, place))
        return stop_without_memory(builder);
    return true;
}

/* The value of the current key is there. */
static void end_member(struct builder *builder)
{
    struct frame *frame = top(builder);

    if (frame == NULL) {
        builder->has_document = true;
        return;
    }
    json_decref(frame->key);
    frame->key = NULL;
}

static bool open_container(struct builder *builder, json_t *take_container, yaml_mark_t mark)
{
    if (builder->depth == YAML_DEPTH_MAX) {
        json_decref(take_container);
        return stop(builder, mark, "", "nested deeper than 16 levels");
    }
    if (!add_value(builder, take_container, mark, (struct yaml_place){ 0 }))
        return false;
    builder->stack[builder->depth] = (struct frame){ .container = take_container };
    builder->depth++;
    return true;
}

static bool on_container_end(struct builder *builder, const yaml_event_t *event)
{
    (void)event;
    builder->depth--;
    end_member(builder);
    return true;
}

static bool on_sequence_start(struct builder *builder, const yaml_event_t *event)
{
    if (is_key_next(builder))
        return stop(builder, event->start_mark, "quote it if it is text",
                    "a key must be text, not a list");
    if (!check_properties(builder, event->data.sequence_start.anchor,
                          event->data.sequence_start.tag, event->start_mark))
        return false;
    return open_container(builder, json_array(), event->start_mark);
}

static bool on_mapping_start(struct builder *builder, const yaml_event_t *event)
{
    if (is_key_next(builder))
        return stop(builder, event->start_mark,
                    "'{{ ... }}' is the template syntax of other tools; quote it if it is text",
                    "a key must be text, not a map");
    if (!check_properties(builder, event->data.mapping_start.anchor, event->data.mapping_start.tag,
                          event->start_mark))
        return false;
    return open_container(builder, json_object(), event->start_mark);
}

static struct str scalar_text(const yaml_event_t *event)
{
    return (struct str){ (const char *)event->data.scalar.value, event->data.scalar.length };
}

static bool is_plain_scalar(const yaml_event_t *event)
{
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* What YAML takes for nothing: an empty place, `~` and the spellings of null. */
static bool is_null(const yaml_event_t *event)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

    for (size_t i = 0; i < COUNT(nulls); i++) {
        if (is_plain_scalar(event) && str_eq(scalar_text(event), str_from(nulls[i])))
            return true;
    }
    return false;
}

/* An escape can bring in what the file itself may not hold. */
static bool has_unwanted_control(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];

        if (byte != '\n' && byte != '\t' && str_has_control((struct str){ &byte, 1 }))
            return true;
    }
    return false;
}

/* A string of the tree. A text with a NUL has been reported; something must stand in its place. */
static json_t *new_string(struct str text)
{
    return json_from_str(str_find(text, '\0') < text.len ? STR("?") : text);
}

static bool note_repeated(struct builder *builder, const json_t *earlier, const yaml_event_t *event)
{
    const struct yaml_place *place = yaml_places_find(&builder->document->places, earlier);

    return note(builder, event->start_mark, STR("keep one of them"),
                "'" STR_FMT "' is here a second time, the first is at line %" PRIu32,
                STR_ARG(scalar_text(event)), place == NULL ? 0 : place->key_line);
}

static bool find_unseen(struct str text, uint32_t *unseen)
{
    while (utf8_take(&text, unseen))
        if (!utf8_is_seen(*unseen))
            return true;
    return false;
}

/* A scalar as the file has it, escapes and all. What is not read ahead of starts with it. */
static struct str written_text(const struct builder *builder, const yaml_event_t *event)
{
    if (event->start_mark.index != builder->unread_index)
        return scalar_text(event);
    return str_slice(builder->unread, 0,
                     utf8_offset(builder->unread, event->end_mark.index - event->start_mark.index));
}

/* Who reviews a value has to see all of it; in a comment nobody minds. */
static bool check_seen(struct builder *builder, const yaml_event_t *event)
{
    uint32_t unseen;

    if (!find_unseen(scalar_text(event), &unseen) ||
        !find_unseen(written_text(builder, event), &unseen))
        return true;
    return note(builder, event->start_mark,
                STR("remove it, or write it as an escape in double quotes"),
                "this text holds a character that is not seen: U+%04" PRIX32, unseen);
}

static bool check_key(struct builder *builder, const yaml_event_t *event)
{
    if (is_null(event))
        return note(builder, event->start_mark, STR("quote it if it is text"), "a key is missing");
    if (is_plain_scalar(event) && str_eq(scalar_text(event), STR("<<")))
        return note(builder, event->start_mark, STR("write the members out"),
                    "'<<' makes this a YAML merge key, which is not allowed");
    if (str_has_control(scalar_text(event)))
        return note(builder, event->start_mark, STR(""), "a key holds a control character");
    return check_seen(builder, event);
}

static bool take_key(struct builder *builder, const yaml_event_t *event)
{
    struct frame *frame = top(builder);
    const json_t *earlier;

    if (!check_key(builder, event))
        return false;
    frame->key = new_string(scalar_text(event));
    if (frame->key == NULL)
        return stop_without_memory(builder);
    frame->key_mark = event->start_mark;
    frame->key_width = width_of(event);
    earlier = json_object_get(frame->container, json_string_value(frame->key));
    frame->is_repeated = earlier != NULL;
    return earlier == NULL || note_repeated(builder, earlier, event);
}

/* Whether two digits stand around a ':': "08:00". */
static bool has_time(struct str text)
{
    static const char digits[] = "0123456789";

    for (size_t i = 1; i + 1 < text.len; i++)
        if (text.data[i] == ':' && str_is_made_of(str_slice(text, i - 1, 1), digits) &&
            str_is_made_of(str_slice(text, i + 1, 1), digits))
            return true;
    return false;
}

/* Whether a key without a value stands alone in braces, "{pr}": then it is meant as text. */
static bool is_alone_in_braces(struct builder *builder, struct str line, yaml_mark_t end)
{
    yaml_mark_t start = top(builder)->key_mark;
    size_t key = utf8_offset(line, start.column);
    size_t brace = utf8_offset(line, end.column);

    return start.line == end.line && key > 0 && line.data[key - 1] == '{' && brace < line.len &&
           line.data[brace] == '}';
}

/* What may have been meant by a key without a value; may use the storage `out`. */
static struct str hint_of_key(struct builder *builder, const yaml_event_t *event, char *out,
                              size_t out_size)
{
    const struct frame *frame = top(builder);
    struct str line = yaml_text_line(document_text(builder), frame->key_mark.line + 1);
    struct str key = json_str(frame->key);

    if (has_time(key))
        return STR("put a space behind the ':' of a key; a time alone is text, without { }");
    if (str_find(key, ':') < key.len)
        return STR("put a space behind the ':'");
    if (is_alone_in_braces(builder, line, event->start_mark))
        return yaml_quote_hint(line, frame->key_mark.column, out, out_size);
    return STR(EMPTY_HINT);
}

static bool note_empty(struct builder *builder, const yaml_event_t *event)
{
    const struct frame *frame = top(builder);
    struct str key = frame == NULL ? STR("") : json_str(frame->key);
    char quoted[HINT_MAX];

    if (scalar_text(event).len > 0)
        return note(builder, event->start_mark, STR("leave it out, or quote it if it is text"),
                    "'" STR_FMT "' is YAML's null, which is not allowed",
                    STR_ARG(scalar_text(event)));
    if (frame == NULL)
        return note(builder, event->start_mark, STR(""), "the file is empty");
    if (frame->key == NULL)
        return note(builder, event->start_mark, STR(EMPTY_HINT), "an item of this list is empty");
    return note(builder, frame->key_mark, hint_of_key(builder, event, quoted, sizeof(quoted)),
                "'" STR_FMT "' has no value", STR_ARG(key));
}

static bool check_value(struct builder *builder, const yaml_event_t *event)
{
    if (is_null(event))
        return note_empty(builder, event);
    if (has_unwanted_control(scalar_text(event)))
        return note(builder, event->start_mark, STR("only \\n and \\t are allowed"),
                    "an escape stands for a control character");
    return check_seen(builder, event);
}

static bool take_scalar(struct builder *builder, const yaml_event_t *event)
{
    const struct yaml_place place = { .width = width_of(event),
                                      .is_plain = is_plain_scalar(event) };

    if (!check_value(builder, event))
        return false;
    if (!add_value(builder, new_string(scalar_text(event)), event->start_mark, place))
        return false;
    end_member(builder);
    return true;
}

static bool on_scalar(struct builder *builder, const yaml_event_t *event)
{
    const yaml_char_t *tag = event->data.scalar.tag;

    if (!check_properties(builder, event->data.scalar.anchor, tag, event->start_mark))
        return false;
    if (has_dropped_tag(builder, event->start_mark) && tag == NULL &&
        !note_tag(builder, event->start_mark))
        return false;
    return is_key_next(builder) ? take_key(builder, event) : take_scalar(builder, event);
}

static bool on_alias(struct builder *builder, const yaml_event_t *event)
{
    struct str line = yaml_text_line(document_text(builder), event->start_mark.line + 1);
    char hint[HINT_MAX];

    if (!note(builder, event->start_mark,
              yaml_quote_hint(line, event->start_mark.column + 1, hint, sizeof(hint)),
              "a leading '*' makes this a YAML alias, which is not allowed"))
        return false;
    if (is_key_next(builder))
        return false; /* what follows would be taken for keys */
    if (!add_value(builder, json_from_str(STR("?")), event->start_mark, (struct yaml_place){ 0 }))
        return false;
    end_member(builder);
    return true;
}

static bool on_document_start(struct builder *builder, const yaml_event_t *event)
{
    if (builder->has_document)
        return stop(builder, event->start_mark, "put it into a file of its own",
                    "a second YAML document, where a file holds one");
    return true;
}

static bool on_stream_end(struct builder *builder, const yaml_event_t *event)
{
    if (!builder->has_document)
        return stop(builder, event->start_mark, "", "the file is empty");
    builder->is_finished = true;
    return true;
}

static bool on_nothing(struct builder *builder, const yaml_event_t *event)
{
    (void)builder;
    (void)event;
    return true;
}

/* Each takes one event; false stops the reading, and has been reported. */
static bool (*const handlers[])(struct builder *, const yaml_event_t *) = {
    [YAML_NO_EVENT] = on_nothing,
    [YAML_STREAM_START_EVENT] = on_nothing,
    [YAML_STREAM_END_EVENT] = on_stream_end,
    [YAML_DOCUMENT_START_EVENT] = on_document_start,
    [YAML_DOCUMENT_END_EVENT] = on_nothing,
    [YAML_ALIAS_EVENT] = on_alias,
    [YAML_SCALAR_EVENT] = on_scalar,
    [YAML_SEQUENCE_START_EVENT] = on_sequence_start,
    [YAML_SEQUENCE_END_EVENT] = on_container_end,
    [YAML_MAPPING_START_EVENT] = on_mapping_start,
    [YAML_MAPPING_END_EVENT] = on_container_end,
};

/* Where the innermost map or list starts that is not ended; line 0: there is none. */
static struct position innermost(struct builder *builder)
{
    const struct frame *frame = top(builder);

    if (frame == NULL)
        return (struct position){ str_from(builder->document->file), 0, 0 };
    return yaml_at(builder->document, frame->container);
}

static bool take_event(struct builder *builder)
{
    yaml_event_t event;
    bool go_on;

    if (!yaml_parser_parse(&builder->parser, &event))
        return yaml_explain(&builder->parser, innermost(builder), document_text(builder),
                            builder->diagnostics);
    go_on = handlers[event.type](builder, &event);
    yaml_event_delete(&event);
    return go_on;
}

static void builder_release(struct builder *builder)
{
    for (size_t i = 0; i < builder->depth; i++)
        json_decref(builder->stack[i].key);
    json_decref(builder->discarded);
    yaml_parser_delete(&builder->parser);
}

bool yaml_build(struct yaml_document *document, struct diagnostics *diagnostics)
{
    struct builder builder = {
        .document = document,
        .diagnostics = diagnostics,
        .discarded = json_array(),
        .unread = { document->text, document->text_len },
    };
    size_t errors_before = diagnostics->error_count;

    if (!yaml_parser_initialize(&builder.parser) || builder.discarded == NULL) {
        builder_release(&builder);
        return stop_without_memory(&builder);
    }
    yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&builder.parser, (const unsigned char *)document->text,
                                 document->text_len);
    while (!builder.is_finished && take_event(&builder))
        ;
    builder_release(&builder);
    return diagnostics->error_count == errors_before;
}
