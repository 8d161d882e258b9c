#include "base/error.h"
#include "base/json.h"
#include "config/config_internal.h"
#include "ledger/entry.h"
#include "stream/stream.h"
#include "upstream/upstream.h"

#define BATCH_ENTRIES_DEFAULT 500
#define BATCH_BYTES_DEFAULT ((size_t)512 * 1024)
#define TIMEOUT_DEFAULT_S 10
#define TIMEOUT_MAX_S 60
#define MODE_DEFAULT 0600
#define FACILITY_DEFAULT 10 /* authpriv */
#define PORT_TCP "601"      /* RFC 6587 */
#define PORT_TLS "6514"     /* RFC 5425 */
#define HOST_MAX 253

static const char *const facility_names[] = {
    "kern",   "user",     "mail",   "daemon", "auth",   "syslog", "lpr",   "news",   "uucp",
    "cron",   "authpriv", "ftp",    "ntp",    "audit",  "alert",  "clock", "local0", "local1",
    "local2", "local3",   "local4", "local5", "local6", "local7", NULL,
};

/* What streams of every type have, in front of what each has besides. */
#define COMMON "type", "only", "private", "from"
#define NETWORK "ca", "certificate", "key", "allow_networks"
#define POST "batch_entries", "batch_bytes", "url", "timeout", "headers_file", "allow_http"

static const char *const file_keys[] = { COMMON, "path", "mode", NULL };
static const char *const syslog_keys[] = { COMMON, NETWORK, "address", "facility", NULL };
static const char *const webhook_keys[] = { COMMON, NETWORK, POST, "secret_file", "format", NULL };
static const char *const otlp_keys[] = { COMMON, NETWORK, POST, NULL };

/* One stream in the making. */
struct stream_reading {
    const struct config_reader *reader;
    const json_t *map;
    struct stream_options *options;
};

static bool complain(const struct stream_reading *reading, const char *key, const char *what)
{
    return yaml_complain(&reading->reader->yaml, json_object_get(reading->map, key), "%s", what);
}

/* What every type has. */

static bool has_type_below(struct str prefix, enum entry_type type)
{
    return str_starts_with(str_from(entry_type_name(type)), prefix);
}

/* A word that fits no type of entry would be a stream that is always empty. */
static void check_only(const struct stream_reading *reading, size_t position, struct str word)
{
    struct str prefix = str_ends_with(word, STR(".*")) ? str_slice(word, 0, word.len - 1) : STR("");
    struct str names[ENTRY_TYPE_COUNT];
    const json_t *value = json_object_get(reading->map, "only");
    struct str nearest;
    enum entry_type type;

    for (size_t i = 0; i < ENTRY_TYPE_COUNT; i++) {
        names[i] = str_from(entry_type_name((enum entry_type)i));
        if (prefix.len > 0 && has_type_below(prefix, (enum entry_type)i))
            return;
    }
    if (entry_type_from(word, &type))
        return;
    if (json_is_array(value))
        value = json_array_get(value, position);
    nearest = diagnostic_nearest(reading->reader->config->arena, word, names, ENTRY_TYPE_COUNT);
    (void)yaml_complain_hint(&reading->reader->yaml, value, nearest,
                             "no entry has the type '" STR_FMT "'",
                             STR_ARG(str_slice(word, 0, 60)));
}

static void read_only(const struct stream_reading *reading)
{
    struct str *only;
    size_t count;

    if (!yaml_get_strs(&reading->reader->yaml, reading->map, "only", &only, &count))
        return;
    if (count == 0 || count > STREAM_ONLY_MAX)
        (void)yaml_complain(&reading->reader->yaml, json_object_get(reading->map, "only"),
                            "1 to %d types of entries", STREAM_ONLY_MAX);
    for (size_t i = 0; i < count && i < STREAM_ONLY_MAX; i++)
        check_only(reading, i, only[i]);
    reading->options->only = only;
    reading->options->only_count = count;
}

static void read_common(const struct stream_reading *reading)
{
    static const char *const starts[] = { "beginning", "now", NULL };
    const struct yaml_reader *yaml = &reading->reader->yaml;
    size_t start = 0;

    read_only(reading);
    (void)yaml_get_bool(yaml, reading->map, "private", &reading->options->with_private);
    if (yaml_get_choice(yaml, reading->map, "from", starts, &start))
        reading->options->is_from_now = start == 1;
}

/* What goes over the network. */

static void read_peer(const struct stream_reading *reading)
{
    const struct config_reader *reader = reading->reader;
    struct upstream_peer *peer = &reading->options->peer;
    struct network *networks;

    (void)config_get_path(reader, reading->map, "ca", &peer->ca_file);
    (void)config_get_path(reader, reading->map, "certificate", &peer->certificate_file);
    (void)config_get_path(reader, reading->map, "key", &peer->key_file);
    if ((peer->certificate_file == NULL) != (peer->key_file == NULL))
        (void)complain(reading, peer->key_file ? "key" : "certificate",
                       "'certificate' and 'key' come together");
    if (yaml_get_networks(&reader->yaml, reading->map, "allow_networks", &networks,
                          &peer->network_count))
        peer->networks = networks;
}

static void read_post(const struct stream_reading *reading)
{
    const struct yaml_reader *yaml = &reading->reader->yaml;
    struct stream_options *options = reading->options;
    int64_t entries = BATCH_ENTRIES_DEFAULT;
    int64_t bytes = (int64_t)BATCH_BYTES_DEFAULT;
    int64_t timeout_s = TIMEOUT_DEFAULT_S;
    struct error why = { 0 };
    struct str url;

    read_peer(reading);
    (void)yaml_get_bool(yaml, reading->map, "allow_http", &options->peer.may_use_http);
    (void)yaml_get_int(yaml, reading->map, "batch_entries", 1, STREAM_BATCH_ENTRIES_MAX, &entries);
    (void)yaml_get_int(yaml, reading->map, "batch_bytes", (int64_t)STREAM_BATCH_BYTES_MIN,
                       (int64_t)STREAM_BATCH_BYTES_MAX, &bytes);
    (void)yaml_get_duration_s(yaml, reading->map, "timeout", 1, TIMEOUT_MAX_S, &timeout_s);
    (void)config_get_path(reading->reader, reading->map, "headers_file", &options->headers_file);
    options->batch_entries = (size_t)entries;
    options->batch_bytes = (size_t)bytes;
    options->timeout_ms = (unsigned)timeout_s * 1000;
    if (!yaml_require(yaml, reading->map, "url") || !yaml_get_str(yaml, reading->map, "url", &url))
        return;
    if (!upstream_url_check(url, options->peer.may_use_http, &why))
        (void)complain(reading, "url", why.cause);
    options->url = url.data;
}

/* The types. */

static void read_file(const struct stream_reading *reading)
{
    const struct yaml_reader *yaml = &reading->reader->yaml;
    struct stream_options *options = reading->options;
    struct str mode;

    options->mode = MODE_DEFAULT;
    if (yaml_require(yaml, reading->map, "path"))
        (void)config_get_path(reading->reader, reading->map, "path", &options->path);
    if (!yaml_get_str(yaml, reading->map, "mode", &mode))
        return;
    if (str_eq(mode, STR("0640")))
        options->mode = 0640;
    else if (!str_eq(mode, STR("0600")))
        (void)complain(reading, "mode", "expected \"0600\" or \"0640\"");
}

/* "HOST", "HOST:PORT", "[ADDRESS]:PORT"; without a port the scheme's. */
static bool split_host(const struct stream_reading *reading, struct str rest, const char *port)
{
    struct arena *arena = reading->reader->config->arena;
    struct stream_options *options = reading->options;
    struct str host = rest;
    struct str number = str_from(port);
    int64_t value = 0;

    if (str_starts_with(rest, STR("["))) {
        if (!str_cut(str_slice(rest, 1, rest.len), ']', &host, &rest) ||
            (rest.len > 0 && rest.data[0] != ':'))
            return false;
        if (rest.len > 0)
            number = str_slice(rest, 1, rest.len);
    } else if (str_cut(rest, ':', &host, &rest)) {
        number = rest;
    }
    options->host = arena_copy(arena, host).data;
    options->port = arena_copy(arena, number).data;
    return host.len > 0 && host.len <= HOST_MAX && !str_has_control(host) &&
           str_find(host, '/') == host.len && str_to_int64(number, &value) && value > 0 &&
           value <= UINT16_MAX;
}

static bool read_address(const struct stream_reading *reading, struct str address)
{
    struct stream_options *options = reading->options;
    struct str rest;

    if (str_starts_with(address, STR("unix:/"))) {
        options->transport = STREAM_UNIX;
        options->host = str_slice(address, sizeof("unix:") - 1, address.len).data;
        return true;
    }
    rest = str_slice(address, sizeof("tcp://") - 1, address.len);
    if (str_starts_with(address, STR("tls://"))) {
        options->transport = STREAM_TLS;
        return split_host(reading, rest, PORT_TLS);
    }
    options->transport = STREAM_TCP;
    return str_starts_with(address, STR("tcp://")) && split_host(reading, rest, PORT_TCP);
}

/* Over plain TCP whoever is in between reads along, and says that it has what it has not. */
static void check_transport(const struct stream_reading *reading)
{
    static const char *const tls_only[] = { NETWORK };
    const struct stream_options *options = reading->options;

    for (size_t i = 0; i < COUNT(tls_only) && options->transport != STREAM_TLS; i++)
        if (json_object_get(reading->map, tls_only[i]))
            (void)yaml_complain_key(&reading->reader->yaml, reading->map, tls_only[i], STR(""),
                                    "'%s' is for tls:// only", tls_only[i]);
    if (options->transport == STREAM_TCP && !host_is_loopback(str_from(options->host)))
        (void)yaml_complain_hint(
            &reading->reader->yaml, json_object_get(reading->map, "address"),
            STR("use tls://, or a relay on this host"),
            "tcp:// is for 127.0.0.1, [::1] and localhost only: nothing protects what it carries");
}

static void read_syslog(const struct stream_reading *reading)
{
    const struct yaml_reader *yaml = &reading->reader->yaml;
    struct stream_options *options = reading->options;
    size_t facility = FACILITY_DEFAULT;
    struct str address;

    read_peer(reading);
    (void)yaml_get_choice(yaml, reading->map, "facility", facility_names, &facility);
    options->facility = (unsigned)facility;
    if (!yaml_require(yaml, reading->map, "address") ||
        !yaml_get_str(yaml, reading->map, "address", &address))
        return;
    if (!read_address(reading, address))
        (void)complain(reading, "address",
                       "expected unix:/PATH, tcp://HOST:PORT or tls://HOST:PORT");
    else
        check_transport(reading);
}

static void read_webhook(const struct stream_reading *reading)
{
    static const char *const formats[] = { "lines", "array", NULL };
    const struct yaml_reader *yaml = &reading->reader->yaml;
    size_t format = 0;

    read_post(reading);
    if (yaml_require(yaml, reading->map, "secret_file"))
        (void)config_get_path(reading->reader, reading->map, "secret_file",
                              &reading->options->secret_file);
    (void)yaml_get_choice(yaml, reading->map, "format", formats, &format);
    reading->options->is_array = format == 1;
}

static const char *const type_names[] = {
    [STREAM_FILE] = "file", [STREAM_SYSLOG] = "syslog", [STREAM_WEBHOOK] = "webhook",
    [STREAM_OTLP] = "otlp", [STREAM_OTLP + 1] = NULL,
};

static const struct type_row {
    const char *const *keys;
    void (*read)(const struct stream_reading *reading);
} types[] = {
    [STREAM_FILE] = { file_keys, read_file },
    [STREAM_SYSLOG] = { syslog_keys, read_syslog },
    [STREAM_WEBHOOK] = { webhook_keys, read_webhook },
    [STREAM_OTLP] = { otlp_keys, read_post },
};

static void read_stream(const struct stream_reading *reading)
{
    const struct yaml_reader *yaml = &reading->reader->yaml;
    size_t type = 0;

    if (!json_is_object(reading->map)) {
        (void)yaml_complain(yaml, reading->map, "expected a map with 'type'");
        return;
    }
    if (!yaml_require(yaml, reading->map, "type") ||
        !yaml_get_choice(yaml, reading->map, "type", type_names, &type)) {
        return;
    }
    if (!yaml_expect_map(yaml, reading->map, types[type].keys))
        return;
    reading->options->kind = (enum stream_kind)type;
    reading->options->batch_entries = BATCH_ENTRIES_DEFAULT;
    reading->options->batch_bytes = BATCH_BYTES_DEFAULT;
    read_common(reading);
    types[type].read(reading);
}

void config_read_streams(const struct config_reader *reader, const json_t *ledger)
{
    struct config *config = reader->config;
    const json_t *streams;
    const char *name;
    json_t *map;

    if (!yaml_get_map(&reader->yaml, ledger, "streams", &streams))
        return;
    config->streams_text = json_text(config->arena, streams);
    if (json_object_size(streams) > STREAMS_MAX) {
        (void)yaml_complain(&reader->yaml, streams, "at most %d streams", STREAMS_MAX);
        return;
    }
    config->streams =
        arena_alloc_array(config->arena, json_object_size(streams) + 1, sizeof(*config->streams));
    if (!config->streams)
        return;
    json_object_foreach (json_iterable(streams), name, map) {
        struct stream_options *options = &config->streams[config->stream_count++];

        options->name = name;
        if (!config_is_name(str_from(name)))
            (void)yaml_complain_key(&reader->yaml, streams, name, STR(""),
                                    "a stream's name is [a-z0-9-]{1,40}");
        read_stream(&(struct stream_reading){ reader, map, options });
    }
}
