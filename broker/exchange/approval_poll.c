#include "base/clock.h"
#include "base/error.h"
#include "exchange/approval.h"
#include "exchange/kept.h"

/* What each state comes to; a granted one goes on. */
static bool judge(const struct exchange_service *service, const struct store_approval *row,
                  struct error *error)
{
    bool is_over = row->expires_s <= clock_wall_s();

    switch (row->state) {
    case APPROVAL_USED:
        return error_set(error, ERROR_APPROVAL_CODE, "approval %s was used", row->id);
    case APPROVAL_REJECTED:
        return error_set(error, ERROR_APPROVAL_REJECTED, "approval %s was refused", row->id);
    case APPROVAL_PENDING:
    case APPROVAL_GRANTED:
        break;
    }
    if (is_over)
        return error_set(error, ERROR_APPROVAL_EXPIRED, "approval %s came to its end", row->id);
    if (row->state == APPROVAL_GRANTED)
        return true;
    if (!polls_admit(service->polls, row->code_sha256, clock_monotonic_ms()))
        return error_set(error, ERROR_SLOW_DOWN, "approval %s is asked for too often", row->id);
    return error_set(error, ERROR_APPROVAL_PENDING, "approval %s is pending", row->id);
}

static bool find(const struct exchange_service *service, struct str code,
                 struct store_approval *row, struct error *error)
{
    uint8_t digest[SHA256_LEN];
    struct error why = { 0 };

    sha256(code, digest);
    if (code.len == APPROVAL_CODE_LEN &&
        ledger_approval_by_code(service->ledger, digest, row, &why))
        return true;
    if (why.code == ERROR_LEDGER) {
        *error = why;
        return false;
    }
    return error_set(error, ERROR_APPROVAL_CODE, "no such code");
}

static bool open_kept(const struct exchange_service *service, const struct store_approval *row,
                      struct arena *arena, const struct kept **kept, struct error *error)
{
    struct error why = { 0 };
    struct str private_part;
    struct str entry;

    if (!ledger_entry_with_private(service->ledger, row->opened_index, arena, &entry, &private_part,
                                   error))
        return false;
    if (kept_open(service->tools.keys, private_part, str_from(row->id), arena, kept, &why))
        return true;
    return error_set(error, why.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_APPROVAL_CODE, "%s",
                     why.cause);
}

bool approval_poll(const struct exchange_service *service, struct str code, struct arena *arena,
                   struct exchange_request *request, struct error *error)
{
    struct store_approval *row = arena_alloc(arena, sizeof(*row));
    struct exchange_request asked = *request;
    const struct kept *kept;

    if (!row)
        return error_set(error, ERROR_MEMORY, "approval");
    if (!find(service, code, row, error) || !open_kept(service, row, arena, &kept, error))
        return false;
    *request = kept->request;
    request->proof = asked.proof;
    request->address = asked.address;
    request->approval = str_from(row->id);
    return !kept_is_held(kept, &request->proof) || judge(service, row, error);
}
