#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "targets/x509_internal.h"

#define FULCIO "1.3.6.1.4.1.57264.1."
#define UTF8_STRING 0x0c
#define VALUE_MAX ((size_t)2048)

/* Of these only what is a URL by itself is said: none is made up of parts. */
enum form {
    FORM_TEXT,
    FORM_URL,
};

static const struct fact_row {
    const char *oid;
    const char *fact; /* of ci.* */
    enum form form;
} fact_rows[] = {
    { FULCIO "9", "workflow_ref", FORM_URL }, /* build signer URI */
    { FULCIO "10", "workflow_commit", FORM_TEXT },
    { FULCIO "11", "runner", FORM_TEXT },
    { FULCIO "12", "repository", FORM_URL },
    { FULCIO "13", "commit", FORM_TEXT },
    { FULCIO "14", "ref", FORM_TEXT },
    { FULCIO "15", "repository_id", FORM_TEXT },
    { FULCIO "16", "owner", FORM_URL },
    { FULCIO "17", "owner_id", FORM_TEXT },
    { FULCIO "20", "event", FORM_TEXT },
    { FULCIO "21", "run", FORM_URL },
    { FULCIO "23", "environment", FORM_TEXT },
};

_Static_assert(COUNT(fact_rows) + 2 <= CODE_SIGNING_EXTENSIONS_MAX, "room for all of them");

/* DER: its length in one byte below 128, else the number of bytes that it takes in front. */
static void add_length(struct buf *der, size_t len)
{
    if (len >= 0x100) {
        buf_add_byte(der, 0x82);
        buf_add_byte(der, (uint8_t)(len >> 8));
    } else if (len >= 0x80) {
        buf_add_byte(der, 0x81);
    }
    buf_add_byte(der, (uint8_t)(len & 0xff));
}

static bool add_text(const struct mint *mint, const char *oid, struct str text,
                     struct certificate_extension *rows, size_t *count)
{
    OWNED(buf_release) struct buf der = { 0 };
    struct certificate_extension *row = &rows[*count];

    if (text.len == 0 || text.len > VALUE_MAX || str_has_control(text))
        return true;
    buf_init(&der, VALUE_MAX + 4);
    buf_add_byte(&der, UTF8_STRING);
    add_length(&der, text.len);
    buf_add(&der, text);
    *row = (struct certificate_extension){ oid, arena_copy(mint->arena, buf_str(&der)) };
    (*count)++;
    return buf_is_ok(&der) && row->value.data != NULL;
}

static struct str fact_text(const struct mint *mint, const struct fact_row *row)
{
    struct str text = json_str(json_object_get(mint->ci, row->fact));

    return row->form == FORM_URL && !str_starts_with(text, STR("https://")) ? STR("") : text;
}

bool code_signing_extensions(const struct mint *mint,
                             struct certificate_extension rows[CODE_SIGNING_EXTENSIONS_MAX],
                             size_t *count, struct error *error)
{
    *count = 0;
    if (!add_text(mint, FULCIO "8", mint->ci_issuer, rows, count))
        return error_set(error, ERROR_MEMORY, "no memory for a certificate");
    for (size_t i = 0; i < COUNT(fact_rows); i++)
        if (!add_text(mint, fact_rows[i].oid, fact_text(mint, &fact_rows[i]), rows, count))
            return error_set(error, ERROR_MEMORY, "no memory for a certificate");
    return add_text(mint, FULCIO "24", mint->ci_subject, rows, count) ||
           error_set(error, ERROR_MEMORY, "no memory for a certificate");
}
