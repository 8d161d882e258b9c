#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/claim.h"
#include "base/diagnostic.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/str.h"
#include "base/time_zone.h"
#include "base/yaml.h"
#include "policy/glob.h"
#include "policy/policy.h"

struct buf;
struct error;
struct pattern;
struct policy_exception;
struct policy_guardrail;
struct policy_rails;

/* Limits of the language, each with a test at it and one past it. */
#define POLICY_PIPELINE_NAME_MAX 80
#define POLICY_NAME_MAX 40 /* stages, grants, tenants, environments */
#define POLICY_OWNER_MAX 256
#define POLICY_SET_NAME_MAX 80
#define POLICY_SET_VALUES_MAX 10000
#define POLICY_VALUES_MAX 1000    /* of a list that means "one of" */
#define POLICY_VALUE_MAX 2048     /* bytes: as long as a claim can be */
#define POLICY_STAGES_MAX 256     /* of a pipeline */
#define POLICY_CONDITIONS_MAX 128 /* of a map: more than any profile has claims */
#define POLICY_TESTS_MAX 1000     /* of a file */
#define POLICY_ISSUERS_MAX 16     /* of an identity */
#define POLICY_HOLE_MAX 64        /* bytes of a value that fills one */
#define POLICY_PARAMETERS_MAX 32
#define POLICY_PARAMETER_MAX 256 /* bytes of a value that fills one */
/* Bytes of the templates that a pipeline's stages use, each time anew, and of the texts filled. */
#define POLICY_EXPANSION_MAX ((size_t)4 * 1024 * 1024)
#define POLICY_WINDOWS_MAX 16    /* of `during` */
#define POLICY_INSTANCE_MAX 80   /* bytes, as written */
#define POLICY_ZONES_MAX 1024    /* of a load; more are read, but not kept for the next file */
#define POLICY_APPROVALS_MAX 10  /* people that can be asked for */
#define POLICY_LIMIT_MAX 1000000 /* leases that a limit can count */
#define POLICY_TTL_MAX_S ((int64_t)365 * 86400) /* kinds have their own */

#define POLICY_NAME_SET "abcdefghijklmnopqrstuvwxyz0123456789-"
#define POLICY_PARAMETER_SET "abcdefghijklmnopqrstuvwxyz0123456789_"

/* ---- compiled conditions ---- */

/** Where the value of a condition comes from. */
enum policy_source {
    POLICY_SOURCE_CLAIM,
    POLICY_SOURCE_POINTER, /* RFC 6901, into the claims */
    POLICY_SOURCE_CI,
    POLICY_SOURCE_ADDRESS,
    POLICY_SOURCE_ACTOR,        /* claims of who acts for the job */
    POLICY_SOURCE_ACTOR_ISSUER, /* their issuer's name */
};

/** What a condition's value must be for its operators to read it. */
enum policy_type {
    POLICY_ANY, /* a pointer whose operators do not say */
    POLICY_TEXT,
    POLICY_INTEGER,
    POLICY_BOOLEAN,
    POLICY_ADDRESS,
};

enum policy_operation {
    POLICY_ONE_OF,
    POLICY_LIKE,
    POLICY_EXISTS,
    POLICY_ABSENT,
    POLICY_BEFORE, /* strictly earlier */
    POLICY_AFTER,  /* then or later */
    POLICY_WITHIN,
};

/** Values of one type, sorted. */
struct policy_values {
    const struct str *texts;
    const int64_t *integers; /* booleans are 0 and 1 */
    size_t count;
    const struct str *set; /* the name of the set that they are of; NULL: they are written out */
};

/** One operator with its operand, typed at load. */
struct policy_test {
    enum policy_operation operation;
    bool is_negated; /* stands under `not` */
    union {
        struct policy_values values; /* ONE_OF */
        const struct glob *glob;     /* LIKE */
        int64_t time_s;              /* BEFORE, AFTER */
        struct {
            const struct network *list;
            size_t count;
        } networks; /* WITHIN */
    };
};

/** Where a word stands: in the file that all of its pipeline does, or in the stage's template. */
struct policy_spot {
    uint32_t line;
    uint16_t column; /* one that is larger is cut to UINT16_MAX */
    bool is_of_template;
};

/** A name and what its value must be: all of the tests. */
struct policy_condition {
    struct str name; /* as written */
    struct policy_spot spot;
    enum policy_source source;
    enum policy_type type;
    bool may_be_array;
    bool may_be_indexed; /* the name is that of one row */
    bool is_address;     /* ACTOR: a person's, which says nothing unless it is verified */
    const char *key;     /* CLAIM, CI: the member's name; POINTER: of its row, NULL: it has none */
    const char *const *path; /* POINTER: its parts, ended by NULL */
    const struct policy_test *tests;
    size_t test_count;
};

/** Conditions that must all hold. */
struct policy_map {
    const struct policy_condition *conditions;
    size_t count;
};

/** Maps of which one must hold. Without any the clause is not written. */
struct policy_clause {
    const struct policy_map *maps;
    size_t count;
};

/* ---- compiled pipelines ---- */

struct policy_pipeline;

/** A part of each week, by the clocks of a zone. */
struct policy_window {
    uint8_t weekdays;     /* bit 0 is Monday */
    uint16_t from_minute; /* of the day, 0 to 1439 */
    uint16_t to_minute;   /* exclusive, 1 to 1440; not above `from_minute`: of the day after */
    const struct time_zone *zone; /* the unit holds a reference */
};

/** Networks of which one must hold the request's address. */
struct policy_networks {
    const struct network *list;
    size_t count; /* 0: not asked */
};

/** Words of a stage that can deny, and are no conditions. */
enum policy_stage_word {
    POLICY_WORD_PROOF,
    POLICY_WORD_FROM,
    POLICY_WORD_DURING,
    POLICY_WORD_UNTIL,
    POLICY_STAGE_WORDS, /* how many there are */
};

struct policy_stage_rule {
    struct policy_stage shown;
    const struct policy_pipeline *pipeline;
    struct policy_spot spot;            /* its name in the pipeline's file */
    const struct position *template_at; /* of the template that it uses; NULL: none */
    struct policy_clause when;
    struct policy_clause unless;
    unsigned proofs; /* enum policy_proof bits: one of them must be there; 0: none */
    struct policy_networks from;
    const struct policy_window *during; /* in one of these; */
    size_t during_count;                /* 0: at any time */
    bool instance_has_holes;
    const bool *has_holes;                        /* a grant each */
    const struct policy_spot *spots;              /* a grant each: of its name */
    struct policy_spot words[POLICY_STAGE_WORDS]; /* of those that it has */
};

/** What one map of an identity is found by. */
struct policy_identity_map {
    const struct policy_issuer *const *issuers;
    size_t issuer_count;
};

/** A row of `tests:`, checked. */
struct policy_test_row {
    struct str name;
    struct position at;
    struct str claims_file;    /* as `claims` or as `base`; empty: it has none */
    const json_t *claims;      /* all of them, or those that differ from the file's; may be NULL */
    const struct str *without; /* names of the file's that are left out */
    size_t without_count;
    const struct policy_issuer *issuer;
    const struct address *address; /* NULL: unknown */
    const json_t *actor;           /* as struct policy_facts has it; NULL: nobody */
    unsigned proofs;
    struct str stage; /* as written; may be empty */
    bool is_allow;
    bool has_because;
    const struct str *because; /* sorted */
    size_t because_count;
    struct position because_at;
    const struct str *strangers; /* of `because`: names of guardrails, or of their conditions */
    size_t stranger_count;
    bool has_grants;
    const struct str *grants; /* sorted */
    size_t grant_count;
    int64_t ttl_s; /* 0: not asked */
    int64_t at_s;  /* POLICY_NO_TIME: not said */
};

/**
 * By what a decision finds a stage, and where most of the stage's conditions and grants lie, so
 * that they can be fetched at once.
 */
struct policy_stage_key {
    const void *rule;
    uint32_t rule_size; /* bytes */
    uint32_t name_hash; /* policy_name_hash() */
};

struct policy_pipeline {
    struct policy_clause identity;
    const struct policy_identity_map *identity_maps; /* one for each of identity's maps */
    struct policy_clause when;
    struct policy_clause unless;
    struct policy_stage_rule *stages;
    const struct policy_stage_key *keys; /* a stage each */
    size_t stage_count;
    struct str name;
    struct str file; /* for messages, and where tests look for claims */
    struct position at;
    struct str tenant;
    struct str owner;
    int64_t review_by_s;                 /* 0: none */
    uint8_t document_sha256[SHA256_LEN]; /* of its expanded document, and the sets that it uses */
    const struct policy_test_row *tests;
    size_t test_count;
};

/** A name's hash: where two differ so do the names, and most names have one of their own. */
uint32_t policy_name_hash(struct str name);

#define POLICY_CACHE_LINE 64
#define POLICY_FETCH_MAX ((size_t)2048)
#define POLICY_IDENTITY_BYTES ((size_t)768) /* of most: a pipeline, and its identity behind it */

/**
 * Fetch memory that is read next, since most pipelines have not been read for long. Of what is
 * large only the beginning is fetched.
 */
static inline void policy_fetch(const void *start, size_t size)
{
    size_t before = (uintptr_t)start % POLICY_CACHE_LINE;
    size_t end = before + (size < POLICY_FETCH_MAX ? size : POLICY_FETCH_MAX);

    for (size_t at = 0; at < end; at += POLICY_CACHE_LINE)
        __builtin_prefetch((const char *)start - before + at);
}

/** The same of what finds out whether a pipeline's identity fits, and which stage is meant. */
static inline void policy_fetch_identity(const struct policy_pipeline *pipeline)
{
    policy_fetch(pipeline, POLICY_IDENTITY_BYTES);
}

/* ---- sharing ---- */

#define POLICY_SHARED_MAX 4096
#define POLICY_SEEN_MAX 16384

/** Values that grants of a load have alike. Threads: shared, without a lock */
struct policy_sharing {
    _Atomic(json_t *) slots[POLICY_SHARED_MAX]; /* one reference each */
    _Atomic(uint64_t) seen[POLICY_SEEN_MAX];    /* hashes of what came once */
};

void policy_sharing_release(struct policy_sharing *sharing);

/* ---- units ---- */

/** What a file is: the word of its top that says so. */
enum policy_document {
    POLICY_DOCUMENT_BAD,
    POLICY_DOCUMENT_PIPELINE,
    POLICY_DOCUMENT_SETS,
    POLICY_DOCUMENT_TEMPLATE,
    POLICY_DOCUMENT_GUARDRAILS,
};

struct policy_unit;

/** A named list of values. */
struct policy_set {
    struct str name;
    struct position at;
    const json_t *list;          /* as written, for the rule's hash */
    struct policy_values values; /* as texts */
    uint8_t sha256[SHA256_LEN];  /* of the list */
    struct policy_unit *unit;    /* that it stands in */
};

/** A stage that others are made of; texts of `stage` hold `${param.NAME}`. */
struct policy_template {
    struct str name;
    struct position at;
    const struct str *parameters; /* sorted */
    size_t parameter_count;
    const json_t *stage;                  /* as written */
    const struct yaml_document *document; /* of the unit, for the places of `stage` */
    uint8_t sha256[SHA256_LEN];           /* of the file's name and bytes: places are of it, too */
    struct policy_unit *unit;             /* that it stands in */
};

/** A definition that a unit was compiled with; one reference to the unit it stands in. */
struct policy_use {
    struct policy_unit *unit;
    const struct policy_set *set; /* of that unit; NULL: its template */
};

/**
 * A compiled file. Whatever depends on other files than those in `uses` is no part of it: policies
 * that were loaded one after the other share it.
 *
 * Threads: immutable once compiled; reference-counted
 */
struct policy_unit {
    atomic_size_t reference_count;
    struct arena *arena; /* all below */
    struct str path;
    uint8_t sha256[SHA256_LEN]; /* of the file's bytes */
    size_t size;                /* how many they are */
    enum policy_document document;
    struct diagnostics warnings; /* what there was to say; it has no errors */

    const struct policy_pipeline *pipeline; /* POLICY_DOCUMENT_PIPELINE */
    struct policy_use *uses;
    size_t use_count;
    const struct time_zone **zones; /* that its windows are of, each once; one reference each */
    size_t zone_count;

    struct policy_set *sets; /* POLICY_DOCUMENT_SETS */
    size_t set_count;

    const struct policy_template *template; /* POLICY_DOCUMENT_TEMPLATE */
    struct yaml_document *yaml;             /* its places are of; NULL: not kept */

    const struct policy_guardrail *guardrails; /* POLICY_DOCUMENT_GUARDRAILS */
    size_t guardrail_count;
    const struct policy_exception *exceptions;
    size_t exception_count;
};

struct policy_unit *policy_unit_ref(struct policy_unit *unit);
void policy_unit_unref(struct policy_unit *unit);

OWNED_POINTER(policy_unit_unref, struct policy_unit)

/** Time zones that a load has read, for all of its files. Threads: shared, without a lock */
struct policy_zones {
    const char *folder; /* of the database */
    _Atomic(struct time_zone *) slots[POLICY_ZONES_MAX];
};

/**
 * A zone by its name; it is read where that was not done before. `*zone` is a reference.
 *
 * Errors: those of time_zone_load()
 */
bool policy_zones_find(struct policy_zones *zones, struct str name, struct time_zone **zone,
                       struct error *error) MUST_USE;

/** Whether the zones of a unit are still what the database has. */
bool policy_zones_are_fresh(struct policy_zones *zones, const struct policy_unit *unit);

void policy_zones_release(struct policy_zones *zones);

/** What other files are compiled with. Threads: immutable once all of it is gathered */
struct policy_definitions {
    struct policy_zones *zones;     /* shared */
    struct policy_sharing *sharing; /* shared; NULL: every file keeps what it says by itself */
    const struct policy_set **sets; /* sorted by name */
    size_t set_count;
    const struct policy_template **templates; /* sorted by name */
    size_t template_count;
    /* A file that is not good may be a definition: what is not here is not reported as missing. */
    bool are_incomplete;
};

/** The set of a name, or NULL. */
const struct policy_set *policy_set_find(const struct policy_definitions *definitions,
                                         struct str name);

/** The template of a name, or NULL. */
const struct policy_template *policy_template_find(const struct policy_definitions *definitions,
                                                   struct str name);

/* ---- a policy ---- */

/** A pipeline as part of one policy: what depends on other files stands here, not in its unit. */
struct policy_linked {
    const struct policy_pipeline *pipeline;
    const struct policy_rails **rails; /* a stage each, NULL: none; NULL: no guardrail binds any */
    uint8_t rule_sha256[SHA256_LEN];   /* see struct policy_decision */
    bool forbids_nothing; /* nothing that it gives is forbidden, without any exception */
};

/** The pipeline of a stage within a policy. */
const struct policy_linked *policy_linked_of(const struct policy *policy,
                                             const struct policy_stage *stage);

/** The rule of a stage that is shown: it is its first member. */
const struct policy_stage_rule *policy_rule_of(const struct policy_stage *stage);

/* ---- the index ---- */

/** Where the index finds the pipelines of a value: see policy_index.c. */
struct policy_index {
    struct policy_index_issuer *issuers; /* sorted by name */
    size_t issuer_count;
    struct policy_index_slot *slots;
    size_t capacity; /* a power of two, at least twice the slots in use */
    const uint32_t *pipelines;
};

/** Build it over all pipelines. Errors: ERROR_MEMORY */
bool policy_index_build(struct policy *policy, struct error *error) MUST_USE;

/**
 * The pipelines whose identity may fit, in their order, each once: indexes into
 * `policy->pipelines`.
 *
 * Errors: ERROR_MEMORY
 * Owns:   `*found` lives in `arena`
 */
bool policy_index_find(const struct policy *policy, const struct policy_facts *facts,
                       struct arena *arena, const uint32_t **found, size_t *count,
                       struct error *error) MUST_USE;

struct policy {
    atomic_size_t reference_count;
    struct arena *arena; /* all below but the units */
    const struct policy_world *world;
    struct policy_unit **units; /* one a file, in the order of the files; one reference each */
    size_t unit_count;
    size_t parsed_count; /* of the units, those that were not taken over */
    struct policy_linked *pipelines;
    size_t pipeline_count;
    size_t stage_count;
    const struct policy_linked **by_name; /* of `pipelines`, sorted by name */
    size_t *first_stages;                 /* a pipeline each: how many stages are before it */
    const struct policy_guardrail *const *guardrails; /* of all units */
    size_t guardrail_count;
    const struct policy_exception *exceptions;
    size_t exception_count;
    struct policy_index index;
    uint8_t sha256[SHA256_LEN];
    size_t folder_len; /* of the units' paths: the folder and a slash */
    struct policy_provenance provenance;
};

/**
 * Make a policy of its units: all that depends on more than one file. Mistakes go to the options'
 * diagnostics, and then the policy is not to be used.
 *
 * Errors: ERROR_MEMORY
 */
bool policy_link(struct policy *policy, const struct policy_load_options *options,
                 struct error *error) MUST_USE;

/** A pipeline by its name, or NULL. */
const struct policy_linked *policy_linked_find(const struct policy *policy, struct str name);

/**
 * The line of a file of a policy, read again; empty where the file is no more what was compiled.
 *
 * Owns: it lives in `arena`
 */
struct str policy_source_line(const struct policy *policy, struct position at, struct arena *arena);

/** Report about a file of a policy, with its line: what diagnostics_add() returns. */
bool policy_say(const struct policy *policy, struct diagnostics *diagnostics,
                enum diagnostic_severity severity, struct position at, struct str hint,
                const char *format, ...) PRINTF_LIKE(6, 7);

/** Point what was reported last to another place, with its line. */
void policy_relate(const struct policy *policy, struct diagnostics *diagnostics, struct position at,
                   struct str note);

/** Names of conditions that did not hold, each once. */
struct policy_failures {
    struct str names[POLICY_FAILED_MAX];
    size_t count;
    size_t freeze_count; /* of them, those of freezes */
};

/* ---- files ---- */

struct policy_file {
    struct str name;  /* relative to the folder */
    const char *path; /* to show and to open */
};

struct policy_files {
    const char *root;         /* the folder, resolved */
    struct policy_file *list; /* sorted by name */
    size_t count;
    size_t capacity;
};

/**
 * Find the policy files of a folder. Mistakes go to `diagnostics`.
 *
 * Errors: ERROR_CONFIG (there is no such folder), ERROR_IO (it cannot be read), ERROR_MEMORY
 * Source: security-rules.md 5.2
 */
bool policy_files_list(const char *folder, struct arena *arena, struct diagnostics *diagnostics,
                       struct policy_files *files, struct error *error) MUST_USE;

/** Read one; what is wrong with it goes to `diagnostics` and makes it false. */
bool policy_file_read(const struct policy_files *files, const struct policy_file *file,
                      struct arena *arena, struct diagnostics *diagnostics, struct str *text)
    MUST_USE;

/**
 * Read the folder's SOURCE, if there is one. What is wrong with it goes to `diagnostics`, and then
 * `out` is empty. False without memory.
 *
 * Owns: `out` lives in `arena`
 */
bool policy_provenance_read(const char *folder, const struct policy_files *files,
                            struct arena *arena, struct diagnostics *diagnostics,
                            struct policy_provenance *out) MUST_USE;

/* ---- running tests ---- */

/**
 * The claims of a row: written out, or a file's with changes.
 *
 * Errors: ERROR_MEMORY; all else is the row's failure, and the cause says why
 * Owns:   `*claims` lives in `arena`, or in the policy
 */
bool policy_test_claims_find(const struct policy_pipeline *pipeline,
                             const struct policy_test_row *row, const char *claims_folder,
                             struct arena *arena, const json_t **claims, struct error *error)
    MUST_USE;

struct explain_job;

/** List what tests of a pipeline can look at; all-zero before. False without memory. */
bool policy_coverage_start(const struct policy *policy, const struct policy_linked *linked,
                           struct arena *arena, struct policy_coverage *coverage) MUST_USE;

/** Mark what one test has looked at, which passed with this decision. False without memory. */
bool policy_coverage_mark(struct policy_coverage *coverage, const struct explain_job *job,
                          const struct policy_linked *linked,
                          const struct policy_decision *decision, enum error_code code) MUST_USE;

/** Count what is covered, at the end. */
void policy_coverage_count(struct policy_coverage *coverage);

/* ---- evaluating ---- */

/**
 * What evaluating a condition comes to. UNKNOWN is what the issuer cannot say (a fact that is
 * null), an address that is not known, and a claim of another type than its profile says: nobody
 * knows what the issuer means then. Where conditions grant (`identity`, `when`) it does not hold;
 * where they refuse (`unless`) it does. It never becomes anything else under `not`.
 */
enum policy_outcome {
    POLICY_FAILS,
    POLICY_HOLDS,
    POLICY_UNKNOWN,
};

static inline enum policy_outcome policy_outcome_both(enum policy_outcome a, enum policy_outcome b)
{
    if (a == POLICY_FAILS || b == POLICY_FAILS)
        return POLICY_FAILS;
    return a == POLICY_HOLDS && b == POLICY_HOLDS ? POLICY_HOLDS : POLICY_UNKNOWN;
}

/** Whether there is a value for a condition to look at. */
enum policy_presence {
    POLICY_MISSING,
    POLICY_PRESENT,
    POLICY_CANNOT_SAY,
};

/**
 * Look up what a condition is about. `*value` is what stands there, of whatever type; NULL where
 * there is nothing, and for an address.
 */
enum policy_presence policy_condition_look(const struct policy_condition *condition,
                                           const struct policy_facts *facts, const json_t **value);

/** Whether what a condition looks at is not known any more; then it is noted as asked for. */
bool policy_unknown_hides(const struct policy_condition *condition,
                          const struct policy_facts *facts);

/** The same of a claim or fact that the index looks up, and of the token's dangers. */
void policy_unknown_look_up(enum policy_source source, const char *key,
                            const struct policy_facts *facts);
void policy_unknown_dangers(const struct policy_facts *facts);

/** Evaluate one condition. */
enum policy_outcome policy_condition_try(const struct policy_condition *condition,
                                         const struct policy_facts *facts);

/** Add a name; nothing happens where `failures` is NULL: nobody asks. */
void policy_failures_add(struct policy_failures *failures, struct str name);

/** The same, of a freeze. Guardrails' names are theirs alone. */
void policy_failures_add_freeze(struct policy_failures *failures, struct str name);

/** Whether a clause that must hold does; what did not is added to `failures` (may be NULL). */
bool policy_when_holds(const struct policy_clause *clause, const struct policy_facts *facts,
                       struct policy_failures *failures);

/**
 * Whether a clause that must not hold does; its conditions' names are added then.
 *
 * What cannot be known counts as held.
 */
bool policy_unless_holds(const struct policy_clause *clause, const struct policy_facts *facts,
                         struct policy_failures *failures);

/** Whether a condition names a danger: by an exact value of its claim or of its fact. */
bool policy_condition_names(const struct policy_condition *condition,
                            const struct claim_danger *danger);

/**
 * Whether each of the token's dangers is named: by an exact value of its claim or of its fact, in a
 * map that holds of `identity` or a `when`. The names of those that are not are added.
 */
bool policy_dangers_are_named(const struct policy_stage_rule *stage,
                              const struct policy_facts *facts, struct policy_failures *failures);

/** Whether an address is in one of the networks, or there are none; one that is not known is not.
 */
bool policy_networks_hold(const struct policy_networks *networks, const struct address *address);

/** The same of a request's; one that is not known any more is noted as asked for. */
bool policy_from_holds(const struct policy_networks *networks, const struct policy_facts *facts);

/** Whether what ends at `until_s` (0: never) is over. */
bool policy_is_over(int64_t until_s, int64_t now_s);

/** Whether a time is within a window: by what the clocks of its zone show then. */
bool policy_window_holds(const struct policy_window *window, int64_t time_s);

/** Whether a time is within one of the windows of a stage, or it has none; POLICY_NO_TIME is. */
bool policy_during_holds(const struct policy_stage_rule *stage, int64_t time_s);

/** Write a window as the language has it: "Mon..Fri 08:00-18:00 Europe/Berlin". */
void policy_window_describe(const struct policy_window *window, struct buf *out);

/**
 * Whether all that a stage asks for holds at `now_s`, in the pipeline as `linked` has it: what did
 * not is added to `failures` (may be NULL).
 */
bool policy_stage_holds(const struct policy_linked *linked, const struct policy_stage_rule *stage,
                        const struct policy_facts *facts, int64_t now_s,
                        struct policy_failures *failures);

/** The same of what began in time: all but `during`. */
bool policy_stage_holds_still(const struct policy_linked *linked,
                              const struct policy_stage_rule *stage,
                              const struct policy_facts *facts, int64_t now_s,
                              struct policy_failures *failures);

/** The first of a clause's maps that holds, or NULL. */
const struct policy_map *policy_clause_held(const struct policy_clause *clause,
                                            const struct policy_facts *facts);

/** The first map of a pipeline's identity that fits, or NULL. */
const struct policy_map *policy_identity_held(const struct policy_pipeline *pipeline,
                                              const struct policy_facts *facts);

/** Whether an issuer is one of an identity's map. */
bool policy_identity_is_of(const struct policy_identity_map *map, struct str issuer);

/** The place of a stage's name. */
struct position policy_stage_position(const struct policy_stage_rule *stage);

/** A spot as a place, of whatever stands in a file or, where it says so, in its stage's template.
 */
struct position policy_spot_position(struct policy_spot spot, struct str file,
                                     const struct policy_stage_rule *stage);

/**
 * Say in the language's words what a condition asks for: "refs/heads/main", "one of push,
 * schedule", "like refs/tags/v* and not like refs/tags/v*-rc*", "in deploy-workflows", "absent". At
 * most `values_max` values of a list are written, then how many there are.
 *
 * A value that is not plain to read is in quotes, escaped as in JSON.
 */
void policy_condition_describe(const struct policy_condition *condition, size_t values_max,
                               struct buf *out);

/** "within 10.0.0.0/8, 2001:db8::/32" */
void policy_networks_describe(const struct network *list, size_t count, size_t max,
                              struct buf *out);

/** Write one value as policy_condition_describe() does. */
void policy_value_describe(struct str value, struct buf *out);

/** The value of a condition's claim, NULL where it is absent or cannot be known. */
const json_t *policy_condition_value(const struct policy_condition *condition,
                                     const struct policy_facts *facts);

/* ---- holes ---- */

/** A piece of text with holes: literal, and then a hole unless it is the last. */
struct policy_piece {
    struct str literal;
    struct str name; /* what stands between "${" and "}" */
    bool is_last;
};

/** Take the first piece of `text`; false where a hole does not end. */
bool policy_piece_take(struct str *text, struct policy_piece *piece) MUST_USE;

/** What filling holes works with. */
struct policy_filling {
    const struct policy_stage_rule *stage;
    const struct policy_facts *facts; /* for which the stage holds */
    struct arena *arena;
    struct str failed; /* the condition whose value was looked at last */
};

/**
 * Fill the holes of a grant's fields.
 *
 * Errors: ERROR_CONDITION (a value that may not stand in a hole: `failed` is its condition's name),
 *         ERROR_MEMORY
 */
bool policy_holes_fill(struct policy_filling *filling, const json_t *fields, const json_t **filled,
                       struct error *error) MUST_USE;

/** The same of one text. */
bool policy_hole_text_fill(struct policy_filling *filling, struct str text, struct str *filled,
                           struct error *error) MUST_USE;
