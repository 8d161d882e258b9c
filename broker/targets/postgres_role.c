/*
 * What is asked of the functions of deploy/postgres/lease-roles.sql: on a worker, with a session of
 * the target's. Values go as parameters; the two names that stand in a statement are quoted.
 *
 * Source: PostgreSQL 15, CREATE ROLE, "Dropping Roles", Appendix A (SQLSTATEs)
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/secret.h"
#include "targets/postgres_internal.h"
#include "targets/scram.h"

#define STATEMENT_MAX ((size_t)1024)
#define NUMBER_TEXT_MAX 24
#define PREPARE "run deploy/postgres/lease-roles.sql in this database"
#define MAY_CALL                                                                                   \
    "the DSN's role needs USAGE on the schema stagepass_leases and EXECUTE on all its functions, " \
    "and stagepass_leases CREATEROLE"

/* What an operator can do about it. A row without a state is for all that the step has no row of.
 */
static const struct {
    const char *sqlstate;
    int step; /* -1: any */
    const char *advice;
} advices[] = {
    { "3F000", -1, PREPARE },                             /* no such schema */
    { "42883", -1, PREPARE " again, and GRANT EXECUTE" }, /* no such function */
    { "42501", POSTGRES_ENDING, "who gets what the role owns needs CREATE on its schema" },
    { "42501", -1, MAY_CALL }, /* no right to it */
    { "3D000", POSTGRES_CONNECTING, "the DSN names a database that is not there" },
    { "25006", -1, "the server is a standby: name the primary" }, /* read only */
    { "2BP01", -1,
      "it has something, or a right that was given to it, and only its owner can take it back" },
    { "53300", -1, "raise the CONNECTION LIMIT of the DSN's role" }, /* too many connections */
    { "55P03", -1, "somebody holds a lock: it is tried again" },
    { "57014", -1, "it took too long: it is tried again" },
};

static const char *advice_for(const char *sqlstate, enum postgres_step step)
{
    for (size_t i = 0; i < COUNT(advices); i++)
        if (strcmp(advices[i].sqlstate, sqlstate) == 0 &&
            (advices[i].step < 0 || advices[i].step == (int)step))
            return advices[i].advice;
    return NULL;
}

bool postgres_explain(const struct pg_connection *connection, enum postgres_step step,
                      const struct error *said, struct error *error)
{
    const char *advice = advice_for(connection->sqlstate, step);

    return error_set(error, ERROR_MINT, "%.120s%s%s", said->cause, advice ? ": " : "",
                     advice ? advice : "");
}

/* The result is the caller's; NULL where the server refused, or is gone. */
static struct pg_result *ask(struct pg_connection *connection, enum postgres_step step,
                             const char *sql, const char *const *values, size_t count,
                             struct error *error)
{
    struct error said = { 0 };
    struct pg_result *result = pg_query_texts(connection, sql, values, count, &said);

    if (!result)
        (void)postgres_explain(connection, step, &said, error);
    return result;
}

/* The same of a statement whose result does not matter. */
static bool tell(struct pg_connection *connection, enum postgres_step step, const char *sql,
                 const char *const *values, size_t count, struct error *error)
{
    struct pg_result *result = ask(connection, step, sql, values, count, error);

    pg_result_clear(result);
    return result != NULL;
}

/* --- making --- */

#define MAKE                                                                                       \
    "SELECT stagepass_leases.make($1, $2, $3::integer, string_to_array($4, ','), $5, $6, $7, "     \
    "$8::integer, $9, $10)"

/* What is there is what was asked for: no more roles, no more rights, no longer. */
#define CHECK                                                                                      \
    "SELECT 1 FROM pg_roles r WHERE r.rolname = $1 AND r.rolcanlogin"                              \
    " AND NOT (r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication"                 \
    " OR r.rolbypassrls)"                                                                          \
    " AND r.rolvaliduntil <= clock_timestamp() + make_interval(secs => $2::integer)"               \
    " AND r.rolconnlimit = $3::integer"                                                            \
    " AND (SELECT array_agg(g.rolname::text ORDER BY g.rolname::text COLLATE \"C\")"               \
    " FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid)"          \
    " = (SELECT array_agg(w ORDER BY w COLLATE \"C\") FROM unnest(string_to_array($4, ',')) w)"

/* Numbers of a role, as texts. */
struct numbers {
    char seconds[NUMBER_TEXT_MAX];
    char sessions[NUMBER_TEXT_MAX];
};

static bool make(const struct postgres_making *making, struct pg_connection *connection,
                 const struct numbers *numbers, struct error *error)
{
    OWNED(buf_release) struct buf verifier = { 0 };
    uint8_t salt[SCRAM_SALT_LEN];
    const char *values[] = {
        making->role,    NULL,          numbers->seconds, making->member_of,
        making->becomes, making->heir,  making->database, numbers->sessions,
        making->lease,   making->stage,
    };

    buf_init(&verifier, SCRAM_VERIFIER_MAX);
    if (!secret_random(salt, sizeof(salt), error) ||
        !scram_add_verifier(&verifier, str_from(making->password), salt, error))
        return false;
    if (!buf_is_ok(&verifier))
        return error_set(error, ERROR_MEMORY, "no memory for a SCRAM verifier");
    values[1] = buf_str(&verifier).data;
    return tell(connection, POSTGRES_MAKING, MAKE, values, COUNT(values), error);
}

/*
 * Say what the role's sessions become. A role may say so of itself, and nobody else may who is no
 * superuser's peer: within the functions the server lets nobody. So we are it, for one statement.
 */
static bool become(const struct postgres_making *making, struct pg_connection *connection,
                   struct error *error)
{
    static const char *const statements[] = { "SET LOCAL ROLE ",
                                              "ALTER ROLE CURRENT_USER SET role = " };
    const char *names[] = { making->role, making->becomes };

    for (size_t i = 0; i < COUNT(statements); i++) {
        OWNED(buf_release) struct buf text = { 0 };

        buf_init(&text, STATEMENT_MAX);
        buf_add_text(&text, statements[i]);
        if (!pg_add_identifier(&text, str_from(names[i])) || !buf_is_ok(&text))
            return error_set(error, ERROR_MINT, "a role's name cannot be quoted");
        if (!tell(connection, POSTGRES_MAKING, text.data, NULL, 0, error))
            return false;
    }
    return tell(connection, POSTGRES_MAKING, "SET LOCAL ROLE NONE", NULL, 0, error) &&
           tell(connection, POSTGRES_MAKING, "SELECT stagepass_leases.seal($1)", names, 1, error);
}

static bool check(const struct postgres_making *making, struct pg_connection *connection,
                  const struct numbers *numbers, struct error *error)
{
    const char *values[] = { making->role, numbers->seconds, numbers->sessions, making->member_of };
    OWNED(pg_result_clear) struct pg_result *result =
        ask(connection, POSTGRES_MAKING, CHECK, values, COUNT(values), error);

    if (!result)
        return false;
    return pg_row_count(result) == 1 ||
           error_set(error, ERROR_MINT, "the role that PostgreSQL made is not as it was asked for");
}

/* From the moment that it is sent until an answer says otherwise the role may exist. */
static bool commit(struct postgres_making *making, struct pg_connection *connection,
                   struct error *error)
{
    OWNED(pg_result_clear) struct pg_result *result = NULL;
    struct error said = { 0 };

    result = pg_query(connection, "COMMIT", &said);
    if (result && pg_is_command(result, "COMMIT"))
        return true;
    if (result)
        return error_set(error, ERROR_MINT, "PostgreSQL rolled back");
    making->may_exist = connection->sqlstate[0] == '\0';
    if (!making->may_exist)
        return postgres_explain(connection, POSTGRES_MAKING, &said, error);
    return error_set(error, ERROR_MINT_UNKNOWN,
                     "PostgreSQL was told to commit and did not answer: %s", said.cause);
}

bool postgres_make_role(struct postgres_call *call, struct pg_connection *connection,
                        struct error *error)
{
    struct postgres_making *making = (struct postgres_making *)call;
    int64_t seconds = making->expires_s - clock_wall_s();
    struct numbers numbers;

    if (seconds < 1)
        return error_set(error, ERROR_MINT, "its time was over before PostgreSQL was asked");
    (void)snprintf(numbers.seconds, sizeof(numbers.seconds), "%" PRId64, seconds);
    (void)snprintf(numbers.sessions, sizeof(numbers.sessions), "%" PRId64, making->sessions);
    return tell(connection, POSTGRES_MAKING, "BEGIN", NULL, 0, error) &&
           make(making, connection, &numbers, error) &&
           (!making->becomes || become(making, connection, error)) &&
           check(making, connection, &numbers, error) && commit(making, connection, error);
}

/* --- ending --- */

static bool is_there(struct pg_connection *connection, const char *role, bool *is_there,
                     struct error *error)
{
    OWNED(pg_result_clear) struct pg_result *result =
        ask(connection, POSTGRES_ENDING, "SELECT stagepass_leases.lock($1)", &role, 1, error);

    if (!result)
        return false;
    *is_there = strcmp(pg_text(result, 0), "t") == 0;
    return true;
}

static bool end_sessions(struct pg_connection *connection, const char *role, struct error *error)
{
    OWNED(pg_result_clear) struct pg_result *result = ask(
        connection, POSTGRES_ENDING, "SELECT stagepass_leases.end_sessions($1)", &role, 1, error);

    if (!result)
        return false;
    return strcmp(pg_text(result, 0), "0") == 0 ||
           error_set(error, ERROR_MINT, "%s sessions of the role do not end", pg_text(result, 0));
}

static bool disown(struct pg_connection *connection, const char *role, struct error *error)
{
    return tell(connection, POSTGRES_ENDING, "SELECT stagepass_leases.disown($1)", &role, 1, error);
}

static bool disown_in(const struct postgres_ending *ending, const char *database,
                      struct error *error)
{
    const struct postgres_call *call = &ending->call;
    struct pg_connection connection = { 0 };
    bool is_done = postgres_pool_open(call->pool, database, call->deadline_ms, &connection, error);

    if (is_done)
        is_done = disown(&connection, ending->role, error);
    pg_close(&connection);
    return is_done || error_wrap(error, "database %.63s", database);
}

/* In the database that we are in also what is in none: rights to databases. */
static bool disown_everywhere(const struct postgres_ending *ending,
                              struct pg_connection *connection, struct error *error)
{
    static const char sql[] = "SELECT d FROM stagepass_leases.databases($1) d"
                              " WHERE d <> current_database()";
    OWNED(pg_result_clear) struct pg_result *result =
        ask(connection, POSTGRES_ENDING, sql, &ending->role, 1, error);

    for (int i = 0; result && i < pg_row_count(result); i++)
        if (!disown_in(ending, pg_bytes(result, i, 0).data, error))
            return false;
    return result && disown(connection, ending->role, error);
}

static bool is_gone(struct pg_connection *connection, const char *role, struct error *error)
{
    static const char sql[] = "SELECT 1 FROM pg_roles WHERE rolname = $1 UNION ALL"
                              " SELECT 1 FROM pg_stat_activity WHERE usename = $1";
    OWNED(pg_result_clear) struct pg_result *result =
        ask(connection, POSTGRES_ENDING, sql, &role, 1, error);

    if (!result)
        return false;
    return pg_row_count(result) == 0 ||
           error_set(error, ERROR_MINT, "the role is still there after it was dropped");
}

bool postgres_end_role(struct postgres_call *call, struct pg_connection *connection,
                       struct error *error)
{
    const struct postgres_ending *ending = (const struct postgres_ending *)call;
    const char *role = ending->role;
    bool has_role = false;

    if (!is_there(connection, role, &has_role, error))
        return false;
    if (!has_role)
        return true;
    return end_sessions(connection, role, error) && disown_everywhere(ending, connection, error) &&
           tell(connection, POSTGRES_ENDING, "SELECT stagepass_leases.remove($1)", &role, 1,
                error) &&
           is_gone(connection, role, error);
}

/* --- looking --- */

bool postgres_find_roles(struct postgres_call *call, struct pg_connection *connection,
                         struct error *error)
{
    static const char sql[] =
        "SELECT rolname FROM pg_roles"
        " WHERE rolname ~ ('^stagepass_' || $1 || '_[0-9a-z]{26}_[0-9a-f]{8}$')"
        " ORDER BY rolname COLLATE \"C\" LIMIT $2::integer";
    struct postgres_search *search = (struct postgres_search *)call;
    char limit[NUMBER_TEXT_MAX];
    const char *values[] = { search->tag, limit };

    (void)snprintf(limit, sizeof(limit), "%d", SWEEP_FOUND_MAX + 1);
    search->rows = ask(connection, POSTGRES_CONNECTING, sql, values, COUNT(values), error);
    return search->rows != NULL;
}

/* --- names --- */

void postgres_tag(struct str text, char tag[POSTGRES_TAG_LEN + 1])
{
    uint8_t digest[SHA256_LEN];

    sha256(text, digest);
    for (size_t i = 0; i < POSTGRES_TAG_LEN / 2; i++)
        (void)snprintf(tag + 2 * i, 3, "%02x", digest[i]);
}

/* A lease's id, of which case means nothing, in small letters or capitals. */
static struct str in_case(struct str text, char first, char change, struct arena *arena)
{
    char *copy = arena_alloc(arena, text.len + 1);

    for (size_t i = 0; copy && i < text.len; i++) {
        bool is_letter = text.data[i] >= first && text.data[i] < first + 26;

        copy[i] = is_letter ? (char)(text.data[i] + change) : text.data[i];
    }
    return (struct str){ copy, copy ? text.len : 0 };
}

struct str postgres_role_name(struct str issuer, struct str lease, struct str grant,
                              struct str attempt, struct arena *arena)
{
    struct str small = in_case(lease, 'A', 'a' - 'A', arena);
    struct str whose = grant;
    char of_issuer[POSTGRES_TAG_LEN + 1];
    char of_grant[POSTGRES_TAG_LEN + 1];

    if (attempt.len > 0)
        whose = arena_printf(arena, STR_FMT "\n" STR_FMT, STR_ARG(grant), STR_ARG(attempt));
    if (!small.data || !whose.data)
        return (struct str){ 0 };
    postgres_tag(issuer, of_issuer);
    postgres_tag(whose, of_grant);
    return arena_printf(arena, "stagepass_%s_" STR_FMT "_%s", of_issuer, STR_ARG(small), of_grant);
}

struct str postgres_lease_of(struct str role, struct arena *arena)
{
    size_t start = sizeof("stagepass_") - 1 + POSTGRES_TAG_LEN + 1;
    struct str lease;

    if (role.len != start + ID_LEN + 1 + POSTGRES_TAG_LEN)
        return (struct str){ 0 };
    lease = in_case(str_slice(role, start, ID_LEN), 'a', 'A' - 'a', arena);
    return id_is_valid(lease) ? lease : (struct str){ 0 };
}
