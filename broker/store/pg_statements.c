#include <string.h>

#include "store/bytes.h"
#include "store/pg_internal.h"

#define HEAD "size, folded, time_ms, forgotten_s, blocks"
#define MARK "key, holder, uses, expires_s, first_index, latest_index"
#define BLOCK "id, expires_s, index"
#define LEASE                                                                                      \
    "id, handle, state, version, expires_s, opened_index, latest_index, stage_key, job_key, "      \
    "run_key, commit_key, debt, outcome, attempt, heartbeat_s, renewal, kept_until_s, opened_s, "  \
    "renewed_s, ended_s, credentials_index"
#define EXCLUDED_LEASE                                                                             \
    "excluded.id, excluded.handle, excluded.state, excluded.version, excluded.expires_s, "         \
    "excluded.opened_index, excluded.latest_index, excluded.stage_key, excluded.job_key, "         \
    "excluded.run_key, excluded.commit_key, excluded.debt, excluded.outcome, excluded.attempt, "   \
    "excluded.heartbeat_s, excluded.renewal, excluded.kept_until_s, excluded.opened_s, "           \
    "excluded.renewed_s, excluded.ended_s, excluded.credentials_index"
#define EXCLUDED_APPROVAL                                                                          \
    "excluded.id, excluded.code, excluded.digest, excluded.state, excluded.version, "              \
    "excluded.expires_s, excluded.opened_index, excluded.latest_index, excluded.people, "          \
    "excluded.break_glass"
#define APPROVAL                                                                                   \
    "id, code, digest, state, version, expires_s, opened_index, latest_index, people, break_glass"

/* States in which a lease counts as live: LEASE_REQUESTED, LEASE_ISSUED, LEASE_UNKNOWN. */
#define IS_LIVE "state IN (1, 2, 7)"

/* One of four queries by the kind of a key, of which each has a column; the others are not run. */
#define BY_KIND(kind, query)                                                                       \
    "CASE " kind " WHEN 0 THEN " query("stage_key") " WHEN 1 THEN " query(                         \
        "job_key") " WHEN 2 THEN " query("run_key") " WHEN 3 THEN " query("commit_key") " END"

/* How many there are, but not more than matter. */
#define LIVE_UNDER(column)                                                                         \
    "(SELECT count(*) FROM (SELECT FROM stagepass.leases WHERE " column                            \
    " = asked.key AND " IS_LIVE " AND expires_s > $5::bigint LIMIT asked.most) AS counted)"
#define OPENED_UNDER(column)                                                                       \
    "(SELECT count(*) FROM (SELECT FROM stagepass.leases WHERE " column " = asked.key "            \
    "AND opened_s >= asked.since_s AND state <> 6 LIMIT asked.most) AS counted)"

/* The id of the latest lease under a key. */
#define LATEST_UNDER(column)                                                                       \
    "(SELECT id FROM stagepass.leases WHERE " column " = asked.key "                               \
    "AND (asked.attempt = 0 OR leases.attempt <= asked.attempt) "                                  \
    "ORDER BY opened_s DESC, opened_index DESC LIMIT 1)"

#define ASKED                                                                                      \
    "unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[]) "                               \
    "WITH ORDINALITY AS asked (kind, key, since_s, most, place)"

/* All under a key, the latest first; nothing where it is another kind's. */
#define UNDER(kind, column)                                                                        \
    "(SELECT " LEASE " FROM stagepass.leases WHERE $1::bigint = " kind " AND " column              \
    " = $2::bytea ORDER BY opened_s DESC, opened_index DESC LIMIT $3::bigint)"

/* When a lease that was heard at a time falls due: as lease_due_s() has it of an issued one. */
#define DUE_AFTER(heard_s)                                                                         \
    "CASE WHEN " heard_s " + 3 * leases.heartbeat_s < leases.expires_s "                           \
    "THEN " heard_s " + 3 * leases.heartbeat_s WHEN leases.debt = 2 THEN leases.expires_s END"

/* As lease_is_past() has it; 2 is DEBT_OWED. */
#define IS_PAST "(leases.state <> 1 AND leases.expires_s <= $1::bigint AND leases.debt <> 2)"

/* The same, but only by a broker's clock that is ahead: others may have something to do. */
#define IS_PAST_AHEAD "(" IS_PAST " AND leases.expires_s > " SERVER_S ")"

/* A lease whose silence was not long enough since a broker started last. */
#define IS_EARLY                                                                                   \
    "(leases.state = 2 AND leases.heartbeat_s > 0 AND leases.expires_s > $1::bigint "              \
    "AND anew.anew_s + 3 * leases.heartbeat_s > $1::bigint)"

/* Rows that are due are removed in small batches, so that the head is never locked for long. */
#define SWEEP "1000"

/* No clock of a broker's removes what the server's says is needed. */
#define SERVER_S "floor(extract(epoch FROM clock_timestamp()))::bigint"

const struct pg_statement_row pg_statements[PG_STATEMENT_COUNT] = {
    [PG_BEGIN] = { PG_WRITER, "begin", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE" },
    [PG_LOCK_HEAD] = { PG_WRITER, "lock_head",
                       "SELECT " HEAD ", current_setting('synchronous_commit') IN "
                       "('on', 'remote_apply') FROM stagepass.head FOR UPDATE" },
    [PG_LOAD_MARKS] = { PG_WRITER, "load_marks",
                        "SELECT " MARK " FROM stagepass.marks WHERE key = ANY ($1::bytea[])" },
    [PG_LOAD_LEASES] = { PG_WRITER, "load_leases",
                         "SELECT " LEASE " FROM stagepass.leases WHERE id = ANY ($1::text[])" },
    [PG_LOAD_LATEST] = { PG_WRITER, "load_latest",
                         "SELECT " LEASE " FROM stagepass.leases WHERE id IN (SELECT " BY_KIND(
                             "asked.kind",
                             LATEST_UNDER) " FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) "
                                           "AS asked (kind, key, attempt))" },
    [PG_COUNT_LIVE] = { PG_WRITER, "count_live",
                        "SELECT " BY_KIND("asked.kind", LIVE_UNDER) " FROM " ASKED
                                                                    " ORDER BY place" },
    [PG_COUNT_OPENED] = { PG_WRITER, "count_opened",
                          "SELECT " BY_KIND("asked.kind", OPENED_UNDER) " FROM " ASKED
                                                                        " ORDER BY place" },
    [PG_LOAD_APPROVALS] = { PG_WRITER, "load_approvals",
                            "SELECT " APPROVAL " FROM stagepass.approvals "
                            "WHERE id = ANY ($1::text[])" },
    [PG_COUNT_APPROVALS] = { PG_WRITER, "count_approvals",
                             "SELECT count(*) FROM stagepass.approvals "
                             "WHERE expires_s > $2::bigint AND id <> ALL ($1::text[])" },
    [PG_LOAD_BLOCKS] = { PG_WRITER, "load_blocks", "SELECT " BLOCK " FROM stagepass.blocks" },
    [PG_ADD_ENTRIES] = { PG_WRITER, "add_entries",
                         "INSERT INTO stagepass.entries (index, time_ms, entry, private) "
                         "SELECT $1::bigint + number - 1, $2::bigint, entry, private "
                         "FROM unnest($3::bytea[], $4::bytea[]) "
                         "WITH ORDINALITY AS fresh (entry, private, number)" },
    [PG_IMPORT_ENTRIES] = { PG_WRITER, "import_entries",
                            "INSERT INTO stagepass.entries (index, time_ms, entry, private) "
                            "SELECT $1::bigint + number - 1, time_ms, entry, private "
                            "FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) "
                            "WITH ORDINALITY AS fresh (time_ms, entry, private, number)" },
    [PG_PUT_MARKS] = { PG_WRITER, "put_marks",
                       "INSERT INTO stagepass.marks (" MARK ") SELECT * FROM unnest($1::bytea[], "
                       "$2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) "
                       "ON CONFLICT (key) DO UPDATE SET holder = excluded.holder, "
                       "uses = excluded.uses, expires_s = excluded.expires_s, "
                       "first_index = excluded.first_index, latest_index = excluded.latest_index" },
    [PG_REMOVE_MARKS] = { PG_WRITER, "remove_marks",
                          "DELETE FROM stagepass.marks WHERE key = ANY ($1::bytea[])" },
    /* -1: nothing was said of when it is due, which others may have moved meanwhile. */
    [PG_PUT_LEASES] = { PG_WRITER, "put_leases",
                        "INSERT INTO stagepass.leases (" LEASE ", due_s) SELECT * FROM unnest("
                        "$1::text[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], "
                        "$6::bigint[], $7::bigint[], $8::bytea[], $9::bytea[], $10::bytea[], "
                        "$11::bytea[], $12::bigint[], $13::bigint[], $14::bigint[], "
                        "$15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], "
                        "$19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[]) "
                        "ON CONFLICT (id) DO UPDATE SET (" LEASE ", due_s) = (" EXCLUDED_LEASE
                        ", CASE WHEN excluded.due_s = -1 THEN leases.due_s "
                        "ELSE excluded.due_s END)" },
    [PG_PUT_APPROVALS] = { PG_WRITER, "put_approvals",
                           "INSERT INTO stagepass.approvals (" APPROVAL ") SELECT * FROM unnest("
                           "$1::text[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bigint[], "
                           "$6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[], "
                           "$10::bigint[]) ON CONFLICT (id) DO UPDATE SET (" APPROVAL
                           ") = (" EXCLUDED_APPROVAL ")" },
    [PG_PUT_BLOCKS] = { PG_WRITER, "put_blocks",
                        "WITH kept AS (SELECT * FROM unnest($1::text[], $2::bigint[], "
                        "$3::bigint[]) AS kept (" BLOCK ")), "
                        "gone AS (DELETE FROM stagepass.blocks WHERE id <> ALL ($1::text[])), "
                        "moved AS (UPDATE stagepass.head SET blocks = $4::bigint) "
                        "INSERT INTO stagepass.blocks (" BLOCK ") SELECT " BLOCK " FROM kept "
                        "ON CONFLICT (id) DO NOTHING" },
    [PG_MOVE_HEAD] = { PG_WRITER, "move_head",
                       "UPDATE stagepass.head SET size = $1::bigint, folded = $2::bigint, "
                       "time_ms = $3::bigint" },
    [PG_PUT_BATCH] = { PG_WRITER, "put_batch",
                       "INSERT INTO stagepass.writers (id, batch, seen) "
                       "VALUES ($1::bytea, $2::bigint, now()) ON CONFLICT (id) DO UPDATE "
                       "SET batch = excluded.batch, seen = excluded.seen" },
    /*
     * A time-out that meets a COMMIT as it waits for a standby would end the wait, and the COMMIT
     * be reported as done.
     */
    [PG_WAIT_LONG] = { PG_WRITER, "wait_long", "SET LOCAL statement_timeout = 0" },
    [PG_COMMIT] = { PG_WRITER, "commit", "COMMIT" },
    [PG_ROLLBACK] = { PG_WRITER, "rollback", "ROLLBACK" },
    [PG_FIND_BATCH] = { PG_WRITER, "find_batch",
                        "SELECT batch FROM stagepass.writers WHERE id = $1::bytea" },
    [PG_LOOK_FOR_DUE] = { PG_WRITER, "look_for_due",
                          "SELECT EXISTS (SELECT FROM stagepass.marks "
                          "WHERE expires_s <= least($1::bigint, " SERVER_S ")), "
                          "EXISTS (SELECT FROM stagepass.leases "
                          "WHERE gone_s <= least($2::bigint, " SERVER_S ")), "
                          "EXISTS (SELECT FROM stagepass.approvals "
                          "WHERE expires_s <= least($3::bigint, " SERVER_S "))" },
    [PG_SWEEP_MARKS] = { PG_WRITER, "sweep_marks",
                         "WITH due AS (SELECT key FROM stagepass.marks WHERE expires_s <= "
                         "least($1::bigint, " SERVER_S ") ORDER BY expires_s LIMIT " SWEEP "), "
                         "gone AS (DELETE FROM stagepass.marks USING due "
                         "WHERE marks.key = due.key RETURNING expires_s) "
                         "UPDATE stagepass.head SET forgotten_s = greatest(forgotten_s, "
                         "(SELECT max(expires_s) FROM gone))" },
    [PG_SWEEP_LEASES] = { PG_WRITER, "sweep_leases",
                          "DELETE FROM stagepass.leases WHERE id IN (SELECT id "
                          "FROM stagepass.leases WHERE gone_s <= least($1::bigint, " SERVER_S
                          ") ORDER BY gone_s LIMIT " SWEEP ")" },
    [PG_SWEEP_APPROVALS] = { PG_WRITER, "sweep_approvals",
                             "DELETE FROM stagepass.approvals WHERE id IN (SELECT id "
                             "FROM stagepass.approvals WHERE expires_s <= "
                             "least($1::bigint, " SERVER_S ") LIMIT " SWEEP ")" },
    [PG_BEGIN_ANEW] = { PG_WRITER, "begin_anew",
                        "UPDATE stagepass.head SET anew_s = greatest(anew_s, $1::bigint)" },
    [PG_SWEEP_BATCHES] = { PG_WRITER, "sweep_batches",
                           "DELETE FROM stagepass.writers WHERE seen < now() - interval '30 "
                           "days'" },
    [PG_READ_HEAD] = { PG_WRITER | PG_READER, "read_head", "SELECT " HEAD " FROM stagepass.head" },
    [PG_READ_ENTRIES] = { PG_WRITER | PG_READER, "read_entries",
                          "SELECT index, time_ms, entry, private FROM stagepass.entries "
                          "WHERE index >= $1::bigint AND index < $2::bigint ORDER BY index" },
    [PG_LEASE_BY_ID] = { PG_LOOKUP, "lease_by_id",
                         "SELECT " LEASE " FROM stagepass.leases WHERE id = $1::text" },
    [PG_LEASE_BY_HANDLE] = { PG_LOOKUP, "lease_by_handle",
                             "SELECT " LEASE " FROM stagepass.leases WHERE handle = $1::bytea" },
    [PG_MARK] = { PG_LOOKUP, "mark", "SELECT " MARK " FROM stagepass.marks WHERE key = $1::bytea" },
    [PG_COUNT_LEASES] = { PG_LOOKUP, "count_leases",
                          "SELECT count(*) FROM stagepass.leases WHERE " IS_LIVE
                          " AND expires_s > $1::bigint" },
    [PG_LEASES_UNDER] = { PG_LOOKUP, "leases_under",
                          "SELECT * FROM (" UNDER("0", "stage_key") " UNION ALL " UNDER(
                              "1",
                              "job_"
                              "key") " UNION ALL " UNDER("2",
                                                         "run_key") " UNION ALL " UNDER("3",
                                                                                        "commit_"
                                                                                        "key") ") "
                                                                                               "AS "
                                                                                               "fou"
                                                                                               "nd "
                                                                                               "ORD"
                                                                                               "ER "
                                                                                               "BY "
                                                                                               "ope"
                                                                                               "ned"
                                                                                               "_in"
                                                                                               "dex"
                                                                                               " DE"
                                                                                               "S"
                                                                                               "C" },
    [PG_LIVE_OF_STAGE] = { PG_LOOKUP, "live_of_stage",
                           "SELECT " LEASE ", count(*) OVER () FROM stagepass.leases "
                           "WHERE stage_key = $1::bytea AND " IS_LIVE " AND expires_s > $2::bigint "
                           "ORDER BY opened_s, opened_index LIMIT $3::bigint" },
    [PG_APPROVAL_BY_ID] = { PG_LOOKUP, "approval_by_id",
                            "SELECT " APPROVAL " FROM stagepass.approvals WHERE id = $1::text" },
    [PG_APPROVAL_BY_CODE] = { PG_LOOKUP, "approval_by_code",
                              "SELECT " APPROVAL " FROM stagepass.approvals "
                              "WHERE code = $1::bytea" },
    [PG_APPROVALS_OF] = { PG_LOOKUP, "approvals_of",
                          "SELECT " APPROVAL " FROM stagepass.approvals "
                          "WHERE digest = $1::bytea AND state = 2 AND expires_s > $2::bigint "
                          "ORDER BY expires_s DESC, id LIMIT $3::bigint" },
    [PG_APPROVALS] = { PG_LOOKUP, "approvals",
                       "SELECT " APPROVAL " FROM stagepass.approvals WHERE state IN (1, 2) "
                       "AND expires_s > $1::bigint ORDER BY opened_index LIMIT $2::bigint" },
    /* Whoever changes a row just now says more of it than a heartbeat, and is not waited for. */
    [PG_HEAR] = { PG_LOOKUP, "hear",
                  "WITH heard AS (SELECT leases.id, told.at_s FROM stagepass.leases "
                  "JOIN unnest($1::text[], $2::bigint[]) AS told (id, at_s) ON told.id = leases.id "
                  "WHERE state = 2 AND heartbeat_s > 0 AND expires_s > told.at_s "
                  "ORDER BY leases.id FOR UPDATE OF leases SKIP LOCKED) "
                  "UPDATE stagepass.leases SET due_s = " DUE_AFTER(
                      "heard.at_s") " FROM heard "
                                    "WHERE leases.id = heard.id AND (leases.due_s IS NULL "
                                    "OR leases.due_s < heard.at_s + 3 * leases.heartbeat_s)" },
    [PG_CLAIM_DUE] = { PG_LOOKUP, "claim_due",
                       "WITH anew AS (SELECT anew_s FROM stagepass.head), "
                       "due AS (SELECT id AS due_id, due_s AS was_s FROM stagepass.leases "
                       "WHERE due_s <= $1::bigint AND NOT " IS_PAST_AHEAD
                       " ORDER BY due_s LIMIT $3::bigint FOR UPDATE SKIP LOCKED) "
                       "UPDATE stagepass.leases SET due_s = CASE WHEN " IS_PAST
                       " THEN NULL WHEN " IS_EARLY
                       " THEN " DUE_AFTER("anew.anew_s") " ELSE $2::bigint END "
                                                         "FROM due, anew WHERE id = due_id "
                                                         "RETURNING " LEASE ", (" IS_EARLY
                                                         " OR " IS_PAST ")::int, was_s, "
                                                         "greatest(0, $1::bigint - " SERVER_S ")" },
    [PG_PUT_OFF] = { PG_LOOKUP, "put_off",
                     "UPDATE stagepass.leases SET due_s = $2::bigint "
                     "WHERE id = $1::text AND due_s IS NOT NULL" },
    [PG_COUNT_OWED] = { PG_LOOKUP, "count_owed",
                        "SELECT ended.number + expired.number, least(ended.oldest_s, "
                        "expired.oldest_s) FROM (SELECT count(*) AS number, min(ended_s) AS "
                        "oldest_s FROM stagepass.leases WHERE debt IN (2, 3) AND ended_s > 0 "
                        "AND (debt = 2 OR expires_s > $1::bigint)) AS ended, "
                        "(SELECT count(*) AS number, min(expires_s) AS oldest_s "
                        "FROM stagepass.leases WHERE debt = 2 AND ended_s = 0 "
                        "AND expires_s <= $1::bigint) AS expired" },
    /* One statement, so that all of it is of one moment. */
    [PG_BLOCKS] = { PG_LOOKUP, "blocks",
                    "SELECT id, expires_s, index, head.blocks FROM stagepass.head "
                    "LEFT JOIN stagepass.blocks ON true ORDER BY index" },
    [PG_ERASE] = { PG_LOOKUP, "erase",
                   "UPDATE stagepass.entries SET private = ''::bytea "
                   "WHERE index = ANY ($1::bigint[]) AND private IS NOT NULL" },
    [PG_PRUNE] = { PG_LOOKUP, "prune",
                   "UPDATE stagepass.entries SET private = NULL, "
                   "entry = '\\x00'::bytea || sha256('\\x00'::bytea || entry) "
                   "WHERE index >= $1::bigint AND index < $2::bigint AND get_byte(entry, 0) <> 0" },
    [PG_OLDEST_LIVE] = { PG_LOOKUP, "oldest_live",
                         "WITH moment AS (SELECT least($1::bigint, " SERVER_S ") AS now_s) "
                         "SELECT least((SELECT min(opened_index) FROM stagepass.leases, moment "
                         "WHERE (" IS_LIVE " AND expires_s > now_s) OR debt = 2 "
                         "OR (debt = 3 AND expires_s > now_s) OR kept_until_s > now_s), "
                         "(SELECT min(opened_index) FROM stagepass.approvals, moment "
                         "WHERE expires_s > now_s), "
                         "(SELECT min(index) FROM stagepass.blocks, moment "
                         "WHERE expires_s > now_s))" },
    [PG_OFFER_CHECKPOINT] = { PG_LOOKUP, "offer_checkpoint",
                              "INSERT INTO stagepass.checkpoint (size, note) "
                              "VALUES ($1::bigint, $2::bytea) ON CONFLICT (one) DO UPDATE "
                              "SET size = excluded.size, note = excluded.note "
                              "WHERE checkpoint.size < excluded.size" },
    [PG_READ_CHECKPOINT] = { PG_LOOKUP | PG_READER, "read_checkpoint",
                             "SELECT size, note FROM stagepass.checkpoint" },
};

void pg_add_number(struct pg_values *values, int64_t number)
{
    size_t at = values->count++;

    put_u64(values->numbers[at], (uint64_t)number);
    values->values[at] = (const char *)values->numbers[at];
    values->lengths[at] = sizeof(values->numbers[at]);
}

void pg_add_bytes(struct pg_values *values, struct str bytes)
{
    size_t at = values->count++;

    values->values[at] = bytes.len == 0 ? "" : bytes.data; /* NULL would be the SQL NULL */
    values->lengths[at] = (int)bytes.len;
}

/* One dimension that starts at 1; the second word says that there may be NULLs. */
void pg_array_begin(struct buf *buf, enum pg_type type, size_t count)
{
    buf_add_u32(buf, count == 0 ? 0 : 1);
    buf_add_u32(buf, 1);
    buf_add_u32(buf, (uint32_t)type);
    if (count == 0)
        return;
    buf_add_u32(buf, (uint32_t)count);
    buf_add_u32(buf, 1);
}

void pg_array_bytes(struct buf *buf, struct str bytes)
{
    buf_add_sized(buf, bytes);
}

void pg_array_number(struct buf *buf, int64_t number)
{
    buf_add_u32(buf, sizeof(number));
    buf_add_u64(buf, (uint64_t)number);
}

void pg_array_null(struct buf *buf)
{
    buf_add_u32(buf, UINT32_MAX);
}

int64_t pg_number(const PGresult *result, int row, int column)
{
    const uint8_t *bytes = (const uint8_t *)PQgetvalue(result, row, column);
    uint64_t number = 0;

    if (PQgetisnull(result, row, column))
        return 0;
    for (int i = 0; i < PQgetlength(result, row, column); i++)
        number = number << 8 | bytes[i];
    return (int64_t)number;
}

/* Copy bytes of a fixed length; zeros where they are not there. */
static bool copy_fixed(struct str bytes, void *out, size_t len)
{
    memset(out, 0, len);
    if (bytes.len == len)
        memcpy(out, bytes.data, len);
    return bytes.len == len;
}

bool pg_read_head(const PGresult *result, struct pg_head *head)
{
    if (PQntuples(result) != 1)
        return false;
    *head = (struct pg_head){
        .size = (uint64_t)pg_number(result, 0, 0),
        .folded = (uint64_t)pg_number(result, 0, 1),
        .time_ms = pg_number(result, 0, 2),
        .forgotten_s = pg_number(result, 0, 3),
        .blocks = (uint64_t)pg_number(result, 0, 4),
    };
    return true;
}

bool pg_read_mark(const PGresult *result, int row, uint8_t key[32], struct store_mark *mark)
{
    mark->uses = (unsigned)pg_number(result, row, 2);
    mark->expires_s = pg_number(result, row, 3);
    mark->first_index = (uint64_t)pg_number(result, row, 4);
    mark->latest_index = (uint64_t)pg_number(result, row, 5);
    return copy_fixed(pg_bytes(result, row, 0), key, 32) &&
           copy_fixed(pg_bytes(result, row, 1), mark->holder, sizeof(mark->holder)) &&
           mark->uses > 0 && mark->uses <= STORE_MARK_USES_MAX;
}

/* A number that fits into 16 bits; more makes no sense. */
static bool read_u16(const PGresult *result, int row, int column, uint16_t *number)
{
    int64_t value = pg_number(result, row, column);

    *number = (uint16_t)value;
    return value >= 0 && value <= UINT16_MAX;
}

static bool read_small(const PGresult *result, int row, struct store_lease *lease)
{
    return lease->state >= LEASE_REQUESTED && lease->state <= LEASE_UNKNOWN && lease->version > 0 &&
           lease->debt >= DEBT_NONE && lease->debt <= DEBT_LAPSES &&
           lease->outcome <= OUTCOME_FAILURE && read_u16(result, row, 13, &lease->attempt) &&
           read_u16(result, row, 14, &lease->heartbeat_s) &&
           read_u16(result, row, 15, &lease->renewal);
}

bool pg_read_lease(const PGresult *result, int row, struct store_lease *lease)
{
    *lease = (struct store_lease){
        .state = (enum store_lease_state)pg_number(result, row, 2),
        .version = (uint32_t)pg_number(result, row, 3),
        .expires_s = pg_number(result, row, 4),
        .opened_index = (uint64_t)pg_number(result, row, 5),
        .latest_index = (uint64_t)pg_number(result, row, 6),
        .debt = (enum store_debt)pg_number(result, row, 11),
        .outcome = (enum store_outcome)pg_number(result, row, 12),
        .kept_until_s = pg_number(result, row, 16),
        .opened_s = pg_number(result, row, 17),
        .renewed_s = pg_number(result, row, 18),
        .ended_s = pg_number(result, row, 19),
        .credentials_index = (uint64_t)pg_number(result, row, 20),
        .has_credentials = !PQgetisnull(result, row, 20),
    };
    (void)copy_fixed(pg_bytes(result, row, 1), lease->handle, sizeof(lease->handle));
    for (int kind = 0; kind < STORE_KEY_COUNT; kind++)
        (void)copy_fixed(pg_bytes(result, row, 7 + kind), lease->keys[kind], STORE_KEY_LEN);
    return id_is_valid(pg_bytes(result, row, 0)) &&
           copy_fixed(pg_bytes(result, row, 0), lease->id, ID_LEN) &&
           read_small(result, row, lease);
}

bool pg_read_approval(const PGresult *result, int row, struct store_approval *approval)
{
    struct str people = pg_bytes(result, row, 8);

    *approval = (struct store_approval){
        .state = (enum store_approval_state)pg_number(result, row, 3),
        .version = (uint32_t)pg_number(result, row, 4),
        .expires_s = pg_number(result, row, 5),
        .opened_index = (uint64_t)pg_number(result, row, 6),
        .latest_index = (uint64_t)pg_number(result, row, 7),
        .person_count = (uint8_t)(people.len / STORE_PERSON_LEN),
        .is_break_glass = pg_number(result, row, 9) != 0,
    };
    (void)copy_fixed(pg_bytes(result, row, 1), approval->code_sha256, 32);
    (void)copy_fixed(pg_bytes(result, row, 2), approval->digest, 32);
    if (people.len > sizeof(approval->people) || people.len % STORE_PERSON_LEN != 0)
        return false;
    if (people.len > 0)
        memcpy(approval->people, people.data, people.len);
    return copy_fixed(pg_bytes(result, row, 0), approval->id, ID_LEN) &&
           approval->state >= APPROVAL_PENDING && approval->state <= APPROVAL_USED &&
           approval->version > 0;
}

bool pg_read_block(const PGresult *result, int row, struct store_block *block)
{
    *block = (struct store_block){
        .expires_s = pg_number(result, row, 1),
        .index = (uint64_t)pg_number(result, row, 2),
    };
    return copy_fixed(pg_bytes(result, row, 0), block->id, ID_LEN) && block->expires_s > 0;
}
