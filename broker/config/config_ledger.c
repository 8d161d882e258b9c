#include <string.h>

#include "base/error.h"
#include "config/config_internal.h"
#include "keys/keys.h"
#include "ledger/mirror_watch.h"
#include "ledger/note.h"
#include "ledger/witness.h"
#include "upstream/upstream.h"

#define URL_MAX 512
#define DAY_S ((int64_t)24 * 3600)

static const char *const ledger_names[] = { "origin",  "keys",    "witnesses", "quorum",
                                            "mirrors", "streams", "keep",      NULL };
static const char *const mirror_names[] = { "name",           "url",        "ca",
                                            "allow_networks", "allow_http", NULL };
static const char *const witness_names[] = { "name",           "url",        "key", "ca",
                                             "allow_networks", "allow_http", NULL };

static struct str without_scheme(struct str url)
{
    if (str_starts_with(url, STR("https://")))
        return str_slice(url, sizeof("https://") - 1, url.len);
    if (str_starts_with(url, STR("http://")))
        return str_slice(url, sizeof("http://") - 1, url.len);
    return url;
}

static void read_origin(const struct config_reader *reader, const json_t *map)
{
    struct str origin;

    if (!yaml_get_str(&reader->yaml, map, "origin", &origin))
        return;
    if (origin.len > 200 || str_has_control(origin) || str_find(origin, ' ') < origin.len ||
        str_find(origin, '+') < origin.len)
        (void)yaml_complain(&reader->yaml, json_object_get(map, "origin"),
                            "expected 1 to 200 characters without space and '+'");
    reader->config->origin = origin;
}

/* The names of the keys that sign: several while one takes another's place. */
static void read_keys(const struct config_reader *reader, const json_t *map)
{
    struct config_ledger *ledger = &reader->config->ledger;
    const json_t *list = json_object_get(map, "keys");
    struct str *names;
    size_t count;

    if (!yaml_get_strs(&reader->yaml, map, "keys", &names, &count))
        return;
    if (count == 0 || count > NOTE_LOGS_MAX) {
        (void)yaml_complain(&reader->yaml, list, "expected 1 to %d names of keys", NOTE_LOGS_MAX);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!config_is_name(names[i]) || str_eq(names[i], STR("sealing")) ||
            str_starts_with(names[i], STR("issuer-")))
            (void)yaml_complain(&reader->yaml, list,
                                "a key's name is [a-z0-9-]{1,40}, not sealing and not issuer-...");
        for (size_t j = 0; j < i; j++)
            if (str_eq(names[i], names[j]))
                (void)yaml_complain(&reader->yaml, list, "'" STR_FMT "' stands twice",
                                    STR_ARG(names[i]));
    }
    ledger->keys = names;
    ledger->key_count = count;
}

static void read_url(const struct config_reader *reader, const json_t *map, const char *what,
                     struct witness_options *witness)
{
    struct error why = { 0 };
    struct str url;

    (void)yaml_get_bool(&reader->yaml, map, "allow_http", &witness->peer.may_use_http);
    if (!yaml_require(&reader->yaml, map, "url") || !yaml_get_str(&reader->yaml, map, "url", &url))
        return;
    if (!upstream_url_check(url, witness->peer.may_use_http, &why) ||
        str_find(url, '?') < url.len || str_ends_with(url, STR("/")) || url.len > URL_MAX)
        (void)yaml_complain(&reader->yaml, json_object_get(map, "url"),
                            "expected the https URL that %s lies below, without query and '/' at "
                            "its end",
                            what);
    witness->url = arena_copy(reader->config->arena, url).data;
}

static void read_witness_key(const struct config_reader *reader, const json_t *map,
                             struct witness_options *witness)
{
    struct error why = { 0 };
    struct str key;

    if (!yaml_require(&reader->yaml, map, "key") || !yaml_get_str(&reader->yaml, map, "key", &key))
        return;
    if (!note_witness_parse(key, &witness->verifier, &why))
        (void)yaml_complain(&reader->yaml, json_object_get(map, "key"),
                            "expected a witness's verifier key, NAME+ID+KEY: %s", why.cause);
}

/* Two names for one witness would make a quorum of it alone. */
static void check_witness(const struct config_reader *reader, const json_t *map, size_t index)
{
    const struct witness_options *list = reader->config->ledger.witnesses;

    for (size_t i = 0; i < index; i++) {
        bool is_named_twice = str_eq(list[i].name, list[index].name);

        if (is_named_twice) {
            (void)yaml_complain(&reader->yaml, map, "'" STR_FMT "' stands twice",
                                STR_ARG(list[index].name));
            return;
        }
        if (memcmp(list[i].verifier.public_key, list[index].verifier.public_key,
                   sizeof(list[i].verifier.public_key)) == 0) {
            (void)yaml_complain(&reader->yaml, map, "the same key as that of '" STR_FMT "'",
                                STR_ARG(list[i].name));
            return;
        }
    }
}

/* What a witness and a mirror have: a name, and where they are. */
static void read_peer(const struct config_reader *reader, const json_t *map, const char *what,
                      struct witness_options *peer)
{
    struct network *networks;

    if (yaml_require(&reader->yaml, map, "name") &&
        yaml_get_str(&reader->yaml, map, "name", &peer->name) && !config_is_name(peer->name))
        (void)yaml_complain(&reader->yaml, json_object_get(map, "name"),
                            "a name here is [a-z0-9-]{1,40}");
    read_url(reader, map, what, peer);
    (void)config_get_path(reader, map, "ca", &peer->peer.ca_file);
    if (yaml_get_networks(&reader->yaml, map, "allow_networks", &networks,
                          &peer->peer.network_count))
        peer->peer.networks = networks;
}

static void read_witness(const struct config_reader *reader, const json_t *map, size_t index)
{
    struct witness_options *witness = &reader->config->ledger.witnesses[index];

    if (!yaml_expect_map(&reader->yaml, map, witness_names))
        return;
    read_peer(reader, map, "the witness's add-checkpoint", witness);
    read_witness_key(reader, map, witness);
    check_witness(reader, map, index);
}

static void read_mirror(const struct config_reader *reader, const json_t *map, size_t index)
{
    struct witness_options *list = reader->config->ledger.mirrors;

    if (!yaml_expect_map(&reader->yaml, map, mirror_names))
        return;
    read_peer(reader, map, "the mirror's checkpoint", &list[index]);
    for (size_t i = 0; i < index; i++)
        if (str_eq(list[i].name, list[index].name))
            (void)yaml_complain(&reader->yaml, map, "'" STR_FMT "' stands twice",
                                STR_ARG(list[index].name));
}

static void read_mirrors(const struct config_reader *reader, const json_t *map)
{
    struct config_ledger *ledger = &reader->config->ledger;
    const json_t *list;
    const json_t *row;
    size_t i;

    if (!yaml_get_list(&reader->yaml, map, "mirrors", &list))
        return;
    if (json_array_size(list) > MIRROR_WATCH_MAX) {
        (void)yaml_complain(&reader->yaml, list, "more than %d mirrors", MIRROR_WATCH_MAX);
        return;
    }
    ledger->mirrors =
        arena_alloc_array(reader->config->arena, MIRROR_WATCH_MAX, sizeof(*ledger->mirrors));
    if (!ledger->mirrors) {
        (void)yaml_complain(&reader->yaml, list, "no memory for the mirrors");
        return;
    }
    json_array_foreach (list, i, row)
        read_mirror(reader, row, i);
    ledger->mirror_count = json_array_size(list);
}

static void read_witnesses(const struct config_reader *reader, const json_t *map)
{
    struct config_ledger *ledger = &reader->config->ledger;
    const json_t *list;
    const json_t *row;
    size_t i;

    if (!yaml_get_list(&reader->yaml, map, "witnesses", &list))
        return;
    if (json_array_size(list) > NOTE_WITNESSES_MAX) {
        (void)yaml_complain(&reader->yaml, list, "more than %d witnesses", NOTE_WITNESSES_MAX);
        return;
    }
    ledger->witnesses =
        arena_alloc_array(reader->config->arena, NOTE_WITNESSES_MAX, sizeof(*ledger->witnesses));
    if (!ledger->witnesses) {
        (void)yaml_complain(&reader->yaml, list, "no memory for the witnesses");
        return;
    }
    json_array_foreach (list, i, row)
        read_witness(reader, row, i);
    ledger->witness_count = json_array_size(list);
}

void config_read_ledger(const struct config_reader *reader, const json_t *root)
{
    static struct str usual_key = STR_INIT("ledger");
    struct config *config = reader->config;
    const json_t *map;
    int64_t quorum = 0;

    /* The origin is the URL of the log without its scheme, unless the file says another. */
    config->origin =
        arena_printf(config->arena, STR_FMT "/log", STR_ARG(without_scheme(config->issuer)));
    config->ledger = (struct config_ledger){ .keys = &usual_key, .key_count = 1 };
    if (!yaml_get_map(&reader->yaml, root, "ledger", &map) ||
        !yaml_expect_map(&reader->yaml, map, ledger_names))
        return;
    read_origin(reader, map);
    read_keys(reader, map);
    read_witnesses(reader, map);
    read_mirrors(reader, map);
    config_read_streams(reader, map);
    (void)yaml_get_duration_s(&reader->yaml, map, "keep", DAY_S, 3650 * DAY_S,
                              &config->ledger.keep_s);
    (void)yaml_get_int(&reader->yaml, map, "quorum", 0, NOTE_WITNESSES_MAX, &quorum);
    if ((size_t)quorum > config->ledger.witness_count)
        (void)yaml_complain(&reader->yaml, json_object_get(map, "quorum"),
                            "a quorum of %lld needs as many witnesses: there are %zu",
                            (long long)quorum, config->ledger.witness_count);
    config->ledger.quorum = (size_t)quorum;
}

static bool are_same_networks(const struct upstream_peer *a, const struct upstream_peer *b)
{
    if (a->network_count != b->network_count)
        return false;
    for (size_t i = 0; i < a->network_count; i++) {
        const struct network *one = &a->networks[i];
        const struct network *other = &b->networks[i];

        if (one->bits != other->bits || one->base.len != other->base.len ||
            memcmp(one->base.bytes, other->base.bytes, one->base.len) != 0)
            return false;
    }
    return true;
}

static bool is_same_witness(const struct witness_options *a, const struct witness_options *b)
{
    const char *files[] = { a->peer.ca_file, b->peer.ca_file };

    return str_eq(a->name, b->name) && strcmp(a->url, b->url) == 0 &&
           str_eq(a->verifier.name, b->verifier.name) &&
           memcmp(a->verifier.public_key, b->verifier.public_key, sizeof(a->verifier.public_key)) ==
               0 &&
           (files[0] == files[1] || (files[0] && files[1] && strcmp(files[0], files[1]) == 0)) &&
           a->peer.may_use_http == b->peer.may_use_http && are_same_networks(&a->peer, &b->peer);
}

bool config_is_same_ledger(const struct config_ledger *a, const struct config_ledger *b)
{
    if (a->key_count != b->key_count || a->witness_count != b->witness_count ||
        a->mirror_count != b->mirror_count || a->quorum != b->quorum || a->keep_s != b->keep_s)
        return false;
    for (size_t i = 0; i < a->key_count; i++)
        if (!str_eq(a->keys[i], b->keys[i]))
            return false;
    for (size_t i = 0; i < a->witness_count; i++)
        if (!is_same_witness(&a->witnesses[i], &b->witnesses[i]))
            return false;
    for (size_t i = 0; i < a->mirror_count; i++)
        if (!is_same_witness(&a->mirrors[i], &b->mirrors[i]))
            return false;
    return true;
}
