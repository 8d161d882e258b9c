#include "pg/dsn.h"

#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/error.h"
#include "base/network.h"
#include "base/secret.h"

/*
 * What we want where the DSN does not say otherwise. A dead peer is noticed within 15 s or so even
 * where nobody resets the connection.
 */
static const struct {
    const char *keyword;
    const char *value;
} defaults[] = {
    { "connect_timeout", "3" },  { "keepalives", "1" },
    { "keepalives_idle", "5" },  { "keepalives_interval", "3" },
    { "keepalives_count", "3" }, { "tcp_user_timeout", "10000" },
    { "gssencmode", "disable" }, { "application_name", "stagepass" },
};

bool pg_dsn_is_url(const char *location)
{
    struct str text = str_from(location);

    return str_starts_with(text, STR("postgresql://")) || str_starts_with(text, STR("postgres://"));
}

static char *copy_text(const char *text)
{
    return text == NULL ? NULL : strdup(text);
}

bool pg_place_init(struct pg_place *place, const char *url, const char *dsn_file)
{
    place->url = copy_text(url);
    place->dsn_file = copy_text(dsn_file);
    return (url == NULL) == (place->url == NULL) && (dsn_file == NULL) == (place->dsn_file == NULL);
}

void pg_place_release(struct pg_place *place)
{
    free(place->url);
    free(place->dsn_file);
    *place = (struct pg_place){ 0 };
}

static const char *option_value(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val != NULL && options->val[0] != '\0' ? options->val : NULL;
    return NULL;
}

static bool is_local_host(struct str host)
{
    return str_starts_with(host, STR("/")) || str_starts_with(host, STR("@")) ||
           host_is_loopback(host);
}

bool pg_hosts_are_here(const char *hosts)
{
    struct str rest = str_from(hosts);
    struct str host = { 0 };
    bool has_more = true;

    while (has_more) {
        has_more = str_cut(rest, ',', &host, &rest);
        if (!is_local_host(host))
            return false;
    }
    return true;
}

static bool check_tls(const PQconninfoOption *options, bool is_on_this_machine, struct error *error)
{
    const char *mode = option_value(options, "sslmode");

    if (is_on_this_machine || mode == NULL || strcmp(mode, "verify-full") == 0 ||
        strcmp(mode, "verify-ca") == 0)
        return true;
    return error_set(
        error, ERROR_CONFIG,
        "sslmode must be verify-full (or verify-ca) for a PostgreSQL server on another "
        "machine, with sslrootcert=FILE");
}

/* The names in `hostaddr` count where they are given: libpq connects to them. */
static const char *hosts_of(const PQconninfoOption *options)
{
    const char *addresses = option_value(options, "hostaddr");

    return addresses != NULL ? addresses : option_value(options, "host");
}

static bool check(const PQconninfoOption *options, bool is_from_file, struct error *error)
{
    const char *hosts = hosts_of(options);

    if (option_value(options, "service") != NULL)
        return error_set(error, ERROR_CONFIG,
                         "a PostgreSQL service name is not followed: write "
                         "out host, user and dbname");
    if (hosts == NULL)
        return error_set(error, ERROR_CONFIG,
                         "a PostgreSQL URL names its host, or the folder of the server's socket: "
                         "postgresql:///stagepass?host=/run/postgresql");
    if (option_value(options, "dbname") == NULL)
        return error_set(error, ERROR_CONFIG,
                         "a PostgreSQL URL names its database: "
                         "postgresql://user@host/database");
    if (!is_from_file &&
        (option_value(options, "password") != NULL || option_value(options, "sslpassword") != NULL))
        return error_set(error, ERROR_CONFIG,
                         "a password does not stand in a URL: write the URL into a file of mode "
                         "0600 and name it as dsn_file, or use a passfile or a client certificate");
    return check_tls(options, pg_hosts_are_here(hosts), error);
}

/* libpq's own words quote the text, which may hold a password. */
static bool parse(const char *dsn, PQconninfoOption **options, struct error *error)
{
    char *reason = NULL;

    *options = PQconninfoParse(dsn, &reason);
    PQfreemem(reason);
    return *options != NULL ||
           error_set(
               error, ERROR_CONFIG,
               "libpq cannot read this: expected postgresql://user@host/database?keyword=value, "
               "other characters as %%XX");
}

bool pg_dsn_check(const char *dsn, bool is_from_file, struct error *error)
{
    struct pg_dsn parsed = { 0 };
    bool is_good = parse(dsn, &parsed.options, error) && check(parsed.options, is_from_file, error);

    pg_dsn_release(&parsed);
    return is_good;
}

/* Of a keyword that comes twice libpq takes the later value. */
void pg_dsn_set(struct pg_dsn *dsn, const char *keyword, const char *value)
{
    if (dsn->count + 1 == PG_KEYWORDS_MAX)
        return; /* more than libpq has */
    dsn->keywords[dsn->count] = keyword;
    dsn->values[dsn->count] = value;
    dsn->count++;
}

const char *pg_dsn_value(const struct pg_dsn *dsn, const char *keyword)
{
    for (size_t i = dsn->count; i > 0; i--)
        if (strcmp(dsn->keywords[i - 1], keyword) == 0)
            return dsn->values[i - 1];
    return NULL;
}

static void fill(struct pg_dsn *dsn)
{
    const PQconninfoOption *options = dsn->options;
    const char *hosts = hosts_of(options);

    for (const PQconninfoOption *each = options; each->keyword != NULL; each++)
        if (each->val != NULL && strcmp(each->keyword, "client_encoding") != 0)
            pg_dsn_set(dsn, each->keyword, each->val);
    for (size_t i = 0; i < COUNT(defaults); i++)
        if (option_value(options, defaults[i].keyword) == NULL)
            pg_dsn_set(dsn, defaults[i].keyword, defaults[i].value);
    if (option_value(options, "sslmode") == NULL && !pg_hosts_are_here(hosts))
        pg_dsn_set(dsn, "sslmode", "verify-full");
    if (option_value(options, "target_session_attrs") == NULL && strchr(hosts, ',') != NULL)
        pg_dsn_set(dsn, "target_session_attrs", "read-write");
    pg_dsn_set(dsn, "client_encoding", "UTF8");
}

static bool init_from(struct pg_dsn *dsn, const char *text, bool is_from_file, struct error *error)
{
    if (!parse(text, &dsn->options, error) || !check(dsn->options, is_from_file, error))
        return false;
    fill(dsn);
    return true;
}

/* The text ends at the first line's end. */
bool pg_dsn_init_file(struct pg_dsn *dsn, const char *path, struct error *error)
{
    OWNED(secret_release) struct secret secret = { 0 };
    char text[PG_DSN_MAX + 1] = { 0 };
    bool is_done = false;

    if (!secret_read_file(&secret, path, PG_DSN_MAX, error))
        return false;
    for (size_t i = 0; i < secret.len && secret.data[i] != '\n' && secret.data[i] != '\r'; i++)
        text[i] = (char)secret.data[i];
    is_done = init_from(dsn, text, true, error) || error_wrap(error, "%s", path);
    secret_wipe(text, sizeof(text));
    return is_done;
}

bool pg_dsn_init(struct pg_dsn *dsn, const struct pg_place *place, struct error *error)
{
    if (place->dsn_file != NULL)
        return pg_dsn_init_file(dsn, place->dsn_file, error);
    return init_from(dsn, place->url, false, error);
}

void pg_dsn_release(struct pg_dsn *dsn)
{
    for (PQconninfoOption *each = dsn->options; each != NULL && each->keyword != NULL; each++)
        if (each->val != NULL && each->dispchar[0] == '*')
            secret_wipe(each->val, strlen(each->val));
    PQconninfoFree(dsn->options); /* NULL is fine */
    *dsn = (struct pg_dsn){ 0 };
}
