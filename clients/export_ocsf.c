/*
 * An event of the Open Cybersecurity Schema Framework an entry. What the schema has no place for is
 * under `unmapped`, so that nothing is lost. The profile `record_integrity` names the leaf that the
 * event is made of: who doubts it proves that one.
 *
 * Source: OCSF 1.9.0-dev, category 3 (Identity & Access Management)
 */
#include <inttypes.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/export_form.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"

#define OCSF_VERSION "1.9.0-dev"
#define CATEGORY_IAM 3

enum class_uid {
    AUTHENTICATION = 3002,
    AUTHORIZE_SESSION = 3003,
    ENTITY_MANAGEMENT = 3004,
};

enum severity {
    INFORMATIONAL = 1,
    LOW = 2,
    MEDIUM = 3,
    HIGH = 4,
};

enum status {
    STATUS_UNKNOWN = 0,
    STATUS_SUCCESS = 1,
    STATUS_FAILURE = 2,
    STATUS_OTHER = 99,
};

#define ACTIVITY_OTHER 99

/* A row a type of entry; those that are not here are changes of something else. */
static const struct type {
    const char *name;
    enum class_uid class_uid;
    int activity;
    const char *activity_name; /* for 99 */
    enum status status;
    const char *status_text; /* for 99 */
    enum severity severity;
    const char *entity; /* what kind of thing changes: of ENTITY_MANAGEMENT */
} types[] = {
    { "credential.issued", AUTHORIZE_SESSION, 1, NULL, STATUS_SUCCESS, NULL, INFORMATIONAL, NULL },
    { "lease.requested", AUTHORIZE_SESSION, 1, NULL, STATUS_OTHER, "Requested", INFORMATIONAL,
      NULL },
    { "credential.failed", AUTHORIZE_SESSION, 1, NULL, STATUS_FAILURE, NULL, LOW, NULL },
    { "credential.unknown", AUTHORIZE_SESSION, 1, NULL, STATUS_UNKNOWN, NULL, MEDIUM, NULL },
    { "renewal.requested", AUTHORIZE_SESSION, ACTIVITY_OTHER, "Renew", STATUS_OTHER, "Requested",
      INFORMATIONAL, NULL },
    { "renewal.failed", AUTHORIZE_SESSION, ACTIVITY_OTHER, "Renew", STATUS_FAILURE, NULL, LOW,
      NULL },
    { "lease.renewed", AUTHORIZE_SESSION, ACTIVITY_OTHER, "Renew", STATUS_SUCCESS, NULL,
      INFORMATIONAL, NULL },
    { "exchange.denied", AUTHENTICATION, 1, NULL, STATUS_FAILURE, NULL, LOW, NULL },
    { "exchange.observed", AUTHENTICATION, ACTIVITY_OTHER, "Observe", STATUS_SUCCESS, NULL,
      INFORMATIONAL, NULL },
    { "lease.released", AUTHENTICATION, 2, NULL, STATUS_SUCCESS, NULL, INFORMATIONAL, NULL },
    { "credential.revoked", AUTHENTICATION, 2, NULL, STATUS_SUCCESS, NULL, LOW, NULL },
    { "policy.activated", ENTITY_MANAGEMENT, 3, NULL, STATUS_SUCCESS, NULL, LOW, "Policy" },
    { "issuer.keys_changed", ENTITY_MANAGEMENT, 3, NULL, STATUS_SUCCESS, NULL, LOW, "Issuer" },
    { "keys.rotated", ENTITY_MANAGEMENT, 3, NULL, STATUS_SUCCESS, NULL, INFORMATIONAL, "Keys" },
    { "approval.requested", ENTITY_MANAGEMENT, 1, NULL, STATUS_SUCCESS, NULL, LOW, "Approval" },
    { "approval.granted", ENTITY_MANAGEMENT, 3, NULL, STATUS_SUCCESS, NULL, MEDIUM, "Approval" },
    { "approval.rejected", ENTITY_MANAGEMENT, 3, NULL, STATUS_SUCCESS, NULL, LOW, "Approval" },
    { "approval.refused", ENTITY_MANAGEMENT, 3, NULL, STATUS_FAILURE, NULL, MEDIUM, "Approval" },
    { "admin.read", ENTITY_MANAGEMENT, 2, NULL, STATUS_SUCCESS, NULL, INFORMATIONAL, "Ledger" },
    { "admin.blocked", ENTITY_MANAGEMENT, 1, NULL, STATUS_SUCCESS, NULL, MEDIUM, "Block" },
    { "admin.unblocked", ENTITY_MANAGEMENT, 4, NULL, STATUS_SUCCESS, NULL, LOW, "Block" },
    { "admin.erased", ENTITY_MANAGEMENT, 4, NULL, STATUS_SUCCESS, NULL, LOW, "Ledger" },
    { "admin.pruned", ENTITY_MANAGEMENT, 4, NULL, STATUS_SUCCESS, NULL, INFORMATIONAL, "Ledger" },
    { "admin.reviewed", ENTITY_MANAGEMENT, ACTIVITY_OTHER, "Review", STATUS_SUCCESS, NULL,
      INFORMATIONAL, "Review" },
};

static const struct type other = { "",   ENTITY_MANAGEMENT, ACTIVITY_OTHER, "Other", STATUS_SUCCESS,
                                   NULL, INFORMATIONAL,     "Broker" };

/* One event on its way. The first member that cannot be had fails all of it. */
struct event {
    const struct export_context *context;
    const struct ledger_found *found;
    const json_t *entry;
    const struct type *type;
    json_t *json;
    bool is_failed;
};

/* ---- putting ---- */

static void put(struct event *event, json_t *object, const char *name, json_t *take_value)
{
    if (!json_put(object, name, take_value))
        event->is_failed = true;
}

static void put_text(struct event *event, json_t *object, const char *name, struct str text)
{
    if (text.len > 0)
        put(event, object, name, json_from_str(text));
}

static void put_number(struct event *event, json_t *object, const char *name, int64_t number)
{
    put(event, object, name, json_integer(number));
}

static json_t *put_object(struct event *event, json_t *object, const char *name)
{
    json_t *made = json_object();

    put(event, object, name, made);
    return made;
}

static struct str text_of(const struct event *event, const char *name)
{
    return json_str(json_object_get(event->entry, name));
}

/* A personal value, unless it is still a digest. */
static struct str disclosed(const struct event *event, const char *outer, const char *inner)
{
    struct str value = export_text(event->entry, outer, inner);

    return str_starts_with(value, STR("sd:")) ? STR("") : value;
}

static void put_time(struct event *event, json_t *object, const char *name, struct str text)
{
    int64_t time_ms;

    if (time_text_parse(text, &time_ms))
        put_number(event, object, name, time_ms);
}

/* ---- what every event has ---- */

/* "github:acme/payments:8817:1" */
static struct str run_of(const struct event *event)
{
    struct str run = export_text(event->entry, "ci", "run");
    struct str attempt = export_text(event->entry, "ci", "attempt");

    if (run.len == 0)
        return run;
    return arena_printf(event->found->arena, STR_FMT ":" STR_FMT ":" STR_FMT "%s" STR_FMT,
                        STR_ARG(text_of(event, "issuer")),
                        STR_ARG(export_text(event->entry, "ci", "repository")), STR_ARG(run),
                        attempt.len > 0 ? ":" : "", STR_ARG(attempt));
}

static void put_metadata(struct event *event)
{
    json_t *metadata = put_object(event, event->json, "metadata");
    json_t *product = put_object(event, metadata, "product");
    json_t *profiles = json_array();

    put_text(event, metadata, "version", STR(OCSF_VERSION));
    put_text(event, metadata, "uid",
             arena_printf(event->found->arena, STR_FMT "#%" PRIu64, STR_ARG(event->context->origin),
                          event->found->item.index));
    put_text(event, metadata, "correlation_uid", run_of(event));
    put_text(event, metadata, "original_event_uid", text_of(event, "decision"));
    put_number(event, metadata, "sequence", (int64_t)event->found->item.index);
    put_text(event, metadata, "tenant_uid", text_of(event, "tenant"));
    put_text(event, metadata, "event_code", text_of(event, "type"));
    put_text(event, product, "name", STR("stagepass"));
    put_text(event, product, "vendor_name", STR("Stagepass"));
    put_text(event, product, "version", str_from(event->context->version));
    put(event, metadata, "profiles", profiles);
    if (json_array_append_new(profiles, json_string("record_integrity")) != 0)
        event->is_failed = true;
}

static void put_attestation(struct event *event)
{
    json_t *list = json_array();
    json_t *attestation = json_object();
    json_t *fingerprint;

    put(event, event->json, "attestation_list", list);
    if (json_array_append_new(list, attestation) != 0) {
        event->is_failed = true;
        return;
    }
    put_text(event, attestation, "chain_uid", event->context->origin);
    put_text(event, attestation, "uid",
             arena_printf(event->found->arena, "leaf/%" PRIu64, event->found->item.index));
    fingerprint = put_object(event, attestation, "fingerprint");
    put_number(event, fingerprint, "algorithm_id", 3);     /* SHA-256 */
    put_number(event, fingerprint, "encoding_id", 1);      /* hex */
    put_number(event, fingerprint, "serialization_id", 2); /* JCS */
    put_text(event, fingerprint, "value", event->context->leaf_hex);
}

static void put_status(struct event *event)
{
    put_number(event, event->json, "status_id", event->type->status);
    if (event->type->status_text)
        put_text(event, event->json, "status", str_from(event->type->status_text));
    put_text(event, event->json, "status_code", text_of(event, "code"));
    put_text(event, event->json, "status_detail", text_of(event, "reason"));
}

static void put_head(struct event *event)
{
    const struct type *type = event->type;
    enum severity severity =
        str_eq(text_of(event, "reason"), STR("replay")) ? HIGH : type->severity;

    put_number(event, event->json, "category_uid", CATEGORY_IAM);
    put_number(event, event->json, "class_uid", type->class_uid);
    put_number(event, event->json, "activity_id", type->activity);
    if (type->activity_name)
        put_text(event, event->json, "activity_name", str_from(type->activity_name));
    put_number(event, event->json, "type_uid", (int64_t)type->class_uid * 100 + type->activity);
    put_number(event, event->json, "time", ledger_entry_time_ms(event->entry));
    put_number(event, event->json, "timezone_offset", 0);
    put_number(event, event->json, "severity_id", severity);
    put_text(event, event->json, "message", export_type_words(event->entry, event->found->arena));
}

/* ---- who ---- */

static const char *decision_of(const struct event *event)
{
    return event->type->status == STATUS_FAILURE && event->type->class_uid == AUTHENTICATION
               ? "deny"
               : "allow";
}

static void put_authorization(struct event *event, json_t *actor)
{
    json_t *list = json_array();
    json_t *authorization = json_object();
    json_t *policy;

    put(event, actor, "authorizations", list);
    if (json_array_append_new(list, authorization) != 0) {
        event->is_failed = true;
        return;
    }
    put_text(event, authorization, "decision", str_from(decision_of(event)));
    policy = put_object(event, authorization, "policy");
    put_text(event, policy, "uid", text_of(event, "policy"));
    put_text(event, policy, "name", text_of(event, "stage"));
    put_text(event, policy, "version", text_of(event, "rule"));
}

static void put_actor(struct event *event)
{
    struct str issuer = text_of(event, "issuer");
    json_t *actor;
    json_t *idp;

    if (issuer.len == 0)
        return;
    actor = put_object(event, event->json, "actor");
    idp = put_object(event, actor, "idp");
    put_text(event, idp, "name", issuer);
    put_text(event, idp, "uid", export_text(event->entry, "claims", "iss"));
    if (disclosed(event, "ci", "actor").len > 0)
        put_text(event, put_object(event, actor, "user"), "name", disclosed(event, "ci", "actor"));
    if (json_object_get(event->entry, "policy"))
        put_authorization(event, actor);
}

/* A job is a service; where an entry does not say which, its stage stands for it. */
static void put_user(struct event *event)
{
    json_t *user = put_object(event, event->json, "user");
    struct str subject = text_of(event, "subject");
    struct str stage = text_of(event, "stage");

    put_text(event, user, "uid", subject);
    if (subject.len == 0)
        put_text(event, user, "name", stage.len > 0 ? stage : STR("unknown"));
    put_number(event, user, "type_id", 4);
    put_text(event, user, "type", STR("Service"));
}

static void put_session(struct event *event)
{
    struct str lease = text_of(event, "lease");
    struct str credentials =
        export_list(json_object_get(event->entry, "credentials"), "id", event->found->arena);
    json_t *session;

    if (lease.len == 0 && credentials.len == 0)
        return;
    session = put_object(event, event->json, "session");
    put_text(event, session, "uid", lease);
    put_text(event, session, "credential_uid", credentials);
    put_text(event, session, "issuer", event->context->origin);
    if (event->type->class_uid == AUTHORIZE_SESSION)
        put_time(event, session, "created_time", text_of(event, "time"));
    put_time(event, session, "expiration_time", text_of(event, "lease_expires"));
    put_text(event, session, "expiration_reason", text_of(event, "outcome"));
    put(event, session, "is_remote", json_true());
}

static void put_endpoint(struct event *event)
{
    struct str address = disclosed(event, "facts", "address");

    if (address.len > 0)
        put_text(event, put_object(event, event->json, "src_endpoint"), "ip", address);
}

/* ---- what each class needs ---- */

static void put_token(struct event *event)
{
    const json_t *token = json_object_get(event->entry, "token");
    int64_t time_s;
    json_t *object;

    put_number(event, event->json, "auth_protocol_id", 4); /* OpenID */
    if (!json_object_get(token, "iat"))
        return;
    object = put_object(event, event->json, "authentication_token");
    put_number(event, object, "type_id", 3); /* an identity token */
    if (json_get_time(token, "iat", &time_s))
        put_number(event, object, "created_time", time_s * 1000);
    if (json_get_time(token, "exp", &time_s))
        put_number(event, object, "expiration_time", time_s * 1000);
}

/* The grants; a stage without any gives the right to be that stage. */
static void put_privileges(struct event *event)
{
    const json_t *credentials = json_object_get(event->entry, "credentials");
    json_t *list = json_array();

    put(event, event->json, "privileges", list);
    for (size_t i = 0; i < json_array_size(credentials); i++) {
        const json_t *credential = json_array_get(credentials, i);
        struct str grant = json_str(json_object_get(credential, "grant"));
        struct str target = json_str(json_object_get(credential, "target"));
        struct str text = arena_printf(event->found->arena, STR_FMT "%s" STR_FMT, STR_ARG(grant),
                                       target.len > 0 ? "@" : "", STR_ARG(target));

        if (grant.len > 0 && json_array_append_new(list, json_from_str(text)) != 0)
            event->is_failed = true;
    }
    if (json_array_size(list) == 0 &&
        json_array_append_new(list, json_from_str(text_of(event, "stage"))) != 0)
        event->is_failed = true;
}

static void put_entity(struct event *event)
{
    json_t *entity = put_object(event, event->json, "entity");
    struct str name = text_of(event, "policy");

    if (name.len == 0)
        name = text_of(event, "issuer");
    if (name.len == 0)
        name = text_of(event, "detail");
    put_text(event, entity, "name", name.len > 0 ? name : text_of(event, "type"));
    put_text(event, entity, "type", str_from(event->type->entity));
}

/* ---- all of it ---- */

static const char *const mapped[] = { "type",     "time",   "subject", "lease",
                                      "decision", "handle", "tenant",  "lease_expires",
                                      "code",     "reason", "outcome", NULL };

static void put_unmapped(struct event *event)
{
    json_t *rest = json_copy(json_iterable(event->entry));

    put(event, event->json, "unmapped", rest);
    for (size_t i = 0; mapped[i]; i++)
        (void)json_object_del(rest, mapped[i]); /* or it is not there */
}

static const struct type *type_of(const json_t *entry)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (str_eq(json_str(json_object_get(entry, "type")), str_from(types[i].name)))
            return &types[i];
    return &other;
}

static void write(const struct export_context *context, const struct ledger_found *found,
                  const json_t *entry, struct buf *out)
{
    JSON_OWNED json_t *json = json_object();
    struct event event = {
        .context = context, .found = found, .entry = entry, .type = type_of(entry), .json = json
    };

    put_head(&event);
    put_metadata(&event);
    put_status(&event);
    put_attestation(&event);
    put_actor(&event);
    put_endpoint(&event);
    if (event.type->class_uid == ENTITY_MANAGEMENT) {
        put_entity(&event);
    } else {
        put_user(&event);
        put_session(&event);
    }
    if (event.type->class_uid == AUTHORIZE_SESSION)
        put_privileges(&event);
    if (event.type->class_uid == AUTHENTICATION)
        put_token(&event);
    put_unmapped(&event);
    buf_add_json(out, event.is_failed ? NULL : json); /* NULL marks it as failed */
    buf_add_byte(out, '\n');
}

const struct export_form export_ocsf = { "ocsf", NULL, write };
