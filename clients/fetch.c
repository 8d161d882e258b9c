#include "clients/fetch.h"

#include "base/error.h"

/* Filled in on the upstream thread while the caller waits. */
struct fetching {
    struct arena *arena;
    struct fetch_answer *answer;
    enum upstream_outcome outcome;
    struct error error;
};

bool fetch_peer_init(struct upstream_peer *peer, const char *ca_file, struct arena *arena,
                     struct error *error)
{
    struct network *everywhere = arena_alloc_array(arena, 2, sizeof(*everywhere));

    if (!everywhere)
        return error_set(error, ERROR_MEMORY, "no memory for a request");
    if (!network_parse(STR("0.0.0.0/0"), &everywhere[0]) ||
        !network_parse(STR("::/0"), &everywhere[1]))
        return error_set(error, ERROR_CONFIG, "no network holds all addresses");
    *peer = (struct upstream_peer){
        .ca_file = ca_file,
        .networks = everywhere,
        .network_count = 2,
        .may_use_http = true,
    };
    return true;
}

static void keep(const struct upstream_response *response, void *context)
{
    struct fetching *fetching = context;

    fetching->outcome = response->outcome;
    fetching->error = response->error;
    if (response->outcome != UPSTREAM_ANSWERED)
        return;
    fetching->answer->status = response->status;
    fetching->answer->body = arena_copy(fetching->arena, response->body);
    fetching->answer->dpop_nonce = arena_copy(fetching->arena, response->dpop_nonce);
    if (!fetching->answer->body.data || !fetching->answer->dpop_nonce.data)
        (void)error_set(&fetching->error, ERROR_LIMIT, "no room for the answer");
}

/* A query can hold what is nobody's business. */
static struct str without_query(const char *url)
{
    struct str text = str_from(url);

    return str_slice(text, 0, str_find(text, '?'));
}

bool fetch(struct upstream *upstream, const struct upstream_request *request, struct arena *arena,
           struct fetch_answer *answer, struct error *error)
{
    struct fetching fetching = { .arena = arena, .answer = answer };
    struct upstream_request sent = *request;
    struct str url = without_query(request->url);

    sent.done = keep;
    sent.context = &fetching;
    if (!upstream_call(upstream, &sent, error))
        return error_wrap(error, STR_FMT, STR_ARG(url));
    if (fetching.outcome == UPSTREAM_UNKNOWN)
        return error_set(error, fetching.error.code, STR_FMT ": sent, but no whole answer: %s",
                         STR_ARG(url), fetching.error.cause);
    if (fetching.error.code != ERROR_NONE)
        return error_set(error, fetching.error.code, STR_FMT ": %s", STR_ARG(url),
                         fetching.error.cause);
    return true;
}
