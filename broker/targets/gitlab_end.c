/*
 * Deleting tokens, and looking for those that no lease owns. A token whose number nobody heard of
 * is found by its name.
 *
 * Source: GitLab API, revoke a project's or group's access token, delete a project deploy token
 * (204; 404 where it is gone, but in other words where the project cannot be seen), and their lists
 */
#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "targets/gitlab_internal.h"

#define NAME_MAX_BYTES 128
#define NUMBER_MAX 20
#define FOUND_MAX 16 /* of one name, which is one's */
/* A request that was given up on may still be worked on there: so long its token may yet come. */
#define LATE_S 60

/* ---- ending ---- */

struct gitlab_ending {
    struct gitlab_request request; /* how, of each request */
    struct gitlab_list list;
    struct str name;
    struct str numbers[FOUND_MAX];
    size_t count;
    size_t at; /* of the numbers, the one that is being deleted */
    bool is_looking;
    struct remote_call *call;
};

static bool is_number(struct str text)
{
    return text.len > 0 && text.len <= NUMBER_MAX && str_is_made_of(text, DIGITS);
}

static bool find_owner(const json_t *record, struct gitlab_list *list)
{
    if (!gitlab_token_find(json_str(json_object_get(record, "token_kind")), &list->token))
        return false;
    list->owner = json_str(json_object_get(record, gitlab_owner(list->token)));
    return is_number(list->owner);
}

static bool read_record(const json_t *record, struct gitlab_ending *ending, struct error *error)
{
    struct str number = json_str(json_object_get(record, "token_id"));

    ending->name = json_str(json_object_get(record, "name"));
    ending->list.search = ending->name;
    if (!find_owner(record, &ending->list) || ending->name.len == 0 ||
        ending->name.len > NAME_MAX_BYTES ||
        !str_is_made_of(ending->name, LETTERS_AND_DIGITS "-") ||
        (number.len > 0 && !is_number(number)))
        return error_set(error, ERROR_MINT, "the entry does not say which token is to be deleted");
    ending->is_looking = number.len == 0;
    ending->numbers[0] = number;
    ending->count = number.len > 0;
    return true;
}

static bool ask_to_delete(struct gitlab_ending *ending, struct error *error)
{
    struct gitlab_request request = ending->request;
    struct str all = gitlab_path(ending->list.token, ending->list.owner, request.arena);

    if (!all.data)
        return error_set(error, ERROR_MEMORY, "no memory for a path");
    request.method = "DELETE";
    request.path = arena_printf(request.arena, STR_FMT "/" STR_FMT, STR_ARG(all),
                                STR_ARG(ending->numbers[ending->at]));
    return gitlab_ask(&request, &ending->call, error);
}

static bool ask_for_more(struct gitlab_ending *ending, struct error *error)
{
    return gitlab_list_ask(&ending->list, &ending->request, error);
}

static bool begin(struct revocation *revocation, struct error *error)
{
    struct gitlab_ending *ending = arena_alloc(revocation->arena, sizeof(*ending));

    if (!ending)
        return error_set(error, ERROR_MEMORY, "no memory for a request to " GITLAB);
    if (!read_record(revocation->record, ending, error))
        return false;
    ending->request = (struct gitlab_request){
        .own = revocation->target->settings,
        .upstream = revocation->tools->upstream,
        .waker = revocation->waker,
        .arena = revocation->arena,
        .now_s = revocation->now_s,
    };
    revocation->state = ending; /* before the thread may wake us */
    if (ending->is_looking ? ask_for_more(ending, error) : ask_to_delete(ending, error))
        return true;
    revocation->state = NULL;
    return false;
}

/* Older servers list those that have ended, too. */
static bool is_live(const json_t *item)
{
    return !json_is_true(json_object_get(item, "revoked")) &&
           !json_is_true(json_object_get(item, "expired")) &&
           !json_is_false(json_object_get(item, "active"));
}

/* Those of the page that are called so. */
static bool add_numbers(struct gitlab_ending *ending, const json_t *items, struct error *error)
{
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        struct str title = json_str(json_object_get(item, "name"));
        struct str number = gitlab_number(item, "id", ending->request.arena);

        if (!str_eq(gitlab_name_of(title), ending->name) || !is_live(item))
            continue;
        if (number.len == 0 || ending->count == FOUND_MAX)
            return error_set(error, ERROR_MINT, GITLAB " has too many tokens of one name");
        ending->numbers[ending->count++] = number;
    }
    return true;
}

/* What was asked for when: a lease's first credential with the lease, each later one by itself. */
static int64_t asked_s(const struct revocation *revocation)
{
    struct str attempt = json_str(json_object_get(revocation->record, "attempt"));

    if (id_is_valid(attempt))
        return id_time_s(attempt);
    return id_is_valid(revocation->lease) ? id_time_s(revocation->lease) : 0;
}

/* There is none of the name; whether there may still be one. */
static enum progress none_found(const struct revocation *revocation, struct error *error)
{
    int64_t since_s = revocation->now_s - asked_s(revocation);

    if (since_s < 0 || since_s >= LATE_S)
        return PROGRESS_DONE;
    (void)error_set(error, ERROR_MINT,
                    GITLAB " has no token of the name yet: it is looked for until it cannot come "
                           "any more");
    return PROGRESS_FAILED;
}

static enum progress look_on(struct revocation *revocation, struct gitlab_ending *ending,
                             struct error *error)
{
    const json_t *items;
    bool has_more;

    if (!gitlab_list_take(&ending->list, &ending->request, &items, &has_more, error) ||
        !add_numbers(ending, items, error))
        return PROGRESS_FAILED;
    if (has_more && gitlab_list_is_over(&ending->list)) {
        (void)error_set(error, ERROR_MINT, GITLAB " has more tokens than are looked through");
        return PROGRESS_FAILED;
    }
    if (has_more)
        return ask_for_more(ending, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
    ending->is_looking = false;
    if (ending->count == 0)
        return none_found(revocation, error);
    return ask_to_delete(ending, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

/* GitLab's own end, as it was recorded, is over. */
static bool is_over(const struct revocation *revocation)
{
    struct str text = json_str(json_object_get(revocation->record, "target_expires_at"));
    int64_t end_s;

    return gitlab_time_parse(text, &end_s) && revocation->now_s > end_s;
}

/*
 * A token that is not known there is gone. That the project or group is not known says nothing of
 * its tokens: so it is to who is no member of it any more.
 */
static bool is_deleted(const struct revocation *revocation, const struct gitlab_ending *ending,
                       struct error *error)
{
    const struct remote_call *call = ending->call;
    JSON_OWNED json_t *answer = NULL;
    struct error inner = { 0 };
    struct str words = { 0 };

    if (!gitlab_is_answered(ending->request.own, call, revocation->now_s, &inner))
        return error_set(error, ERROR_MINT, "%s", inner.cause);
    if (call->status == 204)
        return true;
    if (json_parse_object(buf_str(&call->body), JSON_LIMITS_REQUEST, &answer, &inner))
        words = gitlab_words(call, answer, revocation->arena);
    if (call->status == 404 && words.len > 0 && !str_eq(words, STR("404 Project Not Found")) &&
        !str_eq(words, STR("404 Group Not Found")))
        return true;
    return error_set(error, ERROR_MINT,
                     GITLAB " did not delete a token: it answered %d: %s: \"" STR_FMT "\"",
                     call->status, gitlab_advice(call->status), STR_ARG(words));
}

static enum progress delete_on(struct revocation *revocation, struct gitlab_ending *ending,
                               struct error *error)
{
    if (!is_deleted(revocation, ending, error))
        return PROGRESS_FAILED;
    ending->at++;
    if (ending->at == ending->count)
        return PROGRESS_DONE;
    return ask_to_delete(ending, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
}

static enum progress go_on(struct revocation *revocation, struct error *error)
{
    struct gitlab_ending *ending = revocation->state;

    if (!ending)
        return begin(revocation, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
    return ending->is_looking ? look_on(revocation, ending, error)
                              : delete_on(revocation, ending, error);
}

/* What has ended by itself at GitLab is not owed for ever, whatever GitLab says of it. */
enum progress gitlab_revoke(struct revocation *revocation, struct error *error)
{
    enum progress progress = go_on(revocation, error);

    return progress == PROGRESS_FAILED && is_over(revocation) ? PROGRESS_DONE : progress;
}

/* ---- looking ---- */

struct gitlab_search {
    struct gitlab_request request;
    struct gitlab_list list;
    struct str start; /* of our names */
    size_t at;        /* of the lists */
};

static bool add_found(struct sweep *sweep, const struct gitlab_search *search, const json_t *item)
{
    struct sweep_found *found = &sweep->found[sweep->found_count];
    struct str name = gitlab_name_of(json_str(json_object_get(item, "name")));
    struct str lease = gitlab_name_lease(name, search->start);
    struct str number = gitlab_number(item, "id", sweep->arena);

    if (lease.len == 0 || number.len == 0 || !is_live(item))
        return true;
    *found = (struct sweep_found){ .lease = lease, .record = json_object() };
    sweep->found_count++;
    return json_put(found->record, "id", json_from_str(name)) &&
           json_put(found->record, "name", json_from_str(name)) &&
           json_put(found->record, gitlab_owner(search->list.token),
                    json_from_str(search->list.owner)) &&
           json_put(found->record, "token_kind",
                    json_string(gitlab_token_name(search->list.token))) &&
           json_put(found->record, "token_id", json_from_str(number));
}

static bool take_page(struct sweep *sweep, struct gitlab_search *search, bool *has_more,
                      struct error *error)
{
    const json_t *items;

    if (!gitlab_list_take(&search->list, &search->request, &items, has_more, error))
        return false;
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (sweep->found_count == SWEEP_FOUND_MAX) {
            sweep->is_complete = false;
            return true;
        }
        if (!add_found(sweep, search, json_array_get(items, i)))
            return error_set(error, ERROR_MEMORY, "no memory to look for tokens");
    }
    return true;
}

/* Two lists of each project, then one of each group. */
static size_t list_count(const struct gitlab_settings *own)
{
    return 2 * own->projects.count + own->groups.count;
}

static void set_list(const struct gitlab_settings *own, struct gitlab_search *search)
{
    size_t of_projects = 2 * own->projects.count;
    size_t at = search->at;
    bool is_of_group = at >= of_projects;

    search->list.page = 0;
    search->list.owner =
        is_of_group ? own->groups.list[at - of_projects] : own->projects.list[at / 2];
    search->list.token = is_of_group ? GITLAB_GROUP : at % 2 == 0 ? GITLAB_PROJECT : GITLAB_DEPLOY;
}

/* False: there is none. */
static bool next_list(const struct gitlab_settings *own, struct gitlab_search *search)
{
    search->at++;
    if (search->at == list_count(own))
        return false;
    set_list(own, search);
    return true;
}

static enum progress begin_search(struct sweep *sweep, struct error *error)
{
    struct gitlab_settings *own = sweep->target->settings;
    struct gitlab_search *search = arena_alloc(sweep->arena, sizeof(*search));

    sweep->is_complete = list_count(own) > 0;
    if (!sweep->is_complete)
        return PROGRESS_DONE; /* nobody said where tokens are */
    sweep->found = arena_alloc_array(sweep->arena, SWEEP_FOUND_MAX, sizeof(*sweep->found));
    if (!search || !sweep->found) {
        (void)error_set(error, ERROR_MEMORY, "no memory to look for tokens");
        return PROGRESS_FAILED;
    }
    search->start = gitlab_name_start(sweep->tools->issuer, sweep->arena);
    search->list.search = search->start;
    set_list(own, search);
    search->request = (struct gitlab_request){
        .own = own,
        .upstream = sweep->tools->upstream,
        .waker = sweep->waker,
        .arena = sweep->arena,
        .now_s = sweep->now_s,
    };
    sweep->state = search;
    return gitlab_list_ask(&search->list, &search->request, error) ? PROGRESS_WAIT
                                                                   : PROGRESS_FAILED;
}

enum progress gitlab_sweep(struct sweep *sweep, struct error *error)
{
    struct gitlab_search *search = sweep->state;
    bool has_more;

    if (!search)
        return begin_search(sweep, error);
    if (!take_page(sweep, search, &has_more, error))
        return PROGRESS_FAILED;
    if (has_more && gitlab_list_is_over(&search->list)) {
        sweep->is_complete = false;
        has_more = false;
    }
    if (sweep->found_count == SWEEP_FOUND_MAX ||
        (!has_more && !next_list(sweep->target->settings, search)))
        return PROGRESS_DONE;
    return gitlab_list_ask(&search->list, &search->request, error) ? PROGRESS_WAIT
                                                                   : PROGRESS_FAILED;
}
