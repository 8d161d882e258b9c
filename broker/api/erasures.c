#include "api/api_internal.h"
#include "api/readings.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "http/form.h"
#include "identity/people.h"
#include "ledger/eraser.h"
#include "ledger/ledger.h"

#define PERSON_MAX 1024
#define RUN_MAX 256

static const char *const parameters[] = { "person", "run",     "lease", "reason",
                                          "from",   "dry_run", NULL };

static bool is_plain(struct str text, size_t max)
{
    return text.len <= max && !str_has_control(text);
}

static bool read_number(const struct form *form, const char *name, uint64_t *number)
{
    struct str text;
    int64_t value = 0;

    if (!form_get(form, name, &text))
        return true;
    if (!str_is_made_of(text, "0123456789") || !str_to_int64(text, &value))
        return false;
    *number = (uint64_t)value;
    return true;
}

static bool read_flag(const struct form *form, const char *name, bool *flag)
{
    struct str text;

    if (!form_get(form, name, &text))
        return true;
    *flag = str_eq(text, STR("true"));
    return *flag || str_eq(text, STR("false"));
}

static bool read_form(const struct form *form, struct ledger_erasure *erasure, struct error *error)
{
    (void)form_get(form, "person", &erasure->person); /* what did not come stays empty */
    (void)form_get(form, "run", &erasure->run);
    (void)form_get(form, "lease", &erasure->lease);
    (void)form_get(form, "reason", &erasure->reason);
    if (!is_plain(erasure->person, PERSON_MAX) || !is_plain(erasure->run, RUN_MAX) ||
        !is_plain(erasure->lease, RUN_MAX) || !is_plain(erasure->reason, ERASURE_REASON_MAX))
        return error_set(error, ERROR_REQUEST,
                         "a parameter is too long, or has control characters");
    if (!read_number(form, "from", &erasure->from) || !read_flag(form, "dry_run", &erasure->is_dry))
        return error_set(error, ERROR_REQUEST,
                         "from is no number, or dry_run neither true nor false");
    return true;
}

/* Who asks, in the request's arena. */
static bool put_actor(struct http_request *request, struct ledger_erasure *erasure,
                      struct error *error)
{
    const struct person *person = request->caller;
    json_t *actor = json_object();

    if (!json_put(actor, "subject", json_from_str(person->subject)) ||
        (person->email.len > 0 && !json_put(actor, "email", json_from_str(person->email)))) {
        json_decref(actor);
        return error_set(error, ERROR_MEMORY, "erasure");
    }
    erasure->actor = actor;
    erasure->issuer = STR(PEOPLE_ISSUER);
    return json_keep(request->arena, actor, error);
}

static struct ledger_erasure *begin(struct http_request *request, const struct api *api,
                                    struct error *error)
{
    struct form *form = arena_alloc(request->arena, sizeof(*form));
    struct ledger_erasure *erasure = arena_alloc(request->arena, sizeof(*erasure));

    if (!form || !erasure) {
        (void)error_set(error, ERROR_MEMORY, "erasure");
        return NULL;
    }
    *erasure = (struct ledger_erasure){ .waker = http_waker(request) };
    if (!form_parse(request->body, parameters, request->arena, form, error) ||
        !read_form(form, erasure, error) || !put_actor(request, erasure, error) ||
        !ledger_erase(api->service->ledger, erasure, error))
        return NULL;
    return erasure;
}

static enum progress answer(struct http_request *request, const struct ledger_erasure *erasure)
{
    json_t *body = json_object();

    if (!json_put(body, "matched", json_integer((json_int_t)erasure->matched)) ||
        !json_put(body, "erased", json_integer((json_int_t)erasure->erased)) ||
        !json_put(body, "live", json_integer((json_int_t)erasure->live)) ||
        !json_put(body, "next", json_integer((json_int_t)erasure->next)) ||
        !json_put(body, "size", json_integer((json_int_t)erasure->size)) ||
        (erasure->erased > 0 &&
         !json_put(body, "entry", json_integer((json_int_t)erasure->entry_index)))) {
        json_decref(body);
        body = NULL;
    }
    return http_answer_json(request, 200, body);
}

static void log_erasure(const struct ledger_erasure *erasure)
{
    struct log_line line;

    if (erasure->is_good && erasure->erased == 0)
        return;
    log_begin(&line, erasure->is_good ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              erasure->is_good ? "ledger.erased" : "ledger.erase_failed");
    if (erasure->is_good)
        log_int(&line, "entries", (int64_t)erasure->erased);
    else
        log_error(&line, &erasure->error);
    log_end(&line);
}

/* Operators of all tenants: a person may be in entries of any. */
enum progress erasure_post(struct http_request *request, void *context)
{
    const struct person *person = request->caller;
    const struct api *api = context;
    struct ledger_erasure *erasure = request->state;
    struct error error = { 0 };

    if (!erasure && !person_may(person, PERSON_OPERATOR, STR(""))) {
        (void)error_set(&error, ERROR_ROLE, "an operator of some tenants only");
        return people_refuse(request, &error);
    }
    if (!erasure) {
        request->state = begin(request, api, &error);
        return request->state ? PROGRESS_WAIT : http_answer_problem(request, &error);
    }
    if (!request->is_woken)
        return PROGRESS_WAIT; /* the peer is gone, and the eraser is at work */
    log_erasure(erasure);
    /* Without an entry of its own it was a question: whether somebody is in the ledger. */
    if (erasure->is_good && erasure->erased == 0)
        readings_note(api->readings, person, READING_SEARCH, clock_wall_s());
    return erasure->is_good ? answer(request, erasure)
                            : http_answer_problem(request, &erasure->error);
}
