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
#include "base/macros.h"
#include "base/network.h"
#include "base/str.h"
#include "base/yaml.h"
#include "policy/glob.h"
#include "policy/policy.h"

struct error;

/* Limits of the language, each with a test at it and one past it. */
#define POLICY_PIPELINE_NAME_MAX 80
#define POLICY_NAME_MAX 40 /* stages, grants, tenants, environments */
#define POLICY_OWNER_MAX 256
#define POLICY_SET_NAME_MAX 80
#define POLICY_SET_VALUES_MAX 10000
#define POLICY_VALUES_MAX 1000 /* of a list that means "one of" */
#define POLICY_VALUE_MAX 2048  /* bytes: as long as a claim can be */
#define POLICY_STAGES_MAX 100  /* of a pipeline */
#define POLICY_TESTS_MAX 1000  /* of a file */
#define POLICY_ISSUERS_MAX 16  /* of an identity */
#define POLICY_HOLE_MAX 64     /* bytes of a value that fills one */

#define POLICY_NAME_SET "abcdefghijklmnopqrstuvwxyz0123456789-"

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

/** A name and what its value must be: all of the tests. */
struct policy_condition {
    struct str name; /* as written */
    enum policy_source source;
    enum policy_type type;
    bool may_be_array;
    const char *key;     /* CLAIM, CI: the member's name; POINTER: of its row, NULL: it has none */
    bool may_be_indexed; /* the name is that of one row */
    bool is_address;     /* ACTOR: a person's, which says nothing unless it is verified */
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

struct policy_stage_rule {
    struct policy_stage shown;
    const struct policy_pipeline *pipeline;
    struct policy_clause when;
    struct policy_clause unless;
    unsigned proofs;       /* enum policy_proof bits: one of them must be there; 0: none */
    const bool *has_holes; /* a grant each */
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
    struct str claims_file; /* or: */
    const json_t *claims;
    const struct policy_issuer *issuer;
    const struct address *address; /* NULL: unknown */
    const json_t *actor;           /* as struct policy_facts has it; NULL: nobody */
    unsigned proofs;
    struct str stage; /* as written; may be empty */
    bool is_allow;
    bool has_because;
    const struct str *because; /* sorted */
    size_t because_count;
    bool has_grants;
    const struct str *grants; /* sorted */
    size_t grant_count;
    int64_t ttl_s; /* 0: not asked */
    int64_t at_s;
};

struct policy_pipeline {
    struct str name;
    struct str file; /* for messages, and where tests look for claims */
    struct position at;
    struct str tenant;
    struct str owner;
    int64_t review_by_s; /* 0: none */
    struct policy_clause identity;
    const struct policy_identity_map *identity_maps; /* one for each of identity's maps */
    struct policy_clause when;
    struct policy_clause unless;
    struct policy_stage_rule *stages;
    size_t stage_count;
    const struct policy_test_row *tests;
    size_t test_count;
};

/* ---- units ---- */

/** What a file is: the word of its top that says so. */
enum policy_document {
    POLICY_DOCUMENT_BAD,
    POLICY_DOCUMENT_PIPELINE,
    POLICY_DOCUMENT_SETS,
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

/** A definition that a unit was compiled with; `unit` is the one it stands in: one reference. */
struct policy_use {
    enum policy_document document; /* what kind of definition */
    struct str name;
    uint8_t sha256[SHA256_LEN]; /* of the definition */
    struct policy_unit *unit;
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
    enum policy_document document;
    struct diagnostics warnings; /* what there was to say; it has no errors */

    const struct policy_pipeline *pipeline; /* POLICY_DOCUMENT_PIPELINE */
    struct policy_use *uses;
    size_t use_count;

    struct policy_set *sets; /* POLICY_DOCUMENT_SETS */
    size_t set_count;
};

struct policy_unit *policy_unit_ref(struct policy_unit *unit);
void policy_unit_unref(struct policy_unit *unit);

OWNED_POINTER(policy_unit_unref, struct policy_unit)

/** What other files are compiled with. Threads: immutable once all of it is gathered */
struct policy_definitions {
    const struct policy_set **sets; /* sorted by name */
    size_t set_count;
};

/** The set of a name, or NULL. */
const struct policy_set *policy_set_find(const struct policy_definitions *definitions,
                                         struct str name);

/* ---- a policy ---- */

/** A pipeline as part of one policy: what depends on other files stands here, not in its unit. */
struct policy_linked {
    const struct policy_pipeline *pipeline;
};

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
    struct policy_index index;
    uint8_t sha256[SHA256_LEN];
};

/**
 * Make a policy of its units: all that depends on more than one file. Mistakes go to `diagnostics`,
 * and then the policy is not to be used.
 *
 * Errors: ERROR_MEMORY
 */
bool policy_link(struct policy *policy, struct diagnostics *diagnostics, struct error *error)
    MUST_USE;

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
 * Errors: ERROR_IO (the folder itself), ERROR_MEMORY
 * Source: security-rules.md 5.2
 */
bool policy_files_list(const char *folder, struct arena *arena, struct diagnostics *diagnostics,
                       struct policy_files *files, struct error *error) MUST_USE;

/** Read one; what is wrong with it goes to `diagnostics` and makes it false. */
bool policy_file_read(const struct policy_files *files, const struct policy_file *file,
                      struct arena *arena, struct diagnostics *diagnostics, struct str *text)
    MUST_USE;

/* ---- compiling ---- */

/** A file to compile. */
struct policy_compilation {
    const struct policy_world *world;
    const struct policy_definitions *definitions; /* NULL: the file is one, and uses none */
    struct str path;
    struct str text;
    struct diagnostics *diagnostics; /* of this file */
};

/**
 * Parse and compile a file. Mistakes are reported.
 *
 * `*unit` is NULL where it is not good. Where `definitions` is NULL only a definition is compiled,
 * and only then what was reported counts. False without memory.
 */
bool policy_compile(const struct policy_compilation *compilation, bool *is_definition,
                    struct policy_unit **unit) MUST_USE;

/** Whether a text may be of a definition: false is certain, true a guess. */
bool policy_may_define(struct str text);

/** Whether it is a definition. */
bool policy_document_defines(enum policy_document document);

/** Whether a unit would come out the same with these definitions. */
bool policy_unit_is_fresh(const struct policy_unit *unit,
                          const struct policy_definitions *definitions);

/** What compiling a file works with. Threads: confined. */
struct policy_loader {
    const struct policy_world *world;
    const struct policy_definitions *definitions; /* of all files */
    struct policy_unit *unit;                     /* the one at hand */
    struct arena *arena;                          /* the unit's */
    struct yaml_reader reader; /* of its document; what it reports and the arrays that it gives
                                  are in the file's scratch memory */
    json_t *used_sets;         /* by the unit: name to list */
    bool is_out_of_memory;
};

/** Remember that the unit at hand was compiled with a definition of another one. */
void policy_loader_use(struct policy_loader *loader, const struct policy_use *use);

/** Zeroed memory of the unit; NULL marks the loader as out of memory. */
void *policy_loader_alloc(struct policy_loader *loader, size_t count, size_t size) MUST_USE;

/** A copy in the unit's memory. */
struct str policy_loader_copy(struct policy_loader *loader, struct str text);

/** Keep a JSON value as long as the unit; NULL (and marked) without memory. */
const json_t *policy_loader_keep(struct policy_loader *loader, const json_t *value);

/** Where words of the language may stand. */
enum policy_place {
    POLICY_PLACE_DOCUMENT,
    POLICY_PLACE_PIPELINE,
    POLICY_PLACE_STAGE,
    POLICY_PLACE_GRANT,
    POLICY_PLACE_TEST,
};

/**
 * The value must be a map of words that may stand at `place`; others are reported, and so are words
 * that this version does not implement: they are refused, never ignored. False where it is no map.
 */
bool policy_words_check(const struct policy_loader *loader, enum policy_place place,
                        const json_t *map);

/** Report the words of a map that this version does not implement; whether there were any. */
bool policy_words_refuse(const struct policy_loader *loader, enum policy_place place,
                         const json_t *map);

/** What conditions are read for. */
struct policy_scope {
    const struct policy_issuer *const *issuers;
    size_t issuer_count;
};

/**
 * Read `when` or `unless` of a map; not written gives an empty clause. Mistakes are reported.
 */
void policy_clause_read(struct policy_loader *loader, const json_t *map, const char *key,
                        const struct policy_scope *scope, struct policy_clause *clause);

/** Read `identity`: also fills the pipeline's issuers and checks that an id is fixed. */
void policy_identity_read(struct policy_loader *loader, const json_t *map,
                          struct policy_pipeline *pipeline, struct policy_scope *scope);

/** Read one map of conditions; `issuer` is skipped where `is_identity`. */
bool policy_map_read(struct policy_loader *loader, const json_t *json,
                     const struct policy_scope *scope, bool is_identity, struct policy_map *map);

/** Read one condition. Mistakes are reported. */
bool policy_condition_read(struct policy_loader *loader, const json_t *map, const char *name,
                           const struct policy_scope *scope, struct policy_condition *condition);

/** The issuer that an actor's token can be of: one of runs, or people's provider; NULL: none. */
const struct policy_issuer *policy_actor_issuer(const struct policy_world *world, struct str name);

/** Whether a condition's name is one of `actor.*`. */
bool policy_actor_is_name(struct str name);

/**
 * Read the name of a condition on who acts for the job: `actor.issuer`, or a claim of the issuers
 * that stand beside it in `map`. `*type` is the claim's. Mistakes are reported.
 */
bool policy_actor_read(struct policy_loader *loader, const json_t *map, const char *name,
                       struct policy_condition *condition, enum claim_type *type);

/** The row of a claim that every issuer of the scope has, or NULL; `ci.*` facts too. */
const struct claim *policy_claim_find(const struct policy_world *world,
                                      const struct policy_scope *scope, struct str name);

/** Read a scalar, or a list of them, as sorted values of a type. Mistakes are reported. */
bool policy_values_read(struct policy_loader *loader, const json_t *json, enum policy_type type,
                        struct policy_values *values);

/** Read the values of a set as a type. Mistakes are reported at `use`. */
bool policy_values_of_set(struct policy_loader *loader, const json_t *use, enum policy_type type,
                          struct policy_values *values);

/** Read a `sets` document into the unit at hand. */
void policy_sets_read(struct policy_loader *loader, const json_t *root);

/**
 * Gather the sets of all units (NULL: the file's is none), and report names that are there twice.
 * False without memory.
 */
bool policy_sets_gather(struct policy_unit *const *units, size_t count, struct arena *arena,
                        struct diagnostics *diagnostics, struct policy_definitions *definitions)
    MUST_USE;

/** Whether a name has 1 to `max` bytes, all of them in `set`. */
bool policy_is_name(struct str text, const char *set, size_t max);

/** Read a pipeline document. Mistakes are reported. */
void policy_pipeline_read(struct policy_loader *loader, const json_t *root,
                          struct policy_pipeline *pipeline);

/** Read `proof`: enum policy_proof bits; 0 where it is not written or wrong. */
unsigned policy_proofs_read(const struct policy_loader *loader, const json_t *map);

/** Read the stages of a pipeline. */
void policy_stages_read(struct policy_loader *loader, const json_t *map,
                        const struct policy_scope *scope, struct policy_pipeline *pipeline);

/** Read the grants of a stage. */
void policy_grants_read(struct policy_loader *loader, const json_t *map,
                        struct policy_stage_rule *stage);

/** Read `tests`. */
void policy_tests_read(struct policy_loader *loader, const json_t *map,
                       const struct policy_scope *scope, struct policy_pipeline *pipeline);

/* ---- evaluating ---- */

/** Names of conditions that did not hold, each once. */
struct policy_failures {
    struct str names[POLICY_FAILED_MAX];
    size_t count;
};

void policy_failures_add(struct policy_failures *failures, struct str name);

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

/**
 * Whether each of the token's dangers is named: by an exact value of its claim or of its fact, in a
 * map that holds of `identity` or a `when`. The names of those that are not are added.
 */
bool policy_dangers_are_named(const struct policy_stage_rule *stage,
                              const struct policy_facts *facts, struct policy_failures *failures);

/** The first of a clause's maps that holds, or NULL. */
const struct policy_map *policy_clause_held(const struct policy_clause *clause,
                                            const struct policy_facts *facts);

/** The first map of a pipeline's identity that fits, or NULL. */
const struct policy_map *policy_identity_held(const struct policy_pipeline *pipeline,
                                              const struct policy_facts *facts);

/** The value of a condition's claim, NULL where it is absent or cannot be known. */
const json_t *policy_condition_value(const struct policy_condition *condition,
                                     const struct policy_facts *facts);

/* ---- holes ---- */

/**
 * Check the holes of a grant's fields against what the stage's conditions remember, and that they
 * stand where they may. `*has_holes` says whether there are any.
 */
void policy_holes_check(struct policy_loader *loader, const struct policy_stage_rule *stage,
                        const struct policy_grant_kind *kind, const json_t *fields,
                        bool *has_holes);

/** Report names that a stage's conditions remember twice. */
void policy_captures_check(struct policy_loader *loader, const json_t *at,
                           const struct policy_stage_rule *stage);

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
