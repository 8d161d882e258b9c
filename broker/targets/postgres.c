/*
 * Access to a PostgreSQL database: a login role made for the lease, or a client certificate for a
 * role that is there.
 *
 * A role is made by functions at the server that do nothing else (deploy/postgres/lease-roles.sql),
 * with a password that is made here and never leaves but in the answer: the server gets a SCRAM
 * verifier of it. libpq blocks, so that a call is done on a worker; a mint, a revocation and a
 * sweep are entered twice. From the COMMIT until its answer the role may exist.
 *
 * Source: PostgreSQL, CREATE ROLE; identifiers have at most 63 bytes, longer ones are cut
 */
#include <inttypes.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/secret.h"
#include "pg/dsn.h"
#include "targets/csr_details.h"
#include "targets/postgres_internal.h"

#define MINT_TOTAL_MS 8000
#define REVOKE_TOTAL_MS 30000
#define SWEEP_TOTAL_MS 15000
#define SESSIONS_DEFAULT 10
#define SESSIONS_MAX 100
#define CA_MAX ((size_t)64 * 1024)
#define PORT_DEFAULT "5432"
#define AUTHORITY_ROTATE_S ((int64_t)90 * 24 * 3600)

#define LIFE_MIN_S 1
#define LIFE_MAX_S ((int64_t)24 * 3600)
#define IDENTIFIER_CHARSET LETTERS_AND_DIGITS "_$-"
#define FIRST_CHARSET SMALL_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

static const struct text_limits database_limits = { "database", IDENTIFIER_CHARSET, 63, 1 };
static const struct text_limits roles_limits = { "roles", IDENTIFIER_CHARSET, 63, 16 };
static const struct text_limits set_role_limits = { "set_role", IDENTIFIER_CHARSET, 63, 1 };

enum mode {
    MODE_CERTIFICATE,
    MODE_ROLE,
};

#define MODE_ROLE_NAME "role"

static const char *const modes[] = { "certificate", MODE_ROLE_NAME, NULL };

/* Roles of the server's own that reach its host: whoever has one is its superuser. */
static const char *const host_roles[] = {
    "pg_execute_server_program",
    "pg_read_server_files",
    "pg_write_server_files",
};

struct postgres_grant {
    struct str database;
    enum mode mode;
    struct texts roles;
    struct str set_role; /* empty: none */
};

/* The target. */

static const char *const settings[] = { "dsn_file", "host", "port", "ca", "sessions", "key", NULL };
static const char *const own_settings[] = { "dsn_file", "ca", "key", NULL };

static void free_pool(void *pool)
{
    postgres_pool_unref(pool);
}

static bool read_numbers(const struct yaml_reader *reader, const json_t *node,
                         struct postgres_settings *own)
{
    int64_t port = 0;

    own->sessions = SESSIONS_DEFAULT;
    if (json_object_get(node, "sessions") &&
        !yaml_get_int(reader, node, "sessions", 1, SESSIONS_MAX, &own->sessions))
        return false;
    if (!json_object_get(node, "port"))
        return true;
    if (!yaml_get_int(reader, node, "port", 1, 65535, &port))
        return false;
    own->port = arena_printf(reader->arena, "%" PRId64, port);
    return own->port.data || yaml_complain(reader, node, "no memory for a target");
}

static bool make_pool(const struct yaml_reader *reader, const json_t *node,
                      struct postgres_settings *own)
{
    own->pool = postgres_pool_new(own->dsn_file);
    return (own->pool && arena_defer(reader->arena, free_pool, own->pool)) ||
           yaml_complain(reader, node, "no memory for a target");
}

/* What is the broker's own: how it makes roles, or who signs certificates. */
static bool configure_own(const struct yaml_reader *reader, const json_t *node,
                          struct postgres_settings *own)
{
    static const struct text_limits key_limits = { "key", SMALL_LETTERS DIGITS "-",
                                                   AUTHORITY_NAME_MAX, 1 };

    if (!setting_file(reader, node, "dsn_file", &own->dsn_file) ||
        !setting_file(reader, node, "ca", &own->ca_file) ||
        !setting_text(reader, node, &key_limits, &own->key))
        return false;
    if (!own->dsn_file && own->key.len == 0)
        return yaml_complain(reader, node,
                             "a target has 'dsn_file', for roles, or 'key', for certificates");
    if (!own->dsn_file && own->host.len == 0)
        return yaml_complain(reader, node, "without 'dsn_file' there must be a 'host'");
    return !own->dsn_file || make_pool(reader, node, own);
}

static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    static const struct text_limits host_limits = { "host", LETTERS_AND_DIGITS "._-:/@", 253, 1 };
    struct postgres_settings *own = target->settings;

    own->arena = reader->arena;
    own->is_catalog = target->is_catalog;
    if (!setting_text(reader, node, &host_limits, &own->host) || !read_numbers(reader, node, own))
        return false;
    return own->is_catalog || configure_own(reader, node, own);
}

/* As it was configured, or else like this. */
static bool keep_text(struct str *out, const char *text, struct arena *arena)
{
    if (out->len > 0)
        return true;
    *out = arena_copy(arena, str_from(text));
    return out->data != NULL;
}
/* Jobs are told the same server, unless the broker has a way of its own. */
static bool take_place(struct postgres_settings *own, struct error *error)
{
    OWNED(pg_dsn_release) struct pg_dsn dsn = { 0 };
    const char *host = NULL;
    const char *port = NULL;

    if (!pg_dsn_init_file(&dsn, own->dsn_file, error))
        return false;
    host = pg_dsn_value(&dsn, "host");
    port = pg_dsn_value(&dsn, "port");
    if (!host)
        host = pg_dsn_value(&dsn, "hostaddr");
    if (!keep_text(&own->host, host ? host : "", own->arena) ||
        !keep_text(&own->port, port ? port : PORT_DEFAULT, own->arena))
        return error_set(error, ERROR_MEMORY, "no memory for a target");
    return true;
}

static bool start_authority(const struct target *target, const struct target_tools *tools,
                            struct error *error)
{
    struct postgres_settings *own = target->settings;
    const struct authority_options options = {
        .name = own->key,
        .user = target->name,
        .has_own_root = true,
        .rotate_every_s = AUTHORITY_ROTATE_S,
    };

    return own->key.len == 0 ||
           keys_authority(tools->keys, &options, clock_wall_s(), &own->authority, error);
}

static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    struct postgres_settings *own = target->settings;

    if (own->dsn_file && !take_place(own, error))
        return false;
    if (!keep_text(&own->port, PORT_DEFAULT, own->arena))
        return error_set(error, ERROR_MEMORY, "no memory for a target");
    return start_authority(target, tools, error) &&
           (!own->ca_file || file_read(own->arena, own->ca_file, CA_MAX, &own->ca, error));
}

/* Reading a grant. */

static bool check_identifier(struct grant_reader *reader, const json_t *value, struct str name)
{
    if (str_is_made_of(str_slice(name, 0, 1), FIRST_CHARSET))
        return true;
    return grant_fault(reader, value, "'" STR_FMT "' starts with neither a letter nor '_'",
                       STR_ARG(name));
}

static bool check_role(struct grant_reader *reader, const json_t *value, struct str role)
{
    for (size_t i = 0; i < COUNT(host_roles); i++)
        if (str_eq(role, str_from(host_roles[i])))
            return grant_fault(reader, value, "'%s' reaches the server's host: no job needs it",
                               host_roles[i]);
    return check_identifier(reader, value, role);
}

static bool read_roles(struct grant_reader *reader, const json_t *fields, struct texts *roles)
{
    const json_t *value = json_object_get(fields, "roles");

    if (!grant_need_list(reader, fields, &roles_limits, roles))
        return false;
    for (size_t i = 0; i < roles->count; i++)
        if (!check_role(reader, grant_item(value, i), roles->list[i]))
            return false;
    return true;
}

/* What a mode makes of the roles: the one that logs in, or those that the login is a member of. */
static bool check_mode(struct grant_reader *reader, const json_t *fields,
                       struct postgres_grant *grant)
{
    const json_t *set_role = json_object_get(fields, "set_role");

    if (!grant_may(reader, fields, &set_role_limits, &grant->set_role))
        return false;
    if (grant->mode == MODE_CERTIFICATE && grant->roles.count != 1)
        return grant_fault(reader, json_object_get(fields, "roles"),
                           "a certificate logs in as one role: 'roles' has one");
    if (grant->mode == MODE_CERTIFICATE && set_role)
        return grant_fault(reader, set_role, "'set_role' goes with 'mode: role'");
    if (set_role && !texts_contain(&grant->roles, grant->set_role))
        return grant_fault(reader, set_role, "'set_role' must be one of 'roles'");
    return true;
}

static bool read_fields(struct grant_reader *reader, const json_t *fields,
                        struct postgres_grant *grant)
{
    const json_t *at = json_object_get(fields, "database");
    const json_t *mode_at = json_object_get(fields, "mode");
    size_t mode;

    if (!grant_need(reader, fields, &database_limits, &grant->database) ||
        !grant_starts_literally(reader, at, "a database") ||
        !check_identifier(reader, at, grant->database))
        return false;
    if (!mode_at)
        return grant_fault(reader, fields, "'mode' is missing here: certificate or role");
    if (!grant_choice(reader, mode_at, "mode", modes, &mode))
        return false;
    grant->mode = (enum mode)mode;
    return read_roles(reader, fields, &grant->roles) && check_mode(reader, fields, grant);
}

/* What a broker's target can give; of a catalog's nobody knows. */
static bool check_target(struct grant_reader *reader, const json_t *fields,
                         const struct postgres_settings *own, enum mode mode)
{
    const json_t *at = json_object_get(fields, "mode");

    if (!own || own->is_catalog)
        return true;
    if (mode == MODE_ROLE && !own->dsn_file)
        return grant_fault(reader, at, "the target makes no roles: it has no 'dsn_file'");
    if (mode == MODE_CERTIFICATE && own->key.len == 0)
        return grant_fault(reader, at, "the target signs no certificates: it has no 'key'");
    return true;
}

static bool read_grant(struct grant_reader *reader, const struct policy_grant_view *view)
{
    const struct postgres_settings *own = view->target ? view->target->settings : NULL;
    struct postgres_grant grant = { 0 };

    return read_fields(reader, view->fields, &grant) &&
           check_target(reader, view->fields, own, grant.mode);
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    grant_check(yaml, view, read_grant);
}

/* Minting. */

static bool random_password(char password[POSTGRES_PASSWORD_LEN + 1], struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t random[POSTGRES_PASSWORD_LEN / 4 * 3];

    if (!secret_random(random, sizeof(random), error))
        return false;
    buf_init(&text, POSTGRES_PASSWORD_LEN);
    buf_add_base64url(&text, (struct str){ (const char *)random, sizeof(random) });
    secret_wipe(random, sizeof(random));
    if (!buf_is_ok(&text) || text.len != POSTGRES_PASSWORD_LEN)
        return error_set(error, ERROR_MEMORY, "no memory for a password");
    memcpy(password, text.data, POSTGRES_PASSWORD_LEN);
    return true;
}

/* "app,app_migrate": no name that a grant may have holds a ','. */
static struct str join(const struct texts *roles, struct arena *arena)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, roles_limits.count * (roles_limits.bytes + 1));
    for (size_t i = 0; i < roles->count; i++) {
        buf_add_text(&text, i > 0 ? "," : "");
        buf_add(&text, roles->list[i]);
    }
    return buf_is_ok(&text) ? arena_copy(arena, buf_str(&text)) : (struct str){ 0 };
}

static bool fill_in(const struct mint *mint, const struct postgres_grant *grant,
                    struct postgres_making *making, struct error *error)
{
    const struct postgres_settings *own = mint->target->settings;
    struct str heir = grant->set_role.len > 0 ? grant->set_role : grant->roles.list[0];
    struct arena *arena = mint->arena;

    making->call.work = postgres_make_role;
    making->call.waker = mint->waker;
    making->sessions = own->sessions;
    making->expires_s = mint->expires_s;
    making->role =
        postgres_role_name(mint->tools->issuer, mint->lease, mint->grant, mint->attempt, arena)
            .data;
    making->member_of = join(&grant->roles, arena).data;
    making->heir = arena_copy(arena, heir).data;
    making->becomes = grant->set_role.len > 0 ? making->heir : NULL;
    making->database = arena_copy(arena, grant->database).data;
    making->lease = arena_copy(arena, mint->lease).data;
    making->stage = arena_copy(arena, mint->stage).data;
    if (making->role && making->member_of && making->heir && making->database && making->lease &&
        making->stage)
        return random_password(making->password, error);
    return error_set(error, ERROR_MEMORY, "no memory for a role");
}

/* What is known before the answer: enough to find a role that may exist. */
static bool put_record(struct mint *mint, const struct postgres_making *making, struct error *error)
{
    mint->record = json_object();
    if (json_put(mint->record, "id", json_string(making->role)) &&
        json_put(mint->record, "database", json_string(making->database)))
        return true;
    return error_set(error, ERROR_MEMORY, "no memory for a record");
}

static bool begin(struct mint *mint, const struct postgres_grant *grant, struct error *error)
{
    const struct postgres_settings *own = mint->target->settings;
    struct postgres_making *making = arena_alloc(mint->arena, sizeof(*making));
    struct error inner = { 0 };

    if (!making)
        return error_set(error, ERROR_MEMORY, "no memory for a role");
    if (!own->pool)
        return error_set(error, ERROR_MINT, "the target has no 'dsn_file'");
    mint->expires_s = mint->now_s + mint->ttl_s;
    if (!fill_in(mint, grant, making, error) || !put_record(mint, making, error))
        return false;
    mint->state = making; /* before a worker may wake us */
    mint->may_exist = true;
    if (postgres_pool_submit(own->pool, mint->tools->workers, &making->call, MINT_TOTAL_MS, &inner))
        return true;
    mint->state = NULL;
    mint->may_exist = false;
    return error_set(error, ERROR_MINT, "PostgreSQL was not asked: %s", inner.cause);
}

/* How the server is known, where what a job says to it could be read on the way. */
static const char *tls_of(const struct postgres_settings *own)
{
    if (own->ca.len > 0)
        return "verify-full";
    return pg_hosts_are_here(own->host.data) ? NULL : "require";
}

bool postgres_put_place(json_t *postgres, const struct postgres_settings *own, const char *database,
                        const char *user)
{
    const char *tls = tls_of(own);

    return json_put(postgres, "host", json_from_str(own->host)) &&
           json_put(postgres, "port", json_from_str(own->port)) &&
           json_put(postgres, "database", json_string(database)) &&
           json_put(postgres, "user", json_string(user)) &&
           (!tls || json_put(postgres, "sslmode", json_string(tls))) &&
           json_put_text(postgres, "ca", own->ca);
}

static bool finish(struct mint *mint, const struct postgres_making *making, struct error *error)
{
    json_t *postgres = NULL;

    if (!making->call.is_good) {
        mint->may_exist = making->may_exist;
        *error = making->call.error;
        return false;
    }
    postgres = json_object(); /* it exists: what fails now leaves it there */
    mint->credential = json_object();
    if (!json_put(mint->credential, "postgres", postgres) ||
        !postgres_put_place(postgres, mint->target->settings, making->database, making->role) ||
        !json_put(postgres, "password", json_string(making->password)))
        return error_set(error, ERROR_MEMORY, "no memory for a role");
    mint->may_exist = false;
    return true;
}

static bool makes_role(const json_t *fields)
{
    return str_eq(json_str(json_object_get(fields, "mode")), STR(MODE_ROLE_NAME));
}

static bool is_role(const struct mint *mint)
{
    return makes_role(mint->fields);
}

static bool is_certificate(const struct mint *mint)
{
    return !is_role(mint);
}

static bool check_details(struct mint *mint, struct error *error)
{
    struct certificate_request *request = NULL;
    const char *name;
    json_t *value;

    if (is_role(mint)) {
        json_object_foreach (json_iterable(mint->details), name, value)
            if (strcmp(name, "type") != 0 && strcmp(name, "grant") != 0 && strcmp(name, "ttl") != 0)
                return error_set(error, ERROR_DETAILS, "a member that a role does not take");
        return true;
    }
    if (!csr_details(mint, "a postgres grant with a certificate", &request, error))
        return false;
    mint->state = request; /* only a key that has proven itself gets here */
    return true;
}

/* Its fields have been read before. */
static bool sign_certificate(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct postgres_grant grant = { 0 };

    if (!read_fields(&reader, mint->fields, &grant))
        return grant_error(&reader, error);
    return postgres_certificate_mint(mint, grant.roles.list[0], grant.database, error);
}

static enum progress postgres_mint(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct postgres_grant grant = { 0 };

    if (is_role(mint) && mint->state)
        return finish(mint, mint->state, error) ? PROGRESS_DONE : PROGRESS_FAILED;
    if (!read_fields(&reader, mint->fields, &grant)) {
        (void)grant_error(&reader, error);
        return PROGRESS_FAILED;
    }
    if (grant.mode == MODE_ROLE)
        return begin(mint, &grant, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
    return mint_sign(mint, sign_certificate, error);
}

/* Ending. */

/* By its name in the ledger, which outlives our URL; without a record by what names it. */
static const char *role_of(const struct revocation *revocation)
{
    struct str id = json_str(json_object_get(revocation->record, "id"));

    if (id.len > 0)
        return arena_copy(revocation->arena, id).data;
    return postgres_role_name(revocation->tools->issuer, revocation->lease, revocation->grant,
                              json_str(json_object_get(revocation->record, "attempt")),
                              revocation->arena)
        .data;
}

static bool begin_revocation(struct revocation *revocation, struct error *error)
{
    const struct postgres_settings *own = revocation->target->settings;
    struct postgres_ending *ending = arena_alloc(revocation->arena, sizeof(*ending));
    struct error inner = { 0 };

    if (!own->pool)
        return error_set(error, ERROR_MINT, "the target has no 'dsn_file' any more");
    if (ending)
        ending->role = role_of(revocation);
    if (!ending || !ending->role)
        return error_set(error, ERROR_MEMORY, "no memory to end a role");
    ending->call.work = postgres_end_role;
    ending->call.waker = revocation->waker;
    revocation->state = ending;
    if (postgres_pool_submit(own->pool, revocation->tools->workers, &ending->call, REVOKE_TOTAL_MS,
                             &inner))
        return true;
    revocation->state = NULL;
    return error_set(error, ERROR_MINT, "PostgreSQL was not asked: %s", inner.cause);
}

static enum progress postgres_revoke(struct revocation *revocation, struct error *error)
{
    const struct postgres_ending *ending = revocation->state;

    if (!ending)
        return begin_revocation(revocation, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
    if (ending->call.is_good)
        return PROGRESS_DONE;
    *error = ending->call.error;
    return PROGRESS_FAILED;
}

/* Looking. */

/* Libpq's memory. */
static void release_search(void *object)
{
    struct postgres_search *search = object;

    pg_result_clear(search->rows);
}

static bool begin_search(struct sweep *sweep, struct error *error)
{
    const struct postgres_settings *own = sweep->target->settings;
    struct postgres_search *search = arena_alloc(sweep->arena, sizeof(*search));
    char tag[POSTGRES_TAG_LEN + 1];
    struct error inner = { 0 };

    if (!own->pool)
        return error_set(error, ERROR_MINT, "the target has no 'dsn_file'");
    postgres_tag(sweep->tools->issuer, tag);
    if (!search || !arena_defer(sweep->arena, release_search, search))
        return error_set(error, ERROR_MEMORY, "no memory to look for roles");
    search->tag = arena_copy(sweep->arena, str_from(tag)).data;
    if (!search->tag)
        return error_set(error, ERROR_MEMORY, "no memory to look for roles");
    search->call.work = postgres_find_roles;
    search->call.waker = sweep->waker;
    sweep->state = search;
    if (postgres_pool_submit(own->pool, sweep->tools->workers, &search->call, SWEEP_TOTAL_MS,
                             &inner))
        return true;
    sweep->state = NULL;
    return error_set(error, ERROR_MINT, "PostgreSQL was not asked: %s", inner.cause);
}

/* A name that is not of a lease of ours is nobody's to end. */
static bool add_found(struct sweep *sweep, struct str role)
{
    struct sweep_found *found = &sweep->found[sweep->found_count];
    struct str lease = postgres_lease_of(role, sweep->arena);

    if (lease.len == 0)
        return true;
    *found = (struct sweep_found){ .lease = lease, .record = json_object() };
    sweep->found_count++;
    return json_put(found->record, "id", json_from_str(role));
}

static bool take_found(struct sweep *sweep, const struct postgres_search *search,
                       struct error *error)
{
    int count = pg_row_count(search->rows);

    sweep->is_complete = count <= SWEEP_FOUND_MAX;
    if (!sweep->is_complete)
        count = SWEEP_FOUND_MAX;
    sweep->found = arena_alloc_array(sweep->arena, (size_t)count + 1, sizeof(*sweep->found));
    if (!sweep->found)
        return error_set(error, ERROR_MEMORY, "no memory for roles that were found");
    for (int i = 0; i < count; i++)
        if (!add_found(sweep, pg_bytes(search->rows, i, 0)))
            return error_set(error, ERROR_MEMORY, "no memory for roles that were found");
    return true;
}

static enum progress postgres_sweep(struct sweep *sweep, struct error *error)
{
    const struct postgres_search *search = sweep->state;

    if (!search)
        return begin_search(sweep, error) ? PROGRESS_WAIT : PROGRESS_FAILED;
    if (search->call.is_good)
        return take_found(sweep, search, error) ? PROGRESS_DONE : PROGRESS_FAILED;
    *error = search->call.error;
    return PROGRESS_FAILED;
}

/* The roles. As whom: each of them where it is, which is a server that only the target names. */
static bool gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    struct str server = view->target ? view->target->name : STR("");
    struct texts roles;

    if (!grant_written(arena, json_object_get(view->fields, "roles"), &roles) ||
        !given_room(given, arena, roles.count, roles.count))
        return false;
    for (size_t i = 0; i < roles.count; i++)
        if (!given_name(given, roles.list[i]) ||
            !given_principal(given, arena_printf(arena, STR_FMT "@" STR_FMT, STR_ARG(roles.list[i]),
                                                 STR_ARG(server))))
            return false;
    return true;
}

/* A role is dropped; a certificate is good until it expires. */
static enum policy_revocation revocation_of(const json_t *grant_fields, const void *of_target)
{
    (void)of_target;
    return makes_role(grant_fields) ? POLICY_REVOKED_NOW : POLICY_REVOKED_BY_EXPIRY;
}

static const char *const fields[] = { "target", "database", "mode", "roles", "set_role", NULL };
static const char *const fields_with_holes[] = { "database", NULL };
static const char *const fields_told[] = { "roles", NULL };

const struct target_kind target_postgres = {
    .grant = {
        .name = "postgres",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = LIFE_MIN_S,
        .ttl_max_s = LIFE_MAX_S,
        .check = check,
        .fields_with_holes = fields_with_holes,
        .matching = POLICY_MATCHING_GLOB,
        .gives = gives,
        .revocation = POLICY_REVOKED_BY_EXPIRY, /* a certificate */
        .revocation_of = revocation_of,
        .fields_told = fields_told,
    },
    .settings = settings,
    .own_settings = own_settings,
    .needing = "grants_needing_csrs",
    .configure = configure,
    .settings_size = sizeof(struct postgres_settings),
    .start = start,
    .check_details = check_details,
    .is_needing = is_certificate,
    .mint = postgres_mint,
    .revoke = postgres_revoke,
    .is_revocable = is_role,
    .sweep = postgres_sweep,
};
