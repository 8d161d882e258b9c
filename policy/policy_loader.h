#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "policy/policy_internal.h"

/* From files to compiled units. */

/** A file to compile. */
struct policy_compilation {
    const struct policy_world *world;
    const struct policy_definitions *definitions; /* NULL: the file is one, and uses none */
    struct str path;
    struct str text;
    struct diagnostics *diagnostics; /* of this file */
    struct slab *slab;               /* where the unit is made; NULL: by itself */
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

struct policy_memory;

/** What compiling a file works with. Threads: confined. */
struct policy_loader {
    const struct policy_world *world;
    const struct policy_definitions *definitions; /* of all files */
    struct policy_unit *unit;                     /* the one at hand */
    struct arena *arena;                          /* the unit's */
    struct yaml_reader reader; /* of its document; what it reports and the arrays that it gives
                                  are in the file's scratch memory */
    json_t *used_sets;         /* by the unit: name to list */
    json_t *expanded;          /* stages of the pipeline that use templates: name to all words */
    json_t *filled;            /* a list of what was made for them */
    size_t expansion_len;      /* what counts for POLICY_EXPANSION_MAX */
    struct yaml_document *overlay; /* the reader's, from the first template on that it uses */
    const struct policy_template *expanding; /* what the stage at hand uses; NULL: none */
    struct policy_memory *memories; /* what conditions of the stage at hand remember, sorted */
    size_t memory_count;
    size_t memory_capacity;
    bool is_incomplete; /* something is missing, for a reason that is reported elsewhere */
    bool is_out_of_memory;
};

/** Remember that the unit at hand was compiled with a definition of another one. */
void policy_loader_use(struct policy_loader *loader, const struct policy_use *use);

/**
 * Room for `count` names of which the nearest to one that is not there is told. NULL: it is not
 * told, since nobody would see it, there are too many, or there is no memory.
 */
struct str *policy_loader_names(const struct policy_loader *loader, size_t count);

/**
 * Report a name that no definition has, with the nearest of `count` names; not where the definition
 * may stand in a file that is not good. `what` is a word such as "set". False.
 */
bool policy_loader_miss(struct policy_loader *loader, const json_t *use, const char *what,
                        const struct str *names, size_t count);

/** Zeroed memory of the unit; NULL marks the loader as out of memory. */
void *policy_loader_alloc(struct policy_loader *loader, size_t count, size_t size) MUST_USE;

/** A copy in the unit's memory. */
struct str policy_loader_copy(struct policy_loader *loader, struct str text);

/** Keep a JSON value as long as the unit; NULL (and marked) without memory. */
const json_t *policy_loader_keep(struct policy_loader *loader, const json_t *value);

/** The same; where grants of other files say the same, what they say is kept instead. */
const json_t *policy_loader_share(struct policy_loader *loader, const json_t *value);

/** A zone that the unit holds, by its name; NULL: there is none, which is reported at `at`. */
const struct time_zone *policy_loader_zone(struct policy_loader *loader, const json_t *at,
                                           struct str name);

/** Where words of the language may stand. */
enum policy_place {
    POLICY_PLACE_DOCUMENT,
    POLICY_PLACE_TEMPLATE,
    POLICY_PLACE_PIPELINE,
    POLICY_PLACE_STAGE,
    POLICY_PLACE_AFTER,
    POLICY_PLACE_APPROVAL,
    POLICY_PLACE_LIMITS,
    POLICY_PLACE_LEASE,
    POLICY_PLACE_GRANT,
    POLICY_PLACE_TEST,
    POLICY_PLACE_GUARDRAILS,
    POLICY_PLACE_LIVES, /* of the `ttl` that is no list */
    POLICY_PLACE_TTL,
    POLICY_PLACE_FORBID,
    POLICY_PLACE_FORBIDDEN_KIND, /* stands in `forbid`, beside its words */
    POLICY_PLACE_SEPARATE,
    POLICY_PLACE_REQUIRE,
    POLICY_PLACE_REQUIRED_LIMITS,
    POLICY_PLACE_REQUIRED_APPROVAL,
    POLICY_PLACE_REQUIRED_REVIEW,
    POLICY_PLACE_REQUIRED_LEASE,
    POLICY_PLACE_FREEZE,
    POLICY_PLACE_EXCEPTION,
    POLICY_PLACE_REACH, /* `for`, and `from` of `separate` */
    POLICY_PLACE_EXCEPT,
};

/**
 * The value must be a map of words that may stand at `place`; others are reported: they are
 * refused, never ignored. False where it is no map.
 */
bool policy_words_check(const struct policy_loader *loader, enum policy_place place,
                        const json_t *map);

/** The words of a place, one by one; NULL past the last. */
const char *policy_words_at(enum policy_place place, size_t index);

/** Whether a word may stand at a place. */
bool policy_words_has(enum policy_place place, const char *name);

/** Where the key of a map's member stands. */
struct policy_spot policy_spot_of(const struct policy_loader *loader, const json_t *map,
                                  const char *key);

/** A kind that grants may have in this world; NULL: there is none of the name. */
const struct policy_grant_kind *policy_kind_find(const struct policy_world *world,
                                                 const char *name);

/** What conditions are read for. */
struct policy_scope {
    const struct policy_issuer *const *issuers;
    size_t issuer_count;
    bool is_of_facts; /* for the tokens of any issuer: it has no claims */
};

/**
 * Read `when` or `unless` of a map; not written gives an empty clause. Mistakes are reported.
 */
void policy_clause_read(struct policy_loader *loader, const json_t *map, const char *key,
                        const struct policy_scope *scope, struct policy_clause *clause);

/** Read `identity`: also fills the pipeline's issuers and checks that an id is fixed. */
void policy_identity_read(struct policy_loader *loader, const json_t *map,
                          struct policy_pipeline *pipeline, struct policy_scope *scope);

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

/** Read a network, or a list of them. Mistakes are reported. */
bool policy_networks_read(struct policy_loader *loader, const json_t *json,
                          struct policy_networks *networks);

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

/** Read a `template` document into the unit at hand, which keeps its YAML document. */
void policy_template_read(struct policy_loader *loader, const json_t *root);

/**
 * Gather the templates of all units (NULL: the file's is none), and report names that are there
 * twice. False without memory.
 */
bool policy_templates_gather(struct policy_unit *const *units, size_t count, struct arena *arena,
                             struct diagnostics *diagnostics,
                             struct policy_definitions *definitions) MUST_USE;

/** Warn of templates that no unit uses. False without memory. */
bool policy_templates_check_use(const struct policy_definitions *definitions,
                                struct policy_unit *const *units, size_t count,
                                struct diagnostics *diagnostics) MUST_USE;

/** Whether a template (NULL: none) has a parameter. */
bool policy_template_has(const struct policy_template *template, struct str parameter);

/** The parameter that a hole is for; false where it is for something else. */
bool policy_parameter_of(struct str hole, struct str *name);

/** "did you mean ...?": the nearest parameter, or empty. */
struct str policy_parameter_hint(const struct policy_loader *loader,
                                 const struct policy_template *template, struct str name);

/** A stage as it is read. */
struct policy_expansion {
    /* Its words, a template's too; a clause that both have is not to be read here. NULL: there is
     * nothing to read. */
    const json_t *all;
    const json_t *own;      /* as written, where it uses a template; else NULL */
    const json_t *template; /* its part, filled; NULL where it uses none */
};

/**
 * Put a stage together from what is written and the template that it uses. Mistakes are reported,
 * and make it false. From then on the reader knows the places of all of it; `loader->expanding` is
 * the template, until policy_expansion_end().
 *
 * Owns: what it gives lives as long as the loader
 */
bool policy_stage_expand(struct policy_loader *loader, const json_t *stages, const char *name,
                         struct policy_expansion *expansion) MUST_USE;

/** The stage that was put together last has been read. */
void policy_expansion_end(struct policy_loader *loader);

/**
 * Read `when` or `unless` of a stage. Where its template has one too both count: `when` joined by
 * "and", `unless` as alternatives. Mistakes are reported.
 */
void policy_stage_clause_read(struct policy_loader *loader,
                              const struct policy_expansion *expansion, const char *key,
                              const struct policy_scope *scope, struct policy_clause *clause);

/** Whether a name has 1 to `max` bytes, all of them in `set`. */
bool policy_is_name(struct str text, const char *set, size_t max);

/** "did you mean ...?": the name that a text is nearly, in lower case; empty where it is none. */
struct str policy_name_hint(const struct policy_loader *loader, struct str text, const char *set,
                            size_t max);

/** Read a pipeline document. Mistakes are reported. */
void policy_pipeline_read(struct policy_loader *loader, const json_t *root,
                          struct policy_pipeline *pipeline);

/** Read `proof`: enum policy_proof bits; 0 where it is not written or wrong. */
unsigned policy_proofs_read(const struct policy_loader *loader, const json_t *map);

/** Read `during` of a stage. Mistakes are reported. */
void policy_during_read(struct policy_loader *loader, const json_t *map,
                        struct policy_stage_rule *stage);

/** Read `from` of a map. Mistakes are reported. */
void policy_from_read(struct policy_loader *loader, const json_t *map,
                      struct policy_networks *networks);

/** Read `until` of a stage or a grant. Mistakes are reported. */
void policy_until_read(const struct policy_loader *loader, const json_t *map, int64_t *until_s);

/** Read `instance` of a stage whose conditions are read. Mistakes are reported. */
void policy_instance_read(struct policy_loader *loader, const json_t *map,
                          struct policy_stage_rule *stage);

/**
 * Read `after`, `approval`, `limits` and `lease` of a stage whose grants are read; `stages` are all
 * of the pipeline. Mistakes are reported.
 */
void policy_obligations_read(struct policy_loader *loader, const json_t *stages, const json_t *map,
                             struct policy_stage_rule *stage);

/**
 * See to what the stages of a pipeline say of each other: which instance each `after` means, and
 * how long leases must be remembered. Stages that wait for each other are reported, and those that
 * cannot tell which instance they wait for.
 */
void policy_after_check(struct policy_loader *loader, const json_t *stages,
                        struct policy_pipeline *pipeline);

/** Read the grants of a stage. */
void policy_grants_read(struct policy_loader *loader, const json_t *map,
                        struct policy_stage_rule *stage);

/** Read `tests`. */
void policy_tests_read(struct policy_loader *loader, const json_t *map,
                       const struct policy_scope *scope, struct policy_pipeline *pipeline);

/** Read a map of claims as a token of the issuer would have them. Mistakes are reported. */
const json_t *policy_test_claims_of(struct policy_loader *loader,
                                    const struct policy_issuer *issuer, const json_t *map);

/** Read `claims`, `base` and `without` of a row, whose issuer is known. Mistakes are reported. */
void policy_test_claims_read(struct policy_loader *loader, const json_t *json,
                             struct policy_test_row *row);

/**
 * Read a time, or a date: its start in UTC. False where it is absent or was reported.
 */
bool policy_time_read(const struct policy_loader *loader, const json_t *map, const char *key,
                      int64_t *time_s);

/**
 * Check the holes of a grant's fields against what the stage's conditions remember, and that they
 * stand where they may. `*has_holes` says whether there are any.
 */
void policy_holes_check(struct policy_loader *loader, const struct policy_stage_rule *stage,
                        const struct policy_grant_kind *kind, const json_t *fields,
                        bool *has_holes);

/** The same of one text that stands under a word of the stage; whether it has holes. */
bool policy_hole_text_check(struct policy_loader *loader, const struct policy_stage_rule *stage,
                            const char *word, const json_t *text);

/**
 * Whether a stage's conditions remember, whichever of their maps holds, all that the holes of a
 * text ask for; else `*missing` is the first that they do not. The text is a good one.
 */
bool policy_holes_remembered(struct policy_loader *loader, const struct policy_stage_rule *stage,
                             struct str text, struct str *missing) MUST_USE;

/**
 * Report a name that a stage's conditions remember twice. What they remember is kept for the checks
 * of the stage's holes, which come after.
 */
void policy_captures_check(struct policy_loader *loader, const json_t *at,
                           const struct policy_stage_rule *stage);
