#include "targets/ssh_krl.h"

#include "base/error.h"

#define FORMAT_VERSION 1
#define SECTION_CERTIFICATES 1
#define SECTION_SERIALS 0x20

static bool add_certificates(const struct ssh_krl *krl, struct buf *out)
{
    OWNED(buf_release) struct buf section = { 0 };
    OWNED(buf_release) struct buf serials = { 0 };

    buf_init(&serials, out->max);
    for (size_t i = 0; i < krl->count; i++)
        buf_add_u64(&serials, krl->serials[i]);
    buf_init(&section, out->max);
    buf_add_sized(&section, krl->ca);
    buf_add_sized(&section, STR("")); /* reserved */
    buf_add_byte(&section, SECTION_SERIALS);
    buf_add_sized(&section, buf_str(&serials));
    buf_add_byte(out, SECTION_CERTIFICATES);
    buf_add_sized(out, buf_str(&section));
    return buf_is_ok(&section) && buf_is_ok(&serials);
}

bool ssh_krl_write(const struct ssh_krl *krl, struct buf *out, struct error *error)
{
    if (krl->count > SSH_KRL_MAX / 16)
        return error_set(error, ERROR_LIMIT, "more than %zu revoked certificates",
                         SSH_KRL_MAX / 16);
    buf_add(out, STR("SSHKRL\n\0"));
    buf_add_u32(out, FORMAT_VERSION);
    buf_add_u64(out, krl->version);
    buf_add_u64(out, (uint64_t)krl->now_s);
    buf_add_u64(out, 0);         /* flags */
    buf_add_sized(out, STR("")); /* reserved */
    buf_add_sized(out, krl->comment);
    return ((krl->count == 0 || add_certificates(krl, out)) && buf_is_ok(out)) ||
           error_set(error, ERROR_MEMORY, "no memory for a list");
}
