#include <stdlib.h>

#include "base/json.h"
#include "identity/key_fetch_internal.h"
#include "identity/key_set_internal.h"

#define DISCOVERY_PATH "/.well-known/openid-configuration"
#define URL_MAX 2304 /* the longest issuer's, and the path */

struct key_fetch {
    struct upstream *upstream;
    const struct key_location *location;
    struct key_fetch_listener listener;
    struct buf url; /* that is asked */
};

static void tell_passed(const struct key_fetch *fetch, enum key_fetch_step step, struct str detail)
{
    const struct key_fetch_observer *observer = fetch->listener.observer;

    if (observer != NULL)
        observer->passed(step, detail, observer->context);
}

static void free_fetch(struct key_fetch *fetch)
{
    buf_release(&fetch->url);
    free(fetch);
}

static void end_fetch(struct key_fetch *fetch, struct key_set *take_set, int64_t max_age_s,
                      const struct error *why)
{
    fetch->listener.done(take_set, max_age_s, why, fetch->listener.context);
    free_fetch(fetch);
}

/* Ask for what is at `fetch->url`. */
static bool get(struct key_fetch *fetch, upstream_done done, struct error *error)
{
    const struct upstream_request request = {
        .method = "GET",
        .url = fetch->url.data,
        .headers = { "Accept: application/json" },
        .peer = fetch->location->peer,
        .response_max_bytes = KEY_SET_MAX_BYTES,
        .done = done,
        .context = fetch,
    };

    return upstream_submit(fetch->upstream, &request, error);
}

/* Only a whole 200 counts. */
static bool check_answer(const struct key_fetch *fetch, const struct upstream_response *response,
                         const char *what, struct error *error)
{
    const struct key_fetch_observer *observer = fetch->listener.observer;

    if (response->outcome != UPSTREAM_ANSWERED && observer != NULL)
        observer->unreachable(observer->context);
    if (response->outcome != UPSTREAM_ANSWERED)
        return error_set(error, ERROR_KEYS_UNAVAILABLE, "%s: %s", what, response->error.cause);
    if (response->status != 200)
        return error_set(error, ERROR_KEYS_UNAVAILABLE, "%s: status %d", what, response->status);
    return true;
}

/* Second step: the key set. */

static bool read_keys(const struct key_fetch *fetch, const struct upstream_response *response,
                      struct key_set **set, struct error *error)
{
    const struct key_fetch_observer *observer = fetch->listener.observer;

    if (!check_answer(fetch, response, "key set", error))
        return false;
    tell_passed(fetch, KEY_FETCH_KEYS, buf_str(&fetch->url));
    return key_set_parse_telling(response->body, fetch->location->algorithms,
                                 observer != NULL ? &observer->keys : NULL, set, error);
}

static void take_keys(const struct upstream_response *response, void *context)
{
    struct key_fetch *fetch = context;
    struct key_set *set = NULL;
    struct error error = { 0 };

    if (!read_keys(fetch, response, &set, &error))
        end_fetch(fetch, NULL, -1, &error);
    else
        end_fetch(fetch, set, response->max_age_s, NULL);
}

/* First step: the discovery document. */

static struct str scheme_of(struct str url)
{
    return str_slice(url, 0, str_find(url, ':'));
}

/* "host:port" as "host" where the port is the scheme's own. */
static struct str without_default_port(struct str host, struct str scheme)
{
    struct str port = str_eq(scheme, STR("https")) ? STR(":443") : STR(":80");

    return str_ends_with(host, port) ? str_slice(host, 0, host.len - port.len) : host;
}

static bool host_is_allowed(const struct key_location *location, struct str url)
{
    struct str issuer = str_from(location->issuer);
    struct str host = without_default_port(upstream_url_host(url), scheme_of(url));
    struct str own = without_default_port(upstream_url_host(issuer), scheme_of(issuer));

    if (str_eq(scheme_of(url), scheme_of(issuer)) && str_eq_ignore_case(host, own))
        return true;
    for (size_t i = 0; i < location->host_count; i++) {
        struct str allowed = without_default_port(location->hosts[i], scheme_of(url));

        if (str_eq_ignore_case(host, allowed))
            return true;
    }
    return false;
}

static bool check_discovery(const struct key_fetch *fetch, const json_t *document,
                            struct str *keys_url, struct error *error)
{
    const struct key_location *location = fetch->location;
    struct str issuer;
    struct error why = { 0 };

    if (!json_get_str(document, "issuer", &issuer) || !str_eq(issuer, str_from(location->issuer)))
        return error_set(error, ERROR_KEYS_UNAVAILABLE, "discovery names another issuer");
    tell_passed(fetch, KEY_FETCH_ISSUER, issuer);
    if (!json_get_str(document, "jwks_uri", keys_url))
        return error_set(error, ERROR_KEYS_UNAVAILABLE, "discovery has no jwks_uri");
    if (!upstream_url_check(*keys_url, location->peer.may_use_http, &why))
        return error_set(error, ERROR_KEYS_UNAVAILABLE, "jwks_uri: %s", why.cause);
    if (!host_is_allowed(location, *keys_url))
        return error_set(error, ERROR_KEYS_UNAVAILABLE,
                         "jwks_uri is on another host than the issuer");
    tell_passed(fetch, KEY_FETCH_KEYS_URL, *keys_url);
    return true;
}

static bool follow_discovery(struct key_fetch *fetch, const struct upstream_response *response,
                             struct error *error)
{
    JSON_OWNED json_t *document = NULL;
    struct error why = { 0 };
    struct str keys_url = { 0 };

    if (!check_answer(fetch, response, "discovery", error))
        return false;
    tell_passed(fetch, KEY_FETCH_DISCOVERY, buf_str(&fetch->url));
    if (!json_parse_object(response->body, JSON_LIMITS_JWKS, &document, &why))
        return error_set(error, ERROR_KEYS_UNAVAILABLE, "discovery: %s", why.cause);
    if (!check_discovery(fetch, document, &keys_url, error))
        return false;
    buf_clear(&fetch->url);
    buf_add(&fetch->url, keys_url);
    if (!buf_is_ok(&fetch->url))
        return error_set(error, ERROR_MEMORY, "no memory for a URL");
    return get(fetch, take_keys, error);
}

static void take_discovery(const struct upstream_response *response, void *context)
{
    struct error error = { 0 };

    if (!follow_discovery(context, response, &error))
        end_fetch(context, NULL, -1, &error);
}

/* An issuer's URL may end with a slash; the path does not get a second one. */
static bool discovery_url(const char *issuer, struct buf *url)
{
    struct str base = str_from(issuer);

    if (str_ends_with(base, STR("/")))
        base.len--;
    buf_add(url, base);
    buf_add_text(url, DISCOVERY_PATH);
    return buf_is_ok(url);
}

bool key_fetch_start(struct upstream *upstream, const struct key_location *location,
                     struct key_fetch_listener listener, struct error *error)
{
    struct key_fetch *fetch = calloc(1, sizeof(*fetch));

    if (fetch == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a fetch of keys");
    *fetch = (struct key_fetch){ .upstream = upstream, .location = location, .listener = listener };
    buf_init(&fetch->url, URL_MAX);
    if (!discovery_url(location->issuer, &fetch->url))
        error_set(error, ERROR_MEMORY, "no memory for a URL");
    else if (get(fetch, take_discovery, error))
        return true; /* end_fetch() frees it */
    free_fetch(fetch);
    return false;
}
