#include "stream/syslog_message.h"

#include "base/buf.h"
#include "stream/batch.h"

#define MSGID_MAX 32

/* A header's field: printable ASCII without space, at most so much, "-" for nothing. */
static void write_field(struct buf *out, struct str text, size_t max)
{
    if (text.len == 0)
        buf_add_byte(out, '-');
    for (size_t i = 0; i < text.len && i < max; i++)
        buf_add_byte(out, text.data[i] > ' ' && text.data[i] <= '~' ? (uint8_t)text.data[i] : '?');
}

void syslog_write_message(const struct syslog_origin *origin, const struct stream_item *item,
                          struct buf *out)
{
    buf_printf(out, "<%u>1 ", origin->facility * 8 + item->severity->syslog);
    write_field(out, item->members[MEMBER_TIME], SYSLOG_HOST_MAX);
    buf_add_byte(out, ' ');
    write_field(out, str_from(origin->host), SYSLOG_HOST_MAX - 1);
    buf_printf(out, " stagepass %d ", origin->process);
    write_field(out, item->members[MEMBER_TYPE], MSGID_MAX);
    buf_add_text(out, " [origin software=\"stagepass\" swVersion=\"" STAGEPASS_VERSION "\"] ");
    item_write_json(item, out);
}

void syslog_write_frame(const struct syslog_origin *origin, const struct stream_item *item,
                        struct buf *scratch, struct buf *out)
{
    buf_clear(scratch);
    syslog_write_message(origin, item, scratch);
    buf_printf(out, "%zu ", buf_str(scratch).len);
    buf_add(out, buf_str(scratch));
}
