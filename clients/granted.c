#include "clients/granted.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/endings.h"
#include "clients/report.h"

static const char *const full_names[] = {
    [POLICY_FULL_REFUSE] = "refuse",
    [POLICY_FULL_WAIT] = "wait",
    [POLICY_FULL_REPLACE] = "replace",
};

static void print_duration(FILE *file, const char *before, int64_t seconds)
{
    char text[DURATION_TEXT_MAX];

    duration_text(seconds, text);
    (void)fprintf(file, "%s%s", before, text);
}

static void print_field(FILE *file, const char *name, const json_t *value)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, (size_t)1024 * 1024);
    if (json_is_string(value))
        buf_add(&text, json_str(value));
    else
        buf_add_json(&text, value);
    (void)fprintf(file, "%*s", 6, "");
    print_clean(file, str_from(name));
    (void)fputs("  ", file);
    print_clean(file, buf_str(&text));
    (void)fputc('\n', file);
}

static void print_grant(const struct policy_granted *granted, FILE *file)
{
    const char *note = ending_note(granted->grant, granted->fields);
    const char *name;
    json_t *value;

    (void)fputs("  ", file);
    print_clean(file, granted->grant->name);
    (void)fprintf(file, "  %s", granted->grant->kind->name);
    print_duration(file, ", ", granted->ttl_s);
    (void)fprintf(file, ", %s\n", ending_sentence(granted->grant, granted->fields));
    if (note)
        (void)fprintf(file, "      (%s)\n", note);
    json_object_foreach (json_iterable(granted->fields), name, value) {
        print_field(file, name, value);
    }
}

static void print_after(FILE *file, const struct policy_after *after)
{
    (void)fputs("  after ", file);
    print_clean(file, after->stage);
    if (after->instance.len > 0) {
        (void)fputs(" (", file);
        print_clean(file, after->instance);
        (void)fputc(')', file);
    }
    (void)fprintf(file, " of the same %s, %s", after->is_of_commit ? "commit" : "run",
                  after->issued_is_enough ? "issued" : "released with success");
    if (after->within_s > 0)
        print_duration(file, ", within ", after->within_s);
    (void)fputc('\n', file);
}

static void print_approval(FILE *file, const struct policy_approval *approval)
{
    (void)fprintf(file, "  approval of %" PRId64 " from ", approval->count);
    print_clean(file, approval->by);
    if (approval->within_s > 0)
        print_duration(file, ", serves for ", approval->within_s);
    if (approval->wait_s > 0)
        print_duration(file, ", waited for up to ", approval->wait_s);
    if (approval->bind_count > 0) {
        (void)fputs(", bound to ", file);
        for (size_t i = 0; i < approval->bind_count; i++) {
            (void)fputs(i > 0 ? ", " : "", file);
            print_clean(file, approval->bind[i]);
        }
    }
    (void)fputc('\n', file);
}

static void print_limits(FILE *file, const struct policy_limits *limits)
{
    const struct {
        const char *name;
        int64_t count;
    } counts[] = { { "per job", limits->per_job },
                   { "at once", limits->concurrent },
                   { "per hour", limits->per_hour } };
    const char *before = "  limits ";

    for (size_t i = 0; i < COUNT(counts); i++) {
        if (counts[i].count == 0)
            continue;
        (void)fprintf(file, "%s%" PRId64 " %s", before, counts[i].count, counts[i].name);
        before = ", ";
    }
    if (limits->concurrent > 0)
        (void)fprintf(file, " (full: %s)", full_names[limits->full]);
    if (before[0] == ',')
        (void)fputc('\n', file);
}

static void print_lease(FILE *file, const struct policy_lease *lease)
{
    if (lease->max_s == 0 && lease->heartbeat_s == 0)
        return;
    (void)fputs("  lease", file);
    if (lease->max_s > 0)
        print_duration(file, " of at most ", lease->max_s);
    if (lease->heartbeat_s > 0)
        print_duration(file, ", a heartbeat each ", lease->heartbeat_s);
    (void)fputc('\n', file);
}

static bool has_obligations(const struct policy_obligations *obligations)
{
    const struct policy_limits *limits = &obligations->limits;

    return obligations->after_count > 0 || obligations->approval ||
           limits->per_job + limits->concurrent + limits->per_hour > 0 ||
           obligations->lease.max_s + obligations->lease.heartbeat_s > 0;
}

static void print_obligations(FILE *file, const struct policy_obligations *obligations)
{
    for (size_t i = 0; i < obligations->after_count; i++)
        print_after(file, &obligations->after[i]);
    if (obligations->approval)
        print_approval(file, obligations->approval);
    print_limits(file, &obligations->limits);
    print_lease(file, &obligations->lease);
}

static void print_title(const struct paint *paint, const char *title, FILE *file)
{
    paint_start(paint, PAINT_STRONG, file);
    (void)fputs(title, file);
    paint_stop(paint, file);
    (void)fputc('\n', file);
}

void granted_print(const struct policy_decision *decision, const struct paint *paint, FILE *file)
{
    print_title(paint, decision->grant_count > 0 ? "grants" : "no grants: a stage token only",
                file);
    for (size_t i = 0; i < decision->grant_count; i++)
        print_grant(&decision->grants[i], file);
    if (has_obligations(&decision->obligations)) {
        print_title(paint,
                    "what must hold besides: only a broker can tell, by its leases and people",
                    file);
        print_obligations(file, &decision->obligations);
    }
    if (decision->instance.len > 0) {
        (void)fputs("instance  ", file);
        print_clean(file, decision->instance);
        (void)fputc('\n', file);
    }
}

/* ---- as JSON ---- */

static json_t *grant_list(const struct policy_decision *decision)
{
    JSON_OWNED json_t *list = json_array();

    for (size_t i = 0; i < decision->grant_count; i++) {
        const struct policy_granted *granted = &decision->grants[i];
        const char *note = ending_note(granted->grant, granted->fields);
        json_t *object = json_object();

        if (!object || json_array_append_new(list, object) != 0 ||
            !json_put(object, "name", json_from_str(granted->grant->name)) ||
            !json_put(object, "kind", json_string(granted->grant->kind->name)) ||
            !json_put(object, "ttl_s", json_integer(granted->ttl_s)) ||
            !json_put(object, "ends", json_string(ending_word(granted->grant, granted->fields))) ||
            (note && !json_put(object, "ends_note", json_string(note))) ||
            !json_put(object, "fields", json_incref(json_iterable(granted->fields))))
            return NULL;
    }
    return TAKE(list);
}

static json_t *after_list(const struct policy_obligations *obligations)
{
    JSON_OWNED json_t *list = json_array();

    for (size_t i = 0; i < obligations->after_count; i++) {
        const struct policy_after *after = &obligations->after[i];
        json_t *object = json_object();

        if (!object || json_array_append_new(list, object) != 0 ||
            !json_put(object, "stage", json_from_str(after->stage)) ||
            !json_put(object, "same", json_string(after->is_of_commit ? "commit" : "run")) ||
            !json_put(object, "outcome",
                      json_string(after->issued_is_enough ? "issued" : "success")) ||
            !json_put(object, "within_s", json_integer(after->within_s)) ||
            (after->instance.len > 0 &&
             !json_put(object, "instance", json_from_str(after->instance))))
            return NULL;
    }
    return TAKE(list);
}

static json_t *approval_object(const struct policy_approval *approval)
{
    JSON_OWNED json_t *object = json_object();

    return json_put(object, "by", json_from_str(approval->by)) &&
                   json_put(object, "count", json_integer(approval->count)) &&
                   json_put(object, "within_s", json_integer(approval->within_s)) &&
                   json_put(object, "wait_s", json_integer(approval->wait_s)) &&
                   json_put(object, "bind", json_from_strs(approval->bind, approval->bind_count))
               ? TAKE(object)
               : NULL;
}

static json_t *limits_object(const struct policy_limits *limits)
{
    JSON_OWNED json_t *object = json_object();

    return json_put(object, "per_job", json_integer(limits->per_job)) &&
                   json_put(object, "concurrent", json_integer(limits->concurrent)) &&
                   json_put(object, "per_hour", json_integer(limits->per_hour)) &&
                   json_put(object, "full", json_string(full_names[limits->full]))
               ? TAKE(object)
               : NULL;
}

static bool put_obligations(json_t *json, const struct policy_obligations *obligations)
{
    json_t *object = json_object();

    return json_put(json, "obligations", object) &&
           json_put(object, "after", after_list(obligations)) &&
           (!obligations->approval ||
            json_put(object, "approval", approval_object(obligations->approval))) &&
           json_put(object, "limits", limits_object(&obligations->limits)) &&
           json_put(object, "lease_max_s", json_integer(obligations->lease.max_s)) &&
           json_put(object, "heartbeat_s", json_integer(obligations->lease.heartbeat_s));
}

bool granted_put(json_t *json, const struct policy_decision *decision)
{
    return json_put(json, "grants", grant_list(decision)) &&
           put_obligations(json, &decision->obligations) &&
           json_put_text(json, "instance", decision->instance);
}
