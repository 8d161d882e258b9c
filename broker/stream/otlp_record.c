#include "stream/otlp_record.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "stream/batch.h"

#define NS_PER_MS "000000" /* behind milliseconds: these are positive */

const struct str otlp_tail = STR_INIT("]}]}]}");

static void write_text(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":\"", name);
    buf_add_json_text(out, value);
    buf_add_text(out, "\"}}");
}

/* What stood in JSON is escaped already. */
static void write_escaped(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, "{\"key\":\"stagepass.%s\",\"value\":{\"stringValue\":\"", name);
    buf_add(out, value);
    buf_add_text(out, "\"}}");
}

static void write_attributes(const struct stream_item *item, struct buf *out)
{
    buf_printf(out,
               "\"attributes\":[{\"key\":\"stagepass.index\",\"value\":{\"intValue\":\"%" PRIu64
               "\"}}",
               item->index);
    for (enum stream_member i = 0; i < STREAM_MEMBER_COUNT; i++) {
        if (item->members[i].len == 0 || i == MEMBER_TIME)
            continue;
        buf_add_byte(out, ',');
        write_escaped(out, stream_member_name(i), item->members[i]);
    }
    if (item->private_part.len > 0) {
        buf_add_byte(out, ',');
        write_text(out, "stagepass.private", item->private_part);
    }
    buf_add_byte(out, ']');
}

void otlp_write_record(const struct stream_item *item, struct buf *out)
{
    int64_t time_ms = 0;

    if (!time_text_parse(item->members[MEMBER_TIME], &time_ms))
        time_ms = 0; /* "unknown or missing" */
    buf_printf(out, "{\"timeUnixNano\":\"%" PRId64 "%s\"", time_ms, time_ms > 0 ? NS_PER_MS : "");
    buf_printf(out, ",\"observedTimeUnixNano\":\"%" PRId64 NS_PER_MS "\"", clock_wall_ms());
    buf_printf(out, ",\"severityNumber\":%u,\"severityText\":\"%s\",\"eventName\":\"",
               item->severity->otlp, item->severity->name);
    buf_add(out, item->members[MEMBER_TYPE]);
    buf_add_text(out, "\",\"body\":{\"stringValue\":\"");
    buf_add_json_text(out, item->entry);
    buf_add_text(out, "\"},");
    write_attributes(item, out);
    buf_add_byte(out, '}');
}

void otlp_write_head(struct str origin, struct buf *out)
{
    buf_add_text(out, "{\"resourceLogs\":[{\"resource\":{\"attributes\":[");
    write_text(out, "service.name", STR("stagepass"));
    buf_add_byte(out, ',');
    write_text(out, "service.version", STR(STAGEPASS_VERSION));
    buf_add_byte(out, ',');
    write_text(out, "stagepass.ledger.origin", origin);
    buf_add_text(out, "]},\"scopeLogs\":[{\"scope\":{\"name\":\"stagepass.ledger\",\"version\":\"");
    buf_add_text(out, STAGEPASS_VERSION "\"},\"logRecords\":[");
}

/* ProtoJSON lets a 64-bit number be a string or a number. */
static int64_t read_count(const json_t *value)
{
    int64_t count = 0;

    if (json_is_integer(value))
        count = json_integer_value(value);
    else if (!json_is_string(value) || !str_to_int64(json_str(value), &count))
        return 0;
    return count > 0 ? count : 0;
}

size_t otlp_read_rejected(struct str body)
{
    JSON_OWNED json_t *answer = NULL;

    if (!json_parse_object(body, JSON_LIMITS_REQUEST, &answer, &(struct error){ 0 }))
        return 0;
    return (size_t)read_count(
        json_object_get(json_object_get(answer, "partialSuccess"), "rejectedLogRecords"));
}
