#include "exchange/approval_digest.h"

#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

#define SUBJECT_MAX ((size_t)256 * 1024)
#define SHOWN_MAX ((size_t)4 * 1024) /* so that an entry always has room for it */

bool approval_is_of_request(const char *member)
{
    static const char *const names[] = { "type", "grant", "ttl", "public_key", "proof", "csr" };

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], member) == 0)
            return true;
    return false;
}

static bool put_details(json_t *object, const json_t *details)
{
    JSON_OWNED json_t *kept = json_object();
    const char *name;
    json_t *value;

    if (!kept)
        return false;
    json_object_foreach (json_iterable(details), name, value)
        if (!approval_is_of_request(name) && !json_put(kept, name, json_incref(value)))
            return false;
    return json_object_size(kept) == 0 || json_put(object, "details", json_incref(kept));
}

static bool put_grant(json_t *list, const struct approval_grant *grant)
{
    json_t *object = json_append_object(list);

    return json_put_text(object, "grant", grant->name) &&
           json_put_text(object, "type", grant->kind) &&
           json_put_text(object, "target", grant->target) &&
           json_put_text(object, "scope", grant->scope) &&
           (!grant->fields ||
            json_put(object, "fields", json_incref(json_iterable(grant->fields)))) &&
           (!grant->details || put_details(object, grant->details)) &&
           json_put(object, "ttl_s", json_integer(grant->ttl_s));
}

static json_t *list_grants(const struct approval_grant *grants, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < count; i++) {
        if (put_grant(list, &grants[i]))
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *hash_json(const json_t *value)
{
    OWNED(buf_release) struct buf text = { 0 };
    OWNED(buf_release) struct buf hash = { 0 };
    uint8_t digest[SHA256_LEN];

    buf_init(&text, SUBJECT_MAX);
    buf_add_json(&text, value);
    if (!buf_is_ok(&text))
        return NULL;
    sha256(buf_str(&text), digest);
    buf_init(&hash, 128);
    buf_add_text(&hash, "sha256:");
    buf_add_hex(&hash, (struct str){ (const char *)digest, SHA256_LEN });
    return buf_is_ok(&hash) ? json_from_str(buf_str(&hash)) : NULL;
}

static bool shorten_fields(json_t *list)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, SHOWN_MAX);
    buf_add_json(&text, list);
    for (size_t i = 0; !buf_is_ok(&text) && i < json_array_size(list); i++) {
        json_t *grant = json_array_get(list, i);

        if (!json_put(grant, "fields", hash_json(json_object_get(grant, "fields"))))
            return false;
    }
    return true;
}

json_t *approval_grants_shown(const struct approval_grant *grants, size_t count)
{
    json_t *list = list_grants(grants, count);

    if (list && shorten_fields(list))
        return list;
    json_decref(list);
    return NULL;
}

static bool put_rule(json_t *object, const uint8_t rule[SHA256_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, (size_t)2 * SHA256_LEN);
    buf_add_hex(&text, (struct str){ (const char *)rule, SHA256_LEN });
    return buf_is_ok(&text) && json_put(object, "rule", json_from_str(buf_str(&text)));
}

/* A workflow that the issuer says nothing of is null; one that is as the commit is not there. */
static bool put_workflow(json_t *object, const struct approval_subject *subject)
{
    if (subject->workflow == APPROVAL_WORKFLOW_OF_COMMIT)
        return true;
    return json_put(object, "workflow_commit",
                    subject->workflow_commit.len == 0 ? json_null()
                                                      : json_from_str(subject->workflow_commit));
}

static bool put_run(json_t *object, const struct approval_subject *subject)
{
    return json_put_text(object, "issuer", subject->issuer) &&
           json_put_text(object, "repository", subject->repository) &&
           json_put_text(object, "run", subject->run);
}

static json_t *describe(const struct approval_subject *subject)
{
    json_t *object = json_object();

    if (json_put_text(object, "stage", subject->stage) &&
        json_put_text(object, "instance", subject->instance) &&
        json_put_text(object, "commit", subject->commit) &&
        (subject->commit.len > 0 || put_run(object, subject)) && put_workflow(object, subject) &&
        json_put_text(object, "audience", subject->audience) &&
        (!subject->breaks_glass || json_put(object, "break_glass", json_true())) &&
        (!subject->bindings ||
         json_put(object, "bindings", json_incref(json_iterable(subject->bindings)))) &&
        json_put(object, "grants", list_grants(subject->grants, subject->grant_count)) &&
        put_rule(object, subject->rule_sha256))
        return object;
    json_decref(object);
    return NULL;
}

bool approval_digest(const struct approval_subject *subject, uint8_t digest[SHA256_LEN],
                     struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    JSON_OWNED json_t *object = describe(subject);

    if (!object)
        return error_set(error, ERROR_MEMORY, "what is approved");
    buf_init(&text, SUBJECT_MAX);
    buf_add_json(&text, object);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_LIMIT, "what is approved has more than %zu bytes",
                         SUBJECT_MAX);
    sha256(buf_str(&text), digest);
    return true;
}
