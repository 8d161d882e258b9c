#include "api/approval_view.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "http/form.h"
#include "identity/people.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"

#define REASON_MAX 256

static const struct json_limits private_limits = { STORE_PRIVATE_MAX, 40, 8000 };

/* ---- reading ---- */

static void read_terms(struct approval_view *view)
{
    const json_t *request = json_object_get(view->entry, "request");
    const json_t *terms = json_object_get(request, "approval");

    view->by = json_str(json_object_get(terms, "by"));
    view->count = json_integer_value(json_object_get(terms, "count"));
    view->within_s = json_integer_value(json_object_get(terms, "within_s"));
    view->self_is_unchecked = json_object_get(terms, "self_approval") != NULL;
}

bool approval_view_read(const struct store_approval *row, struct str entry, struct str private_part,
                        struct arena *arena, struct approval_view *view, struct error *error)
{
    struct error ignored = { 0 };
    json_t *private_json = NULL;
    json_t *parsed;

    *view = (struct approval_view){ .row = *row };
    if (!entry_parse(entry, &parsed, error) || !json_keep(arena, parsed, error))
        return false;
    view->entry = parsed;
    if (private_part.len > 0 &&
        json_parse_object(private_part, private_limits, &private_json, &ignored)) {
        if (!json_keep(arena, private_json, error))
            return false;
        view->private_part = private_json;
    }
    view->stage = json_str(json_object_get(parsed, "stage"));
    view->tenant = json_str(json_object_get(parsed, "tenant"));
    view->owner = json_str(json_object_get(parsed, "owner"));
    view->issuer = json_str(json_object_get(parsed, "issuer"));
    read_terms(view);
    return true;
}

bool approval_view_find(struct ledger *ledger, struct str id, struct arena *arena,
                        struct approval_view *view, struct error *error)
{
    struct store_approval row;
    struct str private_part;
    struct str entry;

    if (!id_is_valid(id))
        return error_set(error, ERROR_NOT_FOUND, "no approval has such an id");
    return ledger_approval_by_id(ledger, id, &row, error) &&
           ledger_entry_with_private(ledger, row.opened_index, arena, &entry, &private_part,
                                     error) &&
           approval_view_read(&row, entry, private_part, arena, view, error);
}

/* ---- who may ---- */

bool approval_asks(const struct approval_view *view, const struct person *person)
{
    for (size_t i = 0; view->by.len > 0 && i < person->group_count; i++)
        if (str_eq(person->groups[i], view->by))
            return true;
    return false;
}

bool approval_may_see(const struct approval_view *view, const struct person *person)
{
    static const enum person_role roles[] = { PERSON_AUDITOR, PERSON_OPERATOR, PERSON_APPROVER };

    for (size_t i = 0; i < COUNT(roles); i++)
        if (person_may(person, roles[i], view->tenant))
            return true;
    return approval_asks(view, person) || person_is_owner(person, view->owner);
}

/* ---- showing ---- */

/* What stands behind a digest, where that is still known. */
static json_t *disclose(const struct approval_view *view, const char *path, const char *name,
                        json_t *value)
{
    char member[64];
    const json_t *disclosed;

    (void)snprintf(member, sizeof(member), "%s.%s", path, name);
    disclosed = json_object_get(view->private_part, member);
    return entry_discloses(value, name, disclosed) ? json_object_get(disclosed, "value") : value;
}

static json_t *disclose_all(const struct approval_view *view, const char *path, json_t *object)
{
    json_t *shown = json_object();
    const char *name;
    json_t *value;

    json_object_foreach (object, name, value) {
        if (json_put(shown, name, json_incref(disclose(view, path, name, value))))
            continue;
        json_decref(shown);
        return NULL;
    }
    return shown;
}

json_t *approval_view_ci(const struct approval_view *view)
{
    return disclose_all(view, "ci", json_object_get(view->entry, "ci"));
}

bool approval_view_is_for(const struct approval_view *view, const struct person *person)
{
    json_t *actor = json_object_get(view->entry, "actor");
    JSON_OWNED json_t *shown = disclose_all(view, "actor", actor);

    return view->issuer.len > 0 &&
           str_eq(json_str(json_object_get(shown, "issuer")), person->token.issuer->name) &&
           str_eq(json_str(json_object_get(shown, "subject")), person->subject);
}

int64_t approval_view_left(const struct approval_view *view)
{
    int64_t left = view->count - view->row.person_count;

    return view->row.state == APPROVAL_PENDING && left > 0 ? left : 0;
}

static const char *state_name(const struct store_approval *row, int64_t now_s)
{
    static const char *const names[] = {
        [APPROVAL_PENDING] = "pending",
        [APPROVAL_GRANTED] = "granted",
        [APPROVAL_REJECTED] = "rejected",
        [APPROVAL_USED] = "used",
    };

    if ((row->state == APPROVAL_PENDING || row->state == APPROVAL_GRANTED) &&
        row->expires_s <= now_s)
        return "expired";
    return names[row->state];
}

static bool put_digest(json_t *object, const uint8_t digest[SHA256_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 128);
    buf_add_text(&text, "sha256:");
    buf_add_hex(&text, (struct str){ (const char *)digest, SHA256_LEN });
    return buf_is_ok(&text) && json_put(object, "digest", json_from_str(buf_str(&text)));
}

/* Members of an entry as they are; those of its request come by their own names. */
static bool copy(const json_t *from, const char *const *names, size_t count, json_t *object)
{
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_object_get(from, names[i]);

        if (value && !json_put(object, names[i], json_incref(value)))
            return false;
    }
    return true;
}

static bool put_asked(const struct approval_view *view, json_t *object)
{
    static const char *const of_entry[] = {
        "pipeline", "stage", "kind",   "environment", "tenant",
        "owner",    "rule",  "policy", "instance",    "issuer"
    };
    static const char *const of_request[] = { "scope",    "audience", "reason",  "ttl_s",
                                              "bindings", "grants",   "approval" };
    json_t *actor = json_object_get(view->entry, "actor");
    bool is_of_run = view->issuer.len > 0; /* else the actor is who gave it */

    return copy(view->entry, of_entry, COUNT(of_entry), object) &&
           copy(json_object_get(view->entry, "request"), of_request, COUNT(of_request), object) &&
           (!json_object_get(view->entry, "ci") ||
            json_put(object, "ci", approval_view_ci(view))) &&
           (!actor || !is_of_run || json_put(object, "actor", disclose_all(view, "actor", actor)));
}

bool approval_view_put(const struct approval_view *view, int64_t now_s, json_t *object)
{
    const struct store_approval *row = &view->row;
    json_t *time = json_object_get(view->entry, "time");

    return json_put(object, "id", json_string(row->id)) &&
           json_put(object, "state", json_string(state_name(row, now_s))) &&
           put_digest(object, row->digest) && put_asked(view, object) &&
           json_put(object, "left", json_integer(approval_view_left(view))) &&
           json_put(object, "requested_at", json_incref(time)) &&
           approval_put_time(object, "until", row->expires_s) &&
           (!row->is_break_glass || json_put(object, "break_glass", json_true())) &&
           json_put(object, "entry", json_integer((json_int_t)row->opened_index));
}

/* ---- what changes of it share ---- */

bool approval_put_time(json_t *object, const char *name, int64_t wall_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(wall_s, text);
    return json_put(object, name, json_string(text));
}

bool approval_put_person(json_t *entry, const uint8_t who[STORE_PERSON_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, (size_t)2 * STORE_PERSON_LEN);
    buf_add_hex(&text, (struct str){ (const char *)who, STORE_PERSON_LEN });
    return buf_is_ok(&text) && json_put(entry, "person", json_from_str(buf_str(&text)));
}

bool approval_refuse(struct error *error, const char *why)
{
    (void)error_set(error, ERROR_REQUEST, "%s", why);
    error_tell(error, "%s", why);
    return false;
}

bool approval_read_reason(const struct form *form, struct str *reason, struct error *error)
{
    if (form_get(form, "reason", reason) && reason->len <= REASON_MAX && !str_has_control(*reason))
        return true;
    return approval_refuse(error, "it needs a reason of 1 to 256 bytes of plain text");
}

bool approval_read_flag(const struct form *form, const char *name, bool *flag, struct error *error)
{
    struct str text;

    if (!form_get(form, name, &text))
        return true;
    *flag = str_eq(text, STR("true"));
    return *flag || str_eq(text, STR("false")) ||
           approval_refuse(error, "a flag is true, false or absent");
}
