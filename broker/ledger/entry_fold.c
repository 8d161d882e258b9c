#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "ledger/entry_internal.h"
#include "ledger/lease_key.h"

static bool get_str(const struct entry_view *entry, enum member member, struct str *text)
{
    if (!json_is_string(entry->values[member]))
        return false;
    *text = json_str(entry->values[member]);
    return true;
}

/* The change that comes next, all zero: those behind it are not touched. */
static struct store_change *next_change(struct store_change *changes, size_t count)
{
    memset(&changes[count], 0, sizeof(changes[count]));
    return &changes[count];
}

/* A change of one mark; the lease is what tells an exchange's two entries from two exchanges. */
static bool read_mark(const json_t *object, const struct entry_view *entry,
                      struct store_change *change)
{
    struct str mark = { 0 };
    struct str holder = { 0 };
    struct str lease = { 0 };
    int64_t exp = 0;

    if (!json_get_str(object, "mark", &mark) || !json_get_time(object, "exp", &exp) ||
        !hex_decode(mark, change->mark))
        return false;
    if (json_get_str(object, "holder", &holder) && !hex_decode(holder, change->holder))
        return false;
    if (entry != NULL && get_str(entry, MEMBER_LEASE, &lease) && id_is_valid(lease))
        memcpy(change->lease.id, lease.data, ID_LEN);
    change->expires_s = exp > INT64_MAX - ENTRY_MARK_KEPT_S ? INT64_MAX : exp + ENTRY_MARK_KEPT_S;
    return true;
}

/* Of a renewal, whose lease was opened long ago: the proof is used, and used first, by this. */
static bool fold_proof(const struct entry_view *entry, struct store_change *changes,
                       size_t *change_count, struct error *error)
{
    const json_t *token = entry->values[MEMBER_TOKEN];
    const json_t *proof = json_object_get(token, "proof");
    struct store_change *change = NULL;

    if (proof == NULL)
        return true;
    change = next_change(changes, *change_count);
    if (!entry_view_fits(entry, MEMBER_TOKEN) || !read_mark(proof, NULL, change))
        return error_set(error, ERROR_INVALID, "%s: no mark of a proof", entry->row->name);
    change->kind = STORE_SET_MARK;
    (*change_count)++;
    return true;
}

/* The token's mark, and that of the proof it came with, which is used up however it ends. */
static bool fold_marks(const struct entry_view *entry, struct store_change *changes,
                       size_t *change_count, struct error *error)
{
    const json_t *token = entry->values[MEMBER_TOKEN];
    const json_t *proof = json_object_get(token, "proof");
    struct store_change *change = NULL;

    if (entry->row->mark == MARK_OF_PROOF_IS_SET)
        return fold_proof(entry, changes, change_count, error);
    if (entry->row->mark == MARK_IS_SET_ALONE &&
        (token == NULL || entry->values[MEMBER_LEASE] != NULL))
        return true;
    if (entry->row->mark == MARK_IS_SET_BESIDE && token == NULL)
        return true;
    if (entry->row->mark == MARK_STAYS || entry->row->mark == BLOCK_IS_PUT ||
        entry->row->mark == BLOCK_IS_REMOVED ||
        (entry->row->mark == MARK_IS_FREED && token == NULL))
        return true;
    change = next_change(changes, *change_count);
    if (token == NULL || !entry_view_fits(entry, MEMBER_TOKEN) ||
        !read_mark(token, entry->row->mark == MARK_IS_SET_BESIDE ? NULL : entry, change))
        return error_set(error, ERROR_INVALID, "%s: no mark", entry->row->name);
    change->kind = entry->row->mark == MARK_IS_FREED ? STORE_FREE_MARK : STORE_SET_MARK;
    if (!json_is_true(json_object_get(token, "asked"))) /* who asked for the approval has set it */
        (*change_count)++;
    if (proof == NULL || entry->row->mark != MARK_IS_SET)
        return true;
    change = next_change(changes, *change_count);
    if (!read_mark(proof, entry, change))
        return error_set(error, ERROR_INVALID, "%s: no mark of a proof", entry->row->name);
    change->kind = STORE_SET_MARK;
    (*change_count)++;
    return true;
}

static bool read_handle(const struct entry_view *entry, uint8_t handle_sha256[32])
{
    const json_t *handle = entry->values[MEMBER_HANDLE];
    struct str text = { 0 };

    if (handle == NULL)
        return true;
    if (!entry_view_fits(entry, MEMBER_HANDLE))
        return false;
    text = json_str(handle);
    return hex_decode(str_slice(text, sizeof(SHA256_PREFIX) - 1, text.len), handle_sha256);
}

static bool fold_block(const struct entry_view *entry, struct store_change *changes,
                       size_t *change_count, struct error *error)
{
    struct store_change *change = NULL;
    bool is_put = entry->row->mark == BLOCK_IS_PUT;
    struct str until = { 0 };
    struct str id = { 0 };
    int64_t until_ms = 0;

    if (!is_put && entry->row->mark != BLOCK_IS_REMOVED)
        return true;
    if (!get_str(entry, MEMBER_BLOCK, &id) || !id_is_valid(id) ||
        (is_put && (!get_str(entry, MEMBER_UNTIL, &until) || !time_text_parse(until, &until_ms))))
        return error_set(error, ERROR_INVALID, "%s: block or its end is malformed",
                         entry->row->name);
    change = next_change(changes, *change_count);
    change->kind = is_put ? STORE_PUT_BLOCK : STORE_REMOVE_BLOCK;
    change->expires_s = until_ms / 1000;
    memcpy(change->block, id.data, ID_LEN);
    (*change_count)++;
    return true;
}

/* The texts of small numbers; what does not fit is malformed. */
static bool read_u16(const struct entry_view *entry, enum member member, uint16_t *out)
{
    const json_t *value = entry->values[member];

    if (value == NULL)
        return true;
    if (!entry_view_fits(entry, member) || json_integer_value(value) > UINT16_MAX)
        return false;
    *out = (uint16_t)json_integer_value(value);
    return true;
}

/* A time in whole seconds; 0 where it is not there. */
static bool read_time(const struct entry_view *entry, enum member member, int64_t *wall_s)
{
    struct str text = { 0 };
    int64_t wall_ms = 0;

    if (entry->values[member] == NULL)
        return true;
    if (!get_str(entry, member, &text) || !time_text_parse(text, &wall_ms))
        return false;
    *wall_s = wall_ms / 1000;
    return true;
}

static bool read_ms(const json_t *value, int64_t *wall_ms)
{
    return json_is_string(value) && time_text_parse(json_str(value), wall_ms);
}

/*
 * What is ended by a list, or by a name, is refused until it expires, and then of no use any more.
 * Of what is ended at once its entry says whether that is so.
 */
static bool lapses(const json_t *credential)
{
    struct str revoke = json_str(json_object_get(credential, "revoke"));

    return str_eq(revoke, STR("list")) || str_eq(revoke, STR("name")) ||
           (str_eq(revoke, STR("now")) && json_is_true(json_object_get(credential, "lapses")));
}

/* Whether nothing of a credential is left once its lease has expired. */
static bool lapses_with(const json_t *credential, const struct entry_view *entry)
{
    int64_t lease_ms = 0;
    int64_t own_ms = 0;

    return lapses(credential) && read_ms(entry->values[MEMBER_LEASE_EXPIRES], &lease_ms) &&
           read_ms(json_object_get(credential, "expires_at"), &own_ms) && own_ms <= lease_ms;
}

/* What is owed for the credentials that an entry names. */
static enum store_debt debt_for(const struct entry_view *entry)
{
    const json_t *credentials = entry->values[MEMBER_CREDENTIALS];
    enum store_debt debt = DEBT_NONE;

    for (size_t i = 0; i < json_array_size(credentials); i++) {
        const json_t *credential = json_array_get(credentials, i);

        if (json_object_get(credential, "revoke") == NULL)
            continue;
        if (!lapses_with(credential, entry))
            return DEBT_OWED;
        debt = DEBT_LAPSES;
    }
    return debt;
}

/* What opens a lease, or says how that came out, says all; a renewal adds to what there was. */
static enum store_debt read_debt(const struct entry_view *entry)
{
    enum store_debt debt = debt_for(entry);

    if (entry->type == ENTRY_CREDENTIAL_REVOKED)
        return json_array_size(entry->values[MEMBER_PENDING]) > 0 ? DEBT_STAYS : DEBT_NONE;
    if (debt != DEBT_NONE)
        return debt;
    return entry->row->lease == LEASE_REQUESTED || entry->row->lease == LEASE_ISSUED ||
                   entry->row->lease == LEASE_FAILED || entry->row->lease == LEASE_UNKNOWN
               ? DEBT_NONE
               : DEBT_STAYS;
}

/* What came of a mint whose lease had ended meanwhile is told of it, and does not bring it back. */
static bool moves_state(const struct entry_view *entry)
{
    return entry->row->lease > 0 &&
           !(entry->type == ENTRY_CREDENTIAL_UNKNOWN &&
             str_eq(json_str(entry->values[MEMBER_REASON]), STR(ENTRY_REASON_LEASE_ENDED)));
}

static enum store_outcome read_outcome(const struct entry_view *entry)
{
    struct str outcome = { 0 };

    if (!get_str(entry, MEMBER_OUTCOME, &outcome))
        return OUTCOME_UNSAID;
    return str_eq(outcome, STR("success")) ? OUTCOME_SUCCESS : OUTCOME_FAILURE;
}

static void read_keys(const struct entry_view *entry, struct store_lease *lease)
{
    struct lease_key_parts parts = {
        .stage = json_str(entry->values[MEMBER_STAGE]),
        .instance = json_str(entry->values[MEMBER_INSTANCE]),
        .issuer = json_str(entry->values[MEMBER_ISSUER]),
        .ci = entry->values[MEMBER_CI],
    };

    lease->attempt = lease_keys(&parts, lease->keys);
}

static bool fold_lease(const struct entry_view *entry, struct store_change *changes,
                       size_t *change_count, struct error *error)
{
    struct store_change *change = NULL;
    struct store_lease *lease = NULL;
    uint8_t handle[32] = { 0 };
    struct str id = { 0 };

    if (entry->row->lease == LEASE_STAYS || entry->values[MEMBER_LEASE] == NULL)
        return true;
    change = next_change(changes, *change_count);
    lease = &change->lease;
    if (!get_str(entry, MEMBER_LEASE, &id) || !id_is_valid(id) || !read_handle(entry, handle) ||
        !read_time(entry, MEMBER_LEASE_EXPIRES, &lease->expires_s) ||
        !read_time(entry, MEMBER_KEPT_UNTIL, &lease->kept_until_s) ||
        !read_u16(entry, MEMBER_HEARTBEAT_S, &lease->heartbeat_s) ||
        !read_u16(entry, MEMBER_RENEWAL, &lease->renewal))
        return error_set(error, ERROR_INVALID, "%s: lease, handle, expiry or a number is malformed",
                         entry->row->name);
    change->kind = STORE_PUT_LEASE;
    lease->state = moves_state(entry) ? (enum store_lease_state)entry->row->lease : 0;
    lease->debt = read_debt(entry);
    lease->outcome = read_outcome(entry);
    lease->has_credentials = entry->type != ENTRY_CREDENTIAL_REVOKED &&
                             json_array_size(entry->values[MEMBER_CREDENTIALS]) > 0;
    if (entry->row->mark == MARK_IS_SET)
        read_keys(entry, lease);
    memcpy(lease->id, id.data, ID_LEN);
    memcpy(lease->handle, handle, STORE_HANDLE_LEN);
    (*change_count)++;
    return true;
}

static enum store_approval_state approval_state(const struct entry_view *entry)
{
    if (entry->row->approval == APPROVAL_IS_GIVEN_BACK)
        return APPROVAL_GRANTED;
    if (entry->row->approval != APPROVAL_IS_GRANTED_OR_WAITS)
        return (enum store_approval_state)entry->row->approval;
    return json_integer_value(entry->values[MEMBER_LEFT]) == 0 ? APPROVAL_GRANTED
                                                               : APPROVAL_PENDING;
}

static bool read_person(const struct entry_view *entry, uint8_t person[STORE_PERSON_LEN])
{
    const json_t *value = entry->values[MEMBER_PERSON];

    return value == NULL ||
           (entry_view_fits(entry, MEMBER_PERSON) && hex_decode(json_str(value), person));
}

static bool read_digest(const struct entry_view *entry, uint8_t digest[32])
{
    const json_t *value = entry->values[MEMBER_DIGEST];
    struct str text = { 0 };

    if (value == NULL)
        return true;
    if (!entry_view_fits(entry, MEMBER_DIGEST))
        return false;
    text = json_str(value);
    return hex_decode(str_slice(text, sizeof(SHA256_PREFIX) - 1, text.len), digest);
}

/* An exchange's entries use an approval; only approval.* say how long it lasts, and what it is. */
static bool fold_approval(const struct entry_view *entry, struct store_change *changes,
                          size_t *change_count, struct error *error)
{
    struct store_change *change = NULL;
    struct store_approval *approval = NULL;
    bool is_about_it = entry->row->lease == LEASE_STAYS;
    struct str id = { 0 };

    if (entry->row->approval == APPROVAL_STAYS || entry->values[MEMBER_APPROVAL] == NULL)
        return true;
    change = next_change(changes, *change_count);
    approval = &change->approval;
    if (!get_str(entry, MEMBER_APPROVAL, &id) || !id_is_valid(id) ||
        (is_about_it &&
         (!read_handle(entry, approval->code_sha256) || !read_digest(entry, approval->digest) ||
          !read_person(entry, approval->people[0]) ||
          !read_time(entry, MEMBER_UNTIL, &approval->expires_s))))
        return error_set(error, ERROR_INVALID, "%s: approval, digest or until is malformed",
                         entry->row->name);
    change->kind = STORE_PUT_APPROVAL;
    approval->state = approval_state(entry);
    approval->is_break_glass = is_about_it && entry->values[MEMBER_BREAK_GLASS] != NULL;
    memcpy(approval->id, id.data, ID_LEN);
    (*change_count)++;
    return true;
}

bool entry_fold_view(const struct entry_view *entry, struct store_change *changes,
                     size_t *change_count, struct error *error)
{
    *change_count = 0;
    return fold_marks(entry, changes, change_count, error) &&
           fold_block(entry, changes, change_count, error) &&
           fold_approval(entry, changes, change_count, error) &&
           fold_lease(entry, changes, change_count, error);
}

bool entry_fold_json(const json_t *entry, struct store_change *changes, size_t *change_count,
                     struct error *error)
{
    struct entry_view view = { 0 };

    *change_count = 0;
    return entry_view_read(entry, &view, error) &&
           entry_fold_view(&view, changes, change_count, error);
}

bool entry_fold(struct str entry, uint64_t index, struct store_change *changes,
                size_t *change_count, struct error *error)
{
    JSON_OWNED json_t *parsed = NULL;

    (void)index;
    return entry_parse(entry, &parsed, error) &&
           entry_fold_json(parsed, changes, change_count, error);
}
