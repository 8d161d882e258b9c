#include "ledger/entry.h"

#include <pthread.h>
#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry_internal.h"

/* What most entries have; the others make the buffer grow. */
#define ENTRY_USUAL ((size_t)4000)

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

static bool is_flag(const json_t *value)
{
    return json_is_true(value);
}

static bool is_sha256(const json_t *value)
{
    struct str text = json_is_string(value) ? json_str(value) : (struct str){ 0 };

    return text.len == sizeof(SHA256_PREFIX) - 1 + SHA256_HEX_LEN &&
           str_starts_with(text, STR(SHA256_PREFIX)) &&
           entry_is_hex(str_slice(text, sizeof(SHA256_PREFIX) - 1, text.len), SHA256_HEX_LEN);
}

static bool is_person(const json_t *value)
{
    return json_is_string(value) && entry_is_hex(json_str(value), (size_t)2 * STORE_PERSON_LEN);
}

/* A mark and until when it is one: a token's, or a proof's. */
static bool is_mark(const json_t *value)
{
    struct str mark = { 0 };
    int64_t exp = 0;

    return json_is_object(value) && json_get_str(value, "mark", &mark) &&
           entry_is_hex(mark, SHA256_HEX_LEN) && json_get_time(value, "exp", &exp) && exp > 0;
}

static bool is_token(const json_t *value)
{
    const json_t *holder = json_object_get(value, "holder");
    const json_t *proof = json_object_get(value, "proof");

    return is_mark(value) && (proof == NULL || is_mark(proof)) &&
           (holder == NULL || (json_is_string(holder) &&
                               entry_is_hex(json_str(holder), (size_t)2 * STORE_HOLDER_LEN)));
}

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
    [MEMBER_APPROVAL] = { "approval", is_id },
    [MEMBER_BLOCK] = { "block", is_id },
    [MEMBER_BLOCKED] = { "blocked", is_object },
    [MEMBER_BREAK_GLASS] = { "break_glass", is_flag },
    [MEMBER_CI] = { "ci", is_object },
    [MEMBER_CLAIMS] = { "claims", is_object },
    [MEMBER_CLAIMS_DROPPED] = { "claims_dropped", is_list },
    [MEMBER_CODE] = { "code", is_text },
    [MEMBER_COUNT] = { "count", is_count },
    [MEMBER_COUNTS] = { "counts", is_object },
    [MEMBER_CREDENTIALS] = { "credentials", is_list },
    [MEMBER_DECISION] = { "decision", is_id },
    [MEMBER_DETAIL] = { "detail", is_text },
    [MEMBER_DIGEST] = { "digest", is_sha256 },
    [MEMBER_ENTRIES] = { "entries", is_list },
    [MEMBER_ENVIRONMENT] = { "environment", is_text },
    [MEMBER_EXCEPTIONS] = { "exceptions", is_list },
    [MEMBER_FACTS] = { "facts", is_object },
    [MEMBER_FAILED] = { "failed", is_list },
    [MEMBER_FIRST] = { "first", is_object },
    [MEMBER_GRANTED_BEFORE] = { "granted_before", is_count },
    [MEMBER_HANDLE] = { "handle", is_sha256 },
    [MEMBER_HEARTBEAT_S] = { "heartbeat_s", is_count },
    [MEMBER_INSTANCE] = { "instance", is_text },
    [MEMBER_ISSUER] = { "issuer", is_text },
    [MEMBER_KEPT_UNTIL] = { "kept_until", is_time },
    [MEMBER_KEYS] = { "keys", is_list },
    [MEMBER_KIND] = { "kind", is_text },
    [MEMBER_LEASE] = { "lease", is_id },
    [MEMBER_LEASE_EXPIRES] = { "lease_expires", is_time },
    [MEMBER_LEFT] = { "left", is_count },
    [MEMBER_OUTCOME] = { "outcome", is_text },
    [MEMBER_OWNER] = { "owner", is_text },
    [MEMBER_PENDING] = { "pending", is_list },
    [MEMBER_PERSON] = { "person", is_person },
    [MEMBER_PIPELINE] = { "pipeline", is_text },
    [MEMBER_POLICY] = { "policy", is_sha256 },
    [MEMBER_PREVIOUS] = { "previous", is_text },
    [MEMBER_REASON] = { "reason", is_text },
    [MEMBER_REMOVED] = { "removed", is_list },
    [MEMBER_RENEWAL] = { "renewal", is_count },
    [MEMBER_RENEWS] = { "renews", is_count },
    [MEMBER_REQUEST] = { "request", is_object },
    [MEMBER_REVIEW] = { "review", is_sha256 },
    [MEMBER_RULE] = { "rule", is_sha256 },
    [MEMBER_SHADOW] = { "shadow", is_object },
    [MEMBER_SOURCE] = { "source", is_object },
    [MEMBER_STAGE] = { "stage", is_text },
    [MEMBER_SUBJECT] = { "subject", is_text },
    [MEMBER_TARGET] = { "target", is_text },
    [MEMBER_TENANT] = { "tenant", is_text },
    [MEMBER_TOKEN] = { "token", is_token },
    [MEMBER_UNTIL] = { "until", is_time },
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
#define WHY                                                                                        \
    (ONE(BLOCK) | ONE(REASON) | ONE(FAILED) | ONE(CODE) | ONE(DETAIL) | ONE(OUTCOME) | ONE(COUNT))
#define LEASED                                                                                     \
    (ONE(DECISION) | ONE(LEASE) | ONE(LEASE_EXPIRES) | ONE(HANDLE) | ONE(CREDENTIALS) |            \
     ONE(INSTANCE) | ONE(KEPT_UNTIL) | ONE(HEARTBEAT_S) | ONE(RENEWAL) | ONE(RENEWS) |             \
     ONE(PENDING))
#define APPROVED (ONE(APPROVAL) | ONE(DIGEST) | ONE(BREAK_GLASS))
#define EXCHANGE (LEASED | APPROVED | WHERE | WHO | WHY)

/* clang-format off */
static const struct type_row types[ENTRY_TYPE_COUNT] = {
    [ENTRY_BROKER_STARTED] = { "broker.started", ALWAYS, ONE(DETAIL) | ONE(POLICY), MARK_STAYS, 0, 0 },
    [ENTRY_POLICY_ACTIVATED] = { "policy.activated", ALWAYS | ONE(POLICY),
        ONE(PREVIOUS) | ONE(WIDENED) | ONE(DETAIL) | ONE(COUNTS) | ONE(EXCEPTIONS) | ONE(SOURCE), MARK_STAYS, 0, 0 },
    [ENTRY_KEYS_ROTATED] = { "keys.rotated", ALWAYS, ONE(KEYS) | ONE(PREVIOUS) | ONE(DETAIL), MARK_STAYS, 0, 0 },
    [ENTRY_ISSUER_KEYS_CHANGED] = { "issuer.keys_changed",
        ALWAYS | ONE(ISSUER) | ONE(ADDED) | ONE(REMOVED), 0, MARK_STAYS, 0, 0 },
    [ENTRY_EXCHANGE_OBSERVED] = { "exchange.observed", ALWAYS | ONE(DECISION) | ONE(OUTCOME) | ONE(SHADOW), EXCHANGE,
        MARK_STAYS, 0, 0 },
    [ENTRY_EXCHANGE_DENIED] = { "exchange.denied", ALWAYS | ONE(DECISION) | ONE(REASON), EXCHANGE | ONE(FIRST),
        MARK_STAYS, 0, 0 },
    [ENTRY_LEASE_REQUESTED] = { "lease.requested",
        ALWAYS | ONE(DECISION) | ONE(LEASE) | ONE(LEASE_EXPIRES) | ONE(TOKEN) | ONE(STAGE) | ONE(POLICY),
        EXCHANGE, MARK_IS_SET, LEASE_REQUESTED, APPROVAL_USED },
    [ENTRY_CREDENTIAL_ISSUED] = { "credential.issued",
        ALWAYS | ONE(DECISION) | ONE(LEASE) | ONE(LEASE_EXPIRES) | ONE(HANDLE) | ONE(TOKEN) | ONE(STAGE) |
            ONE(POLICY) | ONE(CREDENTIALS),
        EXCHANGE, MARK_IS_SET, LEASE_ISSUED, APPROVAL_USED },
    [ENTRY_CREDENTIAL_FAILED] = { "credential.failed", ALWAYS | ONE(DECISION) | ONE(LEASE),
        EXCHANGE | ONE(GRANTED_BEFORE), MARK_IS_FREED, LEASE_FAILED, APPROVAL_IS_GIVEN_BACK },
    [ENTRY_CREDENTIAL_UNKNOWN] = { "credential.unknown", ALWAYS | ONE(DECISION) | ONE(LEASE), EXCHANGE,
        MARK_STAYS, LEASE_UNKNOWN, 0 },
    [ENTRY_CREDENTIAL_REVOKED] = { "credential.revoked", ALWAYS | ONE(DECISION), EXCHANGE | ONE(TARGET),
        MARK_IS_SET_ALONE, LEASE_MOVES_ON, 0 },
    [ENTRY_RENEWAL_REQUESTED] = { "renewal.requested",
        ALWAYS | ONE(DECISION) | ONE(LEASE) | ONE(STAGE) | ONE(POLICY) | ONE(RENEWS) | ONE(CREDENTIALS),
        EXCHANGE & ~(ONE(LEASE_EXPIRES) | ONE(RENEWAL) | ONE(HANDLE)), MARK_OF_PROOF_IS_SET, LEASE_MOVES_ON, 0 },
    [ENTRY_RENEWAL_FAILED] = { "renewal.failed",
        ALWAYS | ONE(DECISION) | ONE(LEASE) | ONE(CODE) | ONE(RENEWS) | ONE(CREDENTIALS),
        EXCHANGE & ~(ONE(LEASE_EXPIRES) | ONE(RENEWAL) | ONE(HANDLE)), MARK_STAYS, LEASE_MOVES_ON, 0 },
    [ENTRY_LEASE_RENEWED] = { "lease.renewed",
        ALWAYS | ONE(DECISION) | ONE(LEASE) | ONE(LEASE_EXPIRES) | ONE(STAGE) | ONE(POLICY) | ONE(RENEWAL) |
            ONE(RENEWS) | ONE(CREDENTIALS),
        EXCHANGE, MARK_OF_PROOF_IS_SET, LEASE_MOVES_ON, 0 },
    [ENTRY_LEASE_RELEASED] = { "lease.released", ALWAYS | ONE(DECISION) | ONE(LEASE), EXCHANGE,
        MARK_STAYS, LEASE_RELEASED, 0 },
    [ENTRY_LEASE_REVOKED] = { "lease.revoked", ALWAYS | ONE(DECISION) | ONE(LEASE) | ONE(REASON), EXCHANGE,
        MARK_STAYS, LEASE_REVOKED, 0 },
    [ENTRY_LEASE_EXPIRED] = { "lease.expired", ALWAYS | ONE(DECISION) | ONE(LEASE), EXCHANGE,
        MARK_STAYS, LEASE_EXPIRED, 0 },
    [ENTRY_APPROVAL_REQUESTED] = { "approval.requested",
        ALWAYS | ONE(DECISION) | ONE(APPROVAL) | ONE(DIGEST) | ONE(HANDLE) | ONE(TOKEN) | ONE(STAGE) | ONE(POLICY) |
            ONE(UNTIL) | ONE(LEFT),
        EXCHANGE, MARK_IS_SET, 0, APPROVAL_PENDING },
    [ENTRY_APPROVAL_GRANTED] = { "approval.granted",
        ALWAYS | ONE(ACTOR) | ONE(APPROVAL) | ONE(PERSON) | ONE(REASON) | ONE(STAGE) | ONE(UNTIL) | ONE(LEFT),
        EXCHANGE | ONE(GRANTED_BEFORE), MARK_STAYS, 0, APPROVAL_IS_GRANTED_OR_WAITS },
    [ENTRY_APPROVAL_REJECTED] = { "approval.rejected",
        ALWAYS | ONE(APPROVAL) | ONE(REASON) | ONE(STAGE), EXCHANGE | ONE(PERSON), MARK_STAYS, 0, APPROVAL_REJECTED },
    [ENTRY_APPROVAL_REFUSED] = { "approval.refused",
        ALWAYS | ONE(DECISION) | ONE(ACTOR) | ONE(APPROVAL) | ONE(PERSON) | ONE(REASON) | ONE(STAGE), EXCHANGE,
        MARK_STAYS, 0, 0 },
    [ENTRY_ORPHAN_FOUND] = { "orphan.found", ALWAYS | ONE(TARGET) | ONE(CREDENTIALS),
        ONE(LEASE) | ONE(DETAIL) | ONE(TOKEN), MARK_IS_SET_BESIDE, 0, 0 },
    [ENTRY_ADMIN_READ] = { "admin.read", ALWAYS | ONE(ACTOR) | ONE(DETAIL), ONE(COUNT), MARK_STAYS, 0, 0 },
    [ENTRY_ADMIN_ERASED] = { "admin.erased",
        ALWAYS | ONE(ACTOR) | ONE(DETAIL) | ONE(REASON) | ONE(COUNT) | ONE(ENTRIES), 0, MARK_STAYS, 0, 0 },
    [ENTRY_ADMIN_PRUNED] = { "admin.pruned", ALWAYS | ONE(DETAIL) | ONE(COUNT) | ONE(ENTRIES), 0, MARK_STAYS, 0, 0 },
    [ENTRY_ADMIN_REVIEWED] = { "admin.reviewed", ALWAYS | ONE(ACTOR) | ONE(REVIEW), ONE(DETAIL) | ONE(TENANT),
        MARK_STAYS, 0, 0 },
    [ENTRY_ADMIN_BLOCKED] = { "admin.blocked",
        ALWAYS | ONE(ACTOR) | ONE(BLOCK) | ONE(BLOCKED) | ONE(UNTIL) | ONE(REASON), 0, BLOCK_IS_PUT, 0, 0 },
    [ENTRY_ADMIN_UNBLOCKED] = { "admin.unblocked", ALWAYS | ONE(ACTOR) | ONE(BLOCK) | ONE(REASON), 0,
        BLOCK_IS_REMOVED, 0, 0 },
    [ENTRY_ADMIN_REVOKED] = { "admin.revoked", ALWAYS | ONE(ACTOR) | ONE(DETAIL) | ONE(REASON),
        ONE(COUNT) | ONE(BLOCK), MARK_STAYS, 0, 0 },
};
/* clang-format on */

const char *entry_type_name(enum entry_type type)
{
    return types[type].name;
}

const struct type_row *entry_type_row(enum entry_type type)
{
    return &types[type];
}

bool entry_type_from(struct str name, enum entry_type *type)
{
    for (size_t i = 0; i < ENTRY_TYPE_COUNT; i++) {
        /* Most differ in their first byte already. */
        if (name.len > 0 && name.data[0] == types[i].name[0] &&
            str_eq(name, str_from(types[i].name))) {
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

/* Each member's name at a place that its length and three of its letters choose. */
#define PLACES 256

static pthread_once_t places_once = PTHREAD_ONCE_INIT;
static uint8_t places[PLACES]; /* a member and one, or 0; set under places_once */
static size_t name_lens[MEMBER_END];

static size_t place_of(const char *name, size_t len)
{
    size_t mixed = (uint8_t)name[0] * 7U + (uint8_t)name[len / 2] * 31U +
                   (uint8_t)name[len - 1] * 3U + len * 17U;

    return mixed % PLACES;
}

static void fill_places(void)
{
    for (size_t i = 0; i < MEMBER_END; i++) {
        size_t place;

        name_lens[i] = strlen(members[i].name);
        place = place_of(members[i].name, name_lens[i]);
        while (places[place] != 0)
            place = (place + 1) % PLACES;
        places[place] = (uint8_t)(i + 1);
    }
}

static enum member member_from(const char *name, size_t len)
{
    if (len == 0 || pthread_once(&places_once, fill_places) != 0)
        return MEMBER_END;
    for (size_t i = place_of(name, len); places[i] != 0; i = (i + 1) % PLACES) {
        enum member member = (enum member)(places[i] - 1);

        if (name_lens[member] == len && memcmp(members[member].name, name, len) == 0)
            return member;
    }
    return MEMBER_END;
}

bool entry_view_fits(const struct entry_view *view, enum member member)
{
    return view->is_checked || members[member].fits(view->values[member]);
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

bool entry_view_read(const json_t *entry, struct entry_view *view, struct error *error)
{
    if (!find_type(entry, &view->type, error))
        return false;
    view->row = &types[view->type];
    /* jansson's iterators take what they do not change without const. */
    for (void *at = json_object_iter(json_iterable(entry)); at != NULL;
         at = json_object_iter_next(json_iterable(entry), at)) {
        enum member member = member_from(json_object_iter_key(at), json_object_iter_key_len(at));

        if (member == MEMBER_END)
            view->foreign = json_object_iter_key(at);
        else
            view->values[member] = json_object_iter_value(at);
    }
    return true;
}

size_t entry_member_count(void)
{
    return COUNT(members);
}

const char *entry_member_name(size_t member)
{
    return members[member].name;
}

entry_text_form entry_member_form(size_t member)
{
    static const struct {
        bool (*fits)(const json_t *value);
        entry_text_form form;
    } forms[] = {
        { is_text, entry_text_is_text },
        { is_object, entry_text_is_object },
        { is_list, entry_text_is_list },
        { is_count, entry_text_is_count },
        { is_id, entry_text_is_id },
        { is_time, entry_text_is_time },
        { is_entry_time, entry_text_is_entry_time },
        { is_flag, entry_text_is_flag },
        { is_person, entry_text_is_person },
        { is_sha256, entry_text_is_sha256 },
        { is_token, entry_text_is_token },
    };

    for (size_t i = 0; i < COUNT(forms); i++) {
        if (forms[i].fits == members[member].fits)
            return forms[i].form;
    }
    return NULL;
}

bool entry_type_takes(enum entry_type type, uint64_t present)
{
    const struct type_row *row = &types[type];

    return (row->mandatory & ~present) == 0 && (present & ~(row->mandatory | row->allowed)) == 0;
}

/* One member, whether it is there or not. */
static bool check_member(const struct entry_view *view, enum member member, struct error *error)
{
    const struct type_row *row = view->row;
    uint64_t bit = UINT64_C(1) << member;

    if (view->values[member] == NULL)
        return (row->mandatory & bit) == 0 ||
               error_set(error, ERROR_INVALID, "%s: member \"%s\" is missing", row->name,
                         members[member].name);
    if (((row->mandatory | row->allowed) & bit) == 0)
        return error_set(error, ERROR_INVALID, "%s: member \"%s\" is not one of its own", row->name,
                         members[member].name);
    return members[member].fits(view->values[member]) ||
           error_set(error, ERROR_INVALID, "%s: member \"%s\" is malformed", row->name,
                     members[member].name);
}

/* As entry_check() says. */
static bool check_view(struct entry_view *view, struct error *error)
{
    if (view->foreign != NULL)
        return error_set(error, ERROR_INVALID, "%s: member \"%.40s\" is not one of its own",
                         view->row->name, view->foreign);
    for (size_t i = 0; i < MEMBER_END; i++)
        if (!check_member(view, (enum member)i, error))
            return false;
    view->is_checked = true;
    return true;
}

bool entry_check(const json_t *entry, struct error *error)
{
    struct entry_view view = { 0 };

    return entry_view_read(entry, &view, error) && check_view(&view, error);
}

/* Whether the quote at `at` is escaped: by an odd number of backslashes. */
static bool is_escaped(struct str text, size_t at)
{
    size_t count = 0;

    while (count < at && text.data[at - 1 - count] == '\\')
        count++;
    return count % 2 == 1;
}

/* The position behind a JSON string that begins at `at`. */
static size_t skip_string(struct str text, size_t at)
{
    do {
        const char *quote = memchr(text.data + at + 1, '"', text.len - at - 1);

        if (quote == NULL)
            return text.len;
        at = (size_t)(quote - text.data);
    } while (is_escaped(text, at));
    return at + 1;
}

/* Where the value of the outermost `time` begins; a claim may have that name too. */
static size_t walk_to_time(struct str text)
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

/*
 * The same. Where the placeholder stands once it is the outermost one's; within a string its quotes
 * would be escaped.
 */
static size_t find_time(const json_t *entry, const struct buf *text)
{
    static const char member[] = "\"time\":\"" TIME_PLACEHOLDER "\"";
    const char *found = strstr(text->data, member);
    const char *end = found == NULL ? NULL : found + sizeof(member) - 1;

    if (end == NULL || strstr(end, member) != NULL ||
        !str_eq(json_str(json_object_get(entry, "time")), STR(TIME_PLACEHOLDER)))
        return walk_to_time(buf_str(text));
    return (size_t)(end - text->data) - 1 - TIME_TEXT_MS_LEN;
}

bool entry_encode(const json_t *entry, struct arena *arena, struct store_entry *encoded,
                  struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct entry_view view = { 0 };
    struct error cause = { 0 };

    if (!entry_view_read(entry, &view, &cause) || !check_view(&view, &cause) ||
        !entry_fold_view(&view, encoded->changes, &encoded->change_count, &cause))
        return error_set(error, ERROR_LEDGER, "%s", cause.cause);
    buf_init(&text, STORE_ENTRY_MAX);
    buf_expect(&text, ENTRY_USUAL);
    buf_add_json(&text, entry);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_LEDGER, "an entry of more than %zu bytes", STORE_ENTRY_MAX);
    encoded->bytes = arena_alloc(arena, text.len);
    if (encoded->bytes == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    memcpy(encoded->bytes, text.data, text.len);
    encoded->len = text.len;
    encoded->time_offset = find_time(entry, &text);
    return true;
}

struct merkle_hash entry_leaf(struct str entry)
{
    struct merkle_hash leaf;

    if (!store_entry_is_pruned(entry))
        return merkle_leaf(entry);
    memcpy(leaf.bytes, entry.data + 1, sizeof(leaf.bytes));
    return leaf;
}

bool entry_parse(struct str bytes, json_t **entry, struct error *error)
{
    struct error cause = { 0 };

    if (json_parse_object(bytes, entry_limits, entry, &cause))
        return true;
    return error_set(error, ERROR_INVALID, "an entry is not JSON as we write it: %s", cause.cause);
}

json_t *entry_parse_private(struct str private_part)
{
    static const struct json_limits limits = { (size_t)64 * 1024, 32, 4096 };
    struct error ignored = { 0 };
    json_t *parsed = NULL;

    return private_part.len > 0 && json_parse_object(private_part, limits, &parsed, &ignored)
               ? parsed
               : NULL;
}
