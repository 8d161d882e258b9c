#include "ledger/entry.h"

#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"

#define SHA256_HEX_LEN 64
#define SHA256_PREFIX "sha256:"
#define LOWER_HEX "0123456789abcdef"

/* Holds the place of the time until the store writes it. */
#define TIME_PLACEHOLDER "0000-00-00T00:00:00.000Z"

static const struct json_limits entry_limits = { STORE_ENTRY_MAX, 32, 4096 };

/* Members: their names and forms. */

static bool is_text(const json_t *value)
{
    return json_is_string(value);
}

static bool is_object(const json_t *value)
{
    return json_is_object(value);
}

static bool is_list(const json_t *value)
{
    return json_is_array(value);
}

static bool is_count(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool is_id(const json_t *value)
{
    return json_is_string(value) && id_is_valid(json_str(value));
}

static bool is_time(const json_t *value)
{
    int64_t wall_ms = 0;

    return json_is_string(value) && time_text_parse(json_str(value), &wall_ms);
}

static bool is_entry_time(const json_t *value)
{
    return json_is_string(value) && json_str(value).len == TIME_TEXT_MS_LEN;
}

static bool is_sha256(const json_t *value)
{
    struct str text = json_is_string(value) ? json_str(value) : (struct str){ 0 };

    return text.len == sizeof(SHA256_PREFIX) - 1 + SHA256_HEX_LEN &&
           str_starts_with(text, STR(SHA256_PREFIX)) &&
           str_is_made_of(str_slice(text, sizeof(SHA256_PREFIX) - 1, text.len), LOWER_HEX);
}

static bool is_hex(struct str text, size_t len)
{
    return text.len == len && str_is_made_of(text, LOWER_HEX);
}

/* A mark and until when it is one: a token's, or a proof's. */
static bool is_mark(const json_t *value)
{
    struct str mark = { 0 };
    int64_t exp = 0;

    return json_is_object(value) && json_get_str(value, "mark", &mark) &&
           is_hex(mark, SHA256_HEX_LEN) && json_get_time(value, "exp", &exp) && exp > 0;
}

static bool is_token(const json_t *value)
{
    const json_t *holder = json_object_get(value, "holder");
    const json_t *proof = json_object_get(value, "proof");

    return is_mark(value) && (proof == NULL || is_mark(proof)) &&
           (holder == NULL ||
            (json_is_string(holder) && is_hex(json_str(holder), (size_t)2 * STORE_HOLDER_LEN)));
}

enum member {
    MEMBER_TYPE,
    MEMBER_TIME,
    MEMBER_BROKER,
    MEMBER_ACTOR,
    MEMBER_ADDED,
    MEMBER_ADDRESS,
    MEMBER_CI,
    MEMBER_CLAIMS,
    MEMBER_CLAIMS_DROPPED,
    MEMBER_CODE,
    MEMBER_COUNT_,
    MEMBER_CREDENTIALS,
    MEMBER_DECISION,
    MEMBER_DETAIL,
    MEMBER_ENVIRONMENT,
    MEMBER_FACTS,
    MEMBER_FAILED,
    MEMBER_FIRST,
    MEMBER_HANDLE,
    MEMBER_ISSUER,
    MEMBER_KEYS,
    MEMBER_KIND,
    MEMBER_LEASE,
    MEMBER_LEASE_EXPIRES,
    MEMBER_OUTCOME,
    MEMBER_OWNER,
    MEMBER_PIPELINE,
    MEMBER_POLICY,
    MEMBER_PREVIOUS,
    MEMBER_REASON,
    MEMBER_REMOVED,
    MEMBER_REQUEST,
    MEMBER_RULE,
    MEMBER_STAGE,
    MEMBER_SUBJECT,
    MEMBER_TARGET,
    MEMBER_TENANT,
    MEMBER_TOKEN,
    MEMBER_WIDENED,
    MEMBER_END
};

struct member_row {
    const char *name;
    bool (*fits)(const json_t *value);
};

static const struct member_row members[MEMBER_END] = {
    [MEMBER_TYPE] = { "type", is_text },
    [MEMBER_TIME] = { "time", is_entry_time },
    [MEMBER_BROKER] = { "broker", is_text },
    [MEMBER_ACTOR] = { "actor", is_object },
    [MEMBER_ADDED] = { "added", is_list },
    [MEMBER_ADDRESS] = { "address", is_text },
    [MEMBER_CI] = { "ci", is_object },
    [MEMBER_CLAIMS] = { "claims", is_object },
    [MEMBER_CLAIMS_DROPPED] = { "claims_dropped", is_list },
    [MEMBER_CODE] = { "code", is_text },
    [MEMBER_COUNT_] = { "count", is_count },
    [MEMBER_CREDENTIALS] = { "credentials", is_list },
    [MEMBER_DECISION] = { "decision", is_id },
    [MEMBER_DETAIL] = { "detail", is_text },
    [MEMBER_ENVIRONMENT] = { "environment", is_text },
    [MEMBER_FACTS] = { "facts", is_object },
    [MEMBER_FAILED] = { "failed", is_list },
    [MEMBER_FIRST] = { "first", is_object },
    [MEMBER_HANDLE] = { "handle", is_sha256 },
    [MEMBER_ISSUER] = { "issuer", is_text },
    [MEMBER_KEYS] = { "keys", is_list },
    [MEMBER_KIND] = { "kind", is_text },
    [MEMBER_LEASE] = { "lease", is_id },
    [MEMBER_LEASE_EXPIRES] = { "lease_expires", is_time },
    [MEMBER_OUTCOME] = { "outcome", is_text },
    [MEMBER_OWNER] = { "owner", is_text },
    [MEMBER_PIPELINE] = { "pipeline", is_text },
    [MEMBER_POLICY] = { "policy", is_sha256 },
    [MEMBER_PREVIOUS] = { "previous", is_text },
    [MEMBER_REASON] = { "reason", is_text },
    [MEMBER_REMOVED] = { "removed", is_list },
    [MEMBER_REQUEST] = { "request", is_object },
    [MEMBER_RULE] = { "rule", is_sha256 },
    [MEMBER_STAGE] = { "stage", is_text },
    [MEMBER_SUBJECT] = { "subject", is_text },
    [MEMBER_TARGET] = { "target", is_text },
    [MEMBER_TENANT] = { "tenant", is_text },
    [MEMBER_TOKEN] = { "token", is_token },
    [MEMBER_WIDENED] = { "widened", is_list },
};

/* Types: their members and what follows from them. */

#define ONE(member) (UINT64_C(1) << MEMBER_##member)

#define ALWAYS (ONE(TYPE) | ONE(TIME) | ONE(BROKER))
#define WHERE                                                                                      \
    (ONE(PIPELINE) | ONE(STAGE) | ONE(KIND) | ONE(ENVIRONMENT) | ONE(TENANT) | ONE(OWNER) |        \
     ONE(POLICY) | ONE(RULE))
#define WHO                                                                                        \
    (ONE(ISSUER) | ONE(SUBJECT) | ONE(TOKEN) | ONE(CI) | ONE(CLAIMS) | ONE(CLAIMS_DROPPED) |       \
     ONE(FACTS) | ONE(REQUEST) | ONE(ACTOR) | ONE(ADDRESS))
#define WHY (ONE(REASON) | ONE(FAILED) | ONE(CODE) | ONE(DETAIL) | ONE(OUTCOME) | ONE(COUNT_))
#define LEASED (ONE(DECISION) | ONE(LEASE) | ONE(LEASE_EXPIRES) | ONE(HANDLE) | ONE(CREDENTIALS))
#define EXCHANGE (LEASED | WHERE | WHO | WHY)

enum mark_effect {
    MARK_STAYS,
    MARK_IS_SET,
    MARK_IS_FREED,
    MARK_IS_SET_ALONE, /* where a token, but no lease, is named */
};

struct type_row {
    const char *name;
    uint64_t mandatory;
    uint64_t allowed; /* besides the mandatory ones */
    enum mark_effect mark;
    int lease_state; /* 0: the lease, if one is named, stays as it is */
};

/* clang-format off */
static const struct type_row types[ENTRY_TYPE_COUNT] = {
    [ENTRY_BROKER_STARTED] = { "broker.started", ALWAYS, ONE(DETAIL) | ONE(POLICY), MARK_STAYS, 0 },
    [ENTRY_POLICY_ACTIVATED] = { "policy.activated", ALWAYS | ONE(POLICY),
        ONE(PREVIOUS) | ONE(WIDENED) | ONE(DETAIL) | ONE(ACTOR) | ONE(COUNT_), MARK_STAYS, 0 },
    [ENTRY_KEYS_ROTATED] = { "keys.rotated", ALWAYS, ONE(KEYS) | ONE(PREVIOUS) | ONE(DETAIL), MARK_STAYS, 0 },
    [ENTRY_ISSUER_KEYS_CHANGED] = { "issuer.keys_changed",
        ALWAYS | ONE(ISSUER) | ONE(ADDED) | ONE(REMOVED), 0, MARK_STAYS, 0 },
    [ENTRY_EXCHANGE_DENIED] = { "exchange.denied", ALWAYS | ONE(DECISION) | ONE(REASON), EXCHANGE | ONE(FIRST),
        MARK_STAYS, 0 },
    [ENTRY_LEASE_REQUESTED] = { "lease.requested",
        ALWAYS | ONE(DECISION) | ONE(LEASE) | ONE(LEASE_EXPIRES) | ONE(TOKEN) | ONE(STAGE) | ONE(POLICY),
        EXCHANGE, MARK_IS_SET, LEASE_REQUESTED },
    [ENTRY_CREDENTIAL_ISSUED] = { "credential.issued",
        ALWAYS | ONE(DECISION) | ONE(LEASE) | ONE(LEASE_EXPIRES) | ONE(HANDLE) | ONE(TOKEN) | ONE(STAGE) |
            ONE(POLICY) | ONE(CREDENTIALS),
        EXCHANGE, MARK_IS_SET, LEASE_ISSUED },
    [ENTRY_CREDENTIAL_FAILED] = { "credential.failed", ALWAYS | ONE(DECISION) | ONE(LEASE), EXCHANGE,
        MARK_IS_FREED, LEASE_FAILED },
    [ENTRY_CREDENTIAL_UNKNOWN] = { "credential.unknown", ALWAYS | ONE(DECISION) | ONE(LEASE), EXCHANGE,
        MARK_STAYS, LEASE_UNKNOWN },
    [ENTRY_CREDENTIAL_REVOKED] = { "credential.revoked", ALWAYS | ONE(DECISION), EXCHANGE | ONE(TARGET),
        MARK_IS_SET_ALONE, LEASE_REVOKED },
    [ENTRY_LEASE_RELEASED] = { "lease.released", ALWAYS | ONE(DECISION) | ONE(LEASE), EXCHANGE,
        MARK_STAYS, LEASE_RELEASED },
    [ENTRY_ADMIN_READ] = { "admin.read", ALWAYS | ONE(ACTOR) | ONE(DETAIL), ONE(COUNT_), MARK_STAYS, 0 },
};
/* clang-format on */

const char *entry_type_name(enum entry_type type)
{
    return types[type].name;
}

bool entry_type_from(struct str name, enum entry_type *type)
{
    for (size_t i = 0; i < ENTRY_TYPE_COUNT; i++) {
        if (str_eq(name, str_from(types[i].name))) {
            *type = (enum entry_type)i;
            return true;
        }
    }
    return false;
}

json_t *entry_new(enum entry_type type, struct str broker)
{
    json_t *entry = json_object();

    if (json_put(entry, "type", json_string(types[type].name)) &&
        json_put(entry, "time", json_string(TIME_PLACEHOLDER)) &&
        json_put(entry, "broker", json_from_str(broker)))
        return entry;
    json_decref(entry);
    return NULL;
}

static enum member member_from(const char *name)
{
    for (size_t i = 0; i < MEMBER_END; i++) {
        if (strcmp(members[i].name, name) == 0)
            return (enum member)i;
    }
    return MEMBER_END;
}

static bool find_type(const json_t *entry, enum entry_type *type, struct error *error)
{
    struct str name = { 0 };

    if (!json_is_object(entry) || !json_get_str(entry, "type", &name))
        return error_set(error, ERROR_INVALID, "an entry without a type");
    if (!entry_type_from(name, type))
        return error_set(error, ERROR_INVALID, "an entry of unknown type \"" STR_FMT "\"",
                         STR_ARG(name));
    return true;
}

/* One member; its bit is put into `*seen`. */
static bool check_member(const struct type_row *row, const char *name, const json_t *value,
                         uint64_t *seen, struct error *error)
{
    enum member member = member_from(name);
    uint64_t bit = member == MEMBER_END ? 0 : UINT64_C(1) << member;

    if (((row->mandatory | row->allowed) & bit) == 0)
        return error_set(error, ERROR_INVALID, "%s: member \"%.40s\" is not one of its own",
                         row->name, name);
    if (!members[member].fits(value))
        return error_set(error, ERROR_INVALID, "%s: member \"%s\" is malformed", row->name, name);
    *seen |= bit;
    return true;
}

bool entry_check(const json_t *entry, struct error *error)
{
    enum entry_type type = ENTRY_BROKER_STARTED;
    uint64_t seen = 0;
    uint64_t missing = 0;

    if (!find_type(entry, &type, error))
        return false;
    /* jansson's iterators take what they do not change without const. */
    for (void *at = json_object_iter(json_iterable(entry)); at != NULL;
         at = json_object_iter_next(json_iterable(entry), at)) {
        if (!check_member(&types[type], json_object_iter_key(at), json_object_iter_value(at), &seen,
                          error))
            return false;
    }
    missing = types[type].mandatory & ~seen;
    if (missing != 0)
        return error_set(error, ERROR_INVALID, "%s: member \"%s\" is missing", types[type].name,
                         members[__builtin_ctzll(missing)].name);
    return true;
}

/* The position behind a JSON string that begins at `at`. */
static size_t skip_string(struct str text, size_t at)
{
    for (at++; at < text.len && text.data[at] != '"'; at++) {
        if (text.data[at] == '\\')
            at++;
    }
    return at + 1;
}

/* Where the value of the outermost `time` begins; a claim may have that name too. */
static size_t find_time(struct str text)
{
    static const struct str key = { "\"time\":\"", 8 };
    int depth = 0;
    size_t at = 0;

    while (at < text.len) {
        char byte = text.data[at];

        if (depth == 1 && str_starts_with(str_slice(text, at, key.len), key))
            return at + key.len;
        if (byte == '"') {
            at = skip_string(text, at);
            continue;
        }
        if (byte == '{' || byte == '[')
            depth++;
        else if (byte == '}' || byte == ']')
            depth--;
        at++;
    }
    return text.len;
}

bool entry_encode(const json_t *entry, struct arena *arena, struct store_entry *encoded,
                  struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct error cause = { 0 };

    if (!entry_check(entry, &cause))
        return error_set(error, ERROR_LEDGER, "%s", cause.cause);
    buf_init(&text, STORE_ENTRY_MAX);
    buf_add_json(&text, entry);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_LEDGER, "an entry of more than %zu bytes", STORE_ENTRY_MAX);
    encoded->bytes = arena_alloc(arena, text.len);
    if (encoded->bytes == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    memcpy(encoded->bytes, text.data, text.len);
    encoded->len = text.len;
    encoded->time_offset = find_time(buf_str(&text));
    return true;
}

bool entry_parse(struct str bytes, json_t **entry, struct error *error)
{
    struct error cause = { 0 };

    if (json_parse_object(bytes, entry_limits, entry, &cause))
        return true;
    return error_set(error, ERROR_INVALID, "an entry is not JSON as we write it: %s", cause.cause);
}

/* A change of one mark; the lease is what tells an exchange's two entries from two exchanges. */
static bool read_mark(const json_t *object, const json_t *entry, struct store_change *change)
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
    if (json_get_str(entry, "lease", &lease) && id_is_valid(lease))
        memcpy(change->lease.id, lease.data, ID_LEN);
    change->expires_s = exp > INT64_MAX - ENTRY_MARK_KEPT_S ? INT64_MAX : exp + ENTRY_MARK_KEPT_S;
    return true;
}

/* The token's mark, and that of the proof it came with, which is used up however it ends. */
static bool fold_marks(const json_t *entry, const struct type_row *row,
                       struct store_change *changes, size_t *change_count, struct error *error)
{
    const json_t *token = json_object_get(entry, "token");
    const json_t *proof = json_object_get(token, "proof");
    struct store_change *change = &changes[*change_count];

    if (row->mark == MARK_IS_SET_ALONE &&
        (token == NULL || json_object_get(entry, "lease") != NULL))
        return true;
    if (row->mark == MARK_STAYS || (row->mark == MARK_IS_FREED && token == NULL))
        return true;
    if (token == NULL || !is_token(token) || !read_mark(token, entry, change))
        return error_set(error, ERROR_INVALID, "%s: no mark", row->name);
    change->kind = row->mark == MARK_IS_FREED ? STORE_FREE_MARK : STORE_SET_MARK;
    (*change_count)++;
    if (proof == NULL || row->mark != MARK_IS_SET)
        return true;
    change++;
    if (!read_mark(proof, entry, change))
        return error_set(error, ERROR_INVALID, "%s: no mark of a proof", row->name);
    change->kind = STORE_SET_MARK;
    (*change_count)++;
    return true;
}

static bool read_handle(const json_t *entry, uint8_t handle_sha256[32])
{
    const json_t *handle = json_object_get(entry, "handle");
    struct str text = { 0 };

    if (handle == NULL)
        return true;
    if (!is_sha256(handle))
        return false;
    text = json_str(handle);
    return hex_decode(str_slice(text, sizeof(SHA256_PREFIX) - 1, text.len), handle_sha256);
}

static bool read_expiry(const json_t *entry, int64_t *expires_s)
{
    struct str text = { 0 };
    int64_t wall_ms = 0;

    if (json_object_get(entry, "lease_expires") == NULL)
        return true;
    if (!json_get_str(entry, "lease_expires", &text) || !time_text_parse(text, &wall_ms))
        return false;
    *expires_s = wall_ms / 1000;
    return true;
}

static bool fold_lease(const json_t *entry, const struct type_row *row,
                       struct store_change *changes, size_t *change_count, struct error *error)
{
    struct store_change *change = &changes[*change_count];
    struct str id = { 0 };

    if (row->lease_state == 0 || json_object_get(entry, "lease") == NULL)
        return true;
    if (!json_get_str(entry, "lease", &id) || !id_is_valid(id) ||
        !read_handle(entry, change->lease.handle_sha256) ||
        !read_expiry(entry, &change->lease.expires_s))
        return error_set(error, ERROR_INVALID, "%s: lease, handle or expiry is malformed",
                         row->name);
    change->kind = STORE_PUT_LEASE;
    change->lease.state = (enum store_lease_state)row->lease_state;
    memcpy(change->lease.id, id.data, ID_LEN);
    (*change_count)++;
    return true;
}

bool entry_fold_json(const json_t *entry, struct store_change *changes, size_t *change_count,
                     struct error *error)
{
    enum entry_type type = ENTRY_BROKER_STARTED;

    *change_count = 0;
    memset(changes, 0, sizeof(*changes) * STORE_ENTRY_CHANGES_MAX);
    return find_type(entry, &type, error) &&
           fold_marks(entry, &types[type], changes, change_count, error) &&
           fold_lease(entry, &types[type], changes, change_count, error);
}

bool entry_fold(struct str entry, uint64_t index, struct store_change *changes,
                size_t *change_count, struct error *error)
{
    JSON_OWNED json_t *parsed = NULL;

    (void)index;
    return entry_parse(entry, &parsed, error) &&
           entry_fold_json(parsed, changes, change_count, error);
}
