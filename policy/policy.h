#pragma once

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

struct error;

#define POLICY_FILES_MAX 100000
#define POLICY_FILE_NAME_MAX 1024 /* of a file, from the policy folder on */
#define POLICY_STAGE_GRANTS_MAX 16
#define POLICY_ALTERNATIVES_MAX 16 /* maps in a list of maps */
#define POLICY_AFTER_MAX 8         /* stages that one waits for */
#define POLICY_BINDINGS_MAX 8      /* that an approval can ask for */

/* What the world looks like to a policy: given by whoever loads it. */

/** An issuer that policies may name. */
struct policy_issuer {
    struct str name;
    struct claim_table claims;
    /** Fill `ci` from claims, for policy tests. NULL: there every fact is one it cannot say. */
    bool (*fill_ci)(const json_t *claims, json_t *ci);
    const struct claim_dangers *dangers; /* for policy tests; NULL: none are known */
    const struct claim_copies *copies;   /* facts that are a claim as it stands; NULL: none */
    const struct claim_words *words; /* facts that follow from one claim alone, and are null where
                                        it says nothing of them; NULL: none */
    const struct claim_lints *lints; /* what to warn of in conditions; NULL: nothing */
    bool tells_who_started;          /* who started a run can be compared with a person */
};

/** A target that grants may name. */
struct policy_target {
    struct str name;
    struct str type;        /* the grant kind it serves */
    struct str environment; /* empty where it has none */
    const struct str *tenants;
    size_t tenant_count;  /* 0: every tenant */
    const void *settings; /* for the kind's check */
};

/** A grant as its kind's check sees it. */
struct policy_grant_view {
    struct str name;
    const json_t *fields;               /* what stands under the kind */
    const struct policy_target *target; /* NULL where the kind takes none */
    int64_t ttl_s;
};

/** How a kind reads `*` and `?` in the names that its grants give. */
enum policy_matching {
    POLICY_MATCHING_GLOB,          /* the language's own: glob.h; but `**` is any text */
    POLICY_MATCHING_GLOB_ANY_CASE, /* the same, and ASCII case does not count */
    POLICY_MATCHING_AWS, /* `*` is any text, `?` any character, ASCII case does not count */
};

/**
 * What a grant gives, as patterns in its kind's own matching. The lists live in the arena of the
 * reader. A text may hold `${name}`, which stands for [A-Za-z0-9._-]{1,64}.
 */
struct policy_given {
    bool is_everything; /* it cannot say: counts as every name */
    struct str *names;  /* what can be forbidden: "s3:PutObject", "kube-system/deployer", "root" */
    size_t name_count;
    /* As whom: a role's ARN, a service account; and the account it is in. What `separate` with
     * `principals` and `who-can --account` look at. */
    struct str *principals;
    size_t principal_count;
    struct str account; /* empty: the kind has none */
};

/** How a credential of a kind can be ended before its time. */
enum policy_revocation {
    POLICY_REVOKED_BY_EXPIRY, /* not at all: it lives as long as it was made for */
    POLICY_REVOKED_BY_LIST,   /* it stands in a list; who does not look there takes it until then */
    POLICY_REVOKED_BY_NAME,   /* what it is used by is denied at the target */
    POLICY_REVOKED_NOW,
};

/** A kind of grant: what a target's file tells the policy language. */
struct policy_grant_kind {
    const char *name;
    const char *const *fields; /* keys that may stand under it, ended by NULL */
    bool has_target;           /* `target` is mandatory; else it is refused */
    int64_t ttl_min_s;         /* the floor; a shorter `ttl` is an error with the number */
    int64_t ttl_max_s;
    /**
     * Check the fields; report through the reader. The keys, `target` and `ttl` are good by then;
     * texts of `fields_with_holes` may still hold `${name}`, which a decision fills with
     * [A-Za-z0-9._-]{1,64}.
     */
    void (*check)(const struct yaml_reader *reader, const struct policy_grant_view *grant);
    /** Fields (names, ended by NULL; NULL: none) whose text may hold `${name}`. */
    const char *const *fields_with_holes;
    /** How names of `gives` and of guardrails are compared. */
    enum policy_matching matching;
    /**
     * Say what a grant whose fields are good gives; `given` is all-zero before. NULL: such a grant
     * counts as everything. False without memory.
     */
    bool (*gives)(const struct policy_grant_view *grant, struct arena *arena,
                  struct policy_given *given);
    enum policy_revocation revocation;
    /**
     * Where a grant's fields, as they stand in the policy, or its target's settings (NULL: it has
     * none) decide it; NULL: `revocation` is it.
     */
    enum policy_revocation (*revocation_of)(const json_t *fields, const void *settings);
    /** What else must be known of the end of a grant with such fields; NULL: nothing. */
    const char *(*ending_note)(const json_t *fields);
    /* For comparing two grants; each is a list of names, ended by NULL. NULL: none. */
    const char *const *fields_told;     /* of which names and principals of `gives` say all */
    const char *const *lists_that_give; /* members, at any depth of the fields, whose lists give
                                           more the more they hold, and are never empty */
};

/** How what such a grant gives can be ended before its time. */
static inline enum policy_revocation policy_revocation_of(const struct policy_grant_kind *kind,
                                                          const json_t *fields,
                                                          const void *settings)
{
    return kind->revocation_of ? kind->revocation_of(fields, settings) : kind->revocation;
}

struct policy_world {
    const struct policy_issuer *issuers;
    size_t issuer_count;
    const struct policy_issuer *people; /* whose tokens may only be an actor's; NULL: none */
    const struct claim_table *ci_facts;
    const struct policy_target *targets;
    size_t target_count;
    const struct policy_grant_kind *const *kinds;
    size_t kind_count;
    int64_t default_ttl_s;
    /** No broker stands behind this world, which so says nothing of who people are. */
    bool is_catalog;
};

/* A loaded policy: immutable, reference-counted. */

enum policy_stage_kind {
    POLICY_BUILD,
    POLICY_TEST,
    POLICY_RELEASE,
    POLICY_DEPLOY,
    POLICY_MAINTENANCE,
    POLICY_AGENT,
};

const char *policy_stage_kind_name(enum policy_stage_kind kind);

struct policy_grant {
    struct str name;
    const struct policy_grant_kind *kind;
    const struct policy_target *target; /* NULL where the kind takes none */
    const json_t *fields;
    int64_t ttl_s;
    int64_t until_s; /* it is refused from then on; 0: never */
};

/* What a stage asks for besides conditions: a decision gives it on as obligations. */

/** Another stage of the pipeline, whose latest lease must have gone well. */
struct policy_after {
    struct str stage;    /* its short name */
    struct str instance; /* of that stage, as written there; in a decision with its holes filled
                            by what the one that waits remembers; empty: there is one only */
    bool instance_has_holes;
    bool is_of_commit;     /* of the same commit; else of this run, at this attempt or before */
    bool issued_is_enough; /* else it was released with success */
    int64_t within_s;      /* how long ago that lease may have been opened; never 0 */
};

/** `within` of an `after` in the same run, where none is written. */
#define POLICY_AFTER_WITHIN_S ((int64_t)7 * 24 * 3600)

/** For so long leases count as a job's: no job runs longer. */
#define POLICY_PER_JOB_S ((int64_t)5 * 24 * 3600)

#define POLICY_PER_HOUR_S ((int64_t)3600)

enum policy_full {
    POLICY_FULL_REFUSE,
    POLICY_FULL_WAIT,
    POLICY_FULL_REPLACE, /* the oldest lease ends */
};

/** How many leases; 0: as many as there are. Counted for each instance of the stage. */
struct policy_limits {
    int64_t per_job;
    int64_t concurrent;
    int64_t per_hour;
    enum policy_full full;
};

struct policy_approval {
    struct str by;          /* a group of people */
    int64_t count;          /* different people, at least 1 */
    int64_t within_s;       /* how long one that was given serves */
    int64_t wait_s;         /* how long a request waits */
    const struct str *bind; /* bindings that a request must name; part of what is approved */
    size_t bind_count;
    bool self_is_unchecked; /* `self_approval: unchecked` */
};

struct policy_lease {
    int64_t max_s;       /* renewals included; 0: the ttl of its grants */
    int64_t heartbeat_s; /* 0: none asked for */
};

struct policy_obligations {
    const struct policy_after *after;
    size_t after_count;
    struct policy_limits limits;
    const struct policy_approval *approval; /* NULL: none is needed */
    struct policy_lease lease;
    /* How long after it was opened a lease must be remembered, if it lives or not: for `limits`,
     * and for the stages that are `after` this one. 0: nothing asks for it. */
    int64_t kept_s;
};

#define POLICY_OBLIGATIONS_MAX 4

/**
 * The words by which something is asked for, "after", "approval", "lease", "limits", in this order;
 * how many there are. None: grants may be given as they were decided.
 */
size_t policy_obligations_name(const struct policy_obligations *obligations,
                               struct str names[POLICY_OBLIGATIONS_MAX]);

struct policy_stage {
    struct str id;   /* "acme/payments:deploy-prod" */
    struct str name; /* "deploy-prod" */
    struct str pipeline;
    struct str tenant;
    struct str owner;
    struct str environment;
    enum policy_stage_kind kind;
    const struct policy_grant *grants;
    size_t grant_count;
    struct policy_obligations obligations;
    struct str instance; /* as written, may hold `${name}`; empty: there is one only */
    int64_t review_by_s; /* 0: none */
    int64_t until_s;     /* it is closed from then on; 0: never */
};

/** A stage that a guardrail does not bind for a time. */
struct policy_exception {
    struct str guardrail; /* its name */
    struct str pipeline;
    struct str stage; /* short name */
    int64_t until_s;
    struct str why;
    struct position at;
};

struct policy;

/** What a policy is loaded from and with. Plain: all-zero but for the first three is good. */
struct policy_load_options {
    const char *folder;
    const struct policy_world *world;
    struct diagnostics *diagnostics;
    const char *zone_folder; /* of compiled time zones; NULL: the system's */
    int64_t now_s; /* what may not lie too far ahead, or is over, is told by it; 0: not checked */
    /**
     * A policy of the same folder, loaded with this very world (another one's is not looked at):
     * files whose bytes, sets and templates are the same are taken over from it. NULL: none.
     */
    const struct policy *previous;
    /**
     * Runs `job(jobs, 0)` to `job(jobs, count - 1)`, each once, on any threads and in any order,
     * and comes back when all are done. NULL: one after the other.
     */
    void (*run_jobs)(size_t count, void (*job)(void *jobs, size_t index), void *jobs,
                     void *context);
    void *run_jobs_context;
    /** Told how many of the files are done, from the thread that loads. NULL: nobody asks. */
    void (*progress)(size_t done, size_t total, void *context);
    void *progress_context;
};

/**
 * Load and compile every *.yaml of a folder and its sub-folders.
 *
 * All mistakes of all files go to `options->diagnostics`, in the order of the files, with position
 * and the nearest name; any error, and a folder without a pipeline, makes it false. Files: regular,
 * symlinks only to inside the folder, neither they nor their folders writable by others (unless the
 * mount is read-only), <= 1 MiB. Names that start with '.' are passed over. A file SOURCE of the
 * folder is read too. Words that the language does not have are errors.
 *
 * Errors:  ERROR_CONFIG (see diagnostics), ERROR_IO, ERROR_MEMORY
 * Owns:    `*policy` has one reference; borrows the world and all it points at. It shares what it
 *          takes over with `previous`, each as long as either lives
 * Threads: any; only what `run_jobs` makes
 */
bool policy_load(const struct policy_load_options *options, struct policy **policy,
                 struct error *error) MUST_USE;
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);

OWNED_POINTER(policy_unref, struct policy)

/** SHA-256 over all files' names and bytes, sorted by name. */
const uint8_t *policy_sha256(const struct policy *policy);
size_t policy_pipeline_count(const struct policy *policy);
size_t policy_stage_count(const struct policy *policy);

/** How many files were read anew for it; all others were taken over. */
size_t policy_parsed_count(const struct policy *policy);

/** A file of a policy, as it was read. */
struct policy_text {
    struct str name; /* relative to the folder */
    struct str path; /* NUL-terminated besides */
    const uint8_t *sha256;
};

/** Its files, sorted by name; `index` below policy_text_count(). */
size_t policy_text_count(const struct policy *policy);
struct policy_text policy_text_at(const struct policy *policy, size_t index);

/** Where a policy comes from: a file SOURCE of its folder says so. It is not part of its hash. */
struct policy_provenance {
    struct str repository; /* empty: there is no such file */
    struct str commit;
};

const struct policy_provenance *policy_provenance(const struct policy *policy);

/** Put it as `source` into an object, where there is one. */
bool policy_put_provenance(const struct policy *policy, json_t *object) MUST_USE;

/** The stages, in the order of files and of lines; `index` below policy_stage_count(). Constant. */
const struct policy_stage *policy_stage_at(const struct policy *policy, size_t index);

/** A stage by its full name, or NULL. */
const struct policy_stage *policy_stage_find(const struct policy *policy, struct str id);

/** The hash of what decides over a stage, as in `struct policy_decision`. */
const uint8_t *policy_stage_rule(const struct policy *policy, const struct policy_stage *stage);

/** Whether what a stage gives, or its instance, has holes that only a request fills. */
bool policy_stage_has_holes(const struct policy_stage *stage);

/** What its guardrails except, those that are over too. */
const struct policy_exception *policy_exceptions(const struct policy *policy, size_t *count);

/* Deciding. */

/** Keys that the sender of a request has proven to hold: bits. */
enum policy_proof {
    POLICY_PROOF_DPOP = 1 << 0, /* a DPoP proof came along */
    POLICY_PROOF_MTLS = 1 << 1, /* a client certificate did */
    POLICY_PROOF_KEY = 1 << 2,  /* the token itself names the key of that DPoP proof */
};

/** The bit of a proof's name in policy files, 0 where there is none such. */
unsigned policy_proof_find(struct str name);

/** The name of one of the bits. */
const char *policy_proof_name(enum policy_proof proof);

/**
 * What nobody knows any more of a request that was recorded. A decision that looks at any of it
 * says so in `asked`, and is not to be trusted then; every other one is as it would be with all
 * known.
 */
struct policy_unknown {
    const json_t *claims; /* names of claims, an object's members; "*": all that are not there */
    const json_t *ci;     /* names of facts, without "ci." */
    bool address;
    bool actor;       /* claims of the actor that are not there */
    bool dangers;     /* which of them hold */
    struct str asked; /* what was looked at first: "actor", "ci.event"; empty: nothing */
};

/** What is known of a request, all verified. */
struct policy_facts {
    struct str issuer;
    const json_t *claims;
    const json_t *ci; /* null members: the issuer cannot say; NULL: it cannot say any */
    const struct claim_danger *const *dangers; /* that hold for the token */
    size_t danger_count;
    const struct address *address; /* of the request; NULL: unknown */
    unsigned proofs;               /* enum policy_proof bits */
    const json_t *actor; /* {"issuer": NAME, "claims": {}}: who acts for the job; NULL: nobody */
    bool passes_freezes; /* an operator broke the glass: freezes do not deny */
    struct policy_unknown *unknown; /* NULL: all is known */
};

/**
 * Fill in what follows from an issuer's claims: the issuer's name, the claims, their facts and
 * dangers. For tests and explanations: nobody verified these.
 *
 * Errors: ERROR_MEMORY
 * Owns:   what it makes lives in `arena`
 */
bool policy_facts_read(const struct policy_issuer *issuer, const json_t *claims,
                       struct arena *arena, struct policy_facts *facts, struct error *error)
    MUST_USE;

struct policy_request {
    struct str stage;         /* short or full; empty: the only one that fits */
    const struct str *grants; /* names; count 0: all */
    size_t grant_count;
    struct str audience; /* of a jwt grant: then only this grant; empty: none */
    int64_t ttl_s;       /* only ever shortens, down to the kind's floor; 0: not asked */
    bool is_renewal;     /* what began in time may go on: `during` is not looked at */
};

/** One grant as decided: holes filled, life bounded. */
struct policy_granted {
    const struct policy_grant *grant;
    const json_t *fields; /* with holes filled */
    int64_t ttl_s;
};

#define POLICY_FAILED_MAX 32

struct policy_decision {
    const struct policy_stage *stage; /* decided on; or the one that was named or came nearest */
    const uint8_t *rule_sha256; /* SHA256_LEN: of the pipeline's expanded document, its sets, and
                                   the guardrails that bind it; there where `stage` is */
    struct policy_granted grants[POLICY_STAGE_GRANTS_MAX];
    size_t grant_count;
    /* What must hold besides, and whoever acts on the decision must see to: of the stage. */
    struct policy_obligations obligations;
    struct str instance;                  /* its holes filled; empty: there is one only */
    struct str failed[POLICY_FAILED_MAX]; /* names of the conditions that did not hold, sorted, once
                                             each */
    size_t failed_count;
    bool is_frozen; /* all that failed are freezes: with `passes_freezes` the stage would hold */
    struct str warned[POLICY_FAILED_MAX]; /* guardrails with `mode: warn` that would have denied */
    size_t warned_count;
};

/** No time: at it nothing has ended and no window is shut. For tests that are not about times. */
#define POLICY_NO_TIME INT64_MIN

/**
 * Decide what a job may get at `now_s`. Everything not written is denied.
 *
 * Where it fails with ERROR_CONDITION `decision` has the stage and the failed conditions' names (a
 * claim's name as written; those of `unless` too; that of a value which may not fill a hole; that
 * of a danger which no exact condition of the stage names; "proof" where the stage demands one and
 * none of these came; "from", "during", "until"; the name of a guardrail that denies).
 * Where a stage was named that no fitting pipeline has, the only name is "stage", and
 * `decision->stage` is there for its pipeline and owner only. With ERROR_SCOPE and ERROR_TARGET too
 * `decision` has the stage. It never has grants after a failure.
 *
 * Errors: ERROR_NO_PIPELINE (fits no pipeline's `identity`, or a pipeline was named that does not
 *         fit: tell nothing), ERROR_CONDITION, ERROR_STAGE (several fit: never a guess),
 * ERROR_SCOPE (a grant that the stage does not have), ERROR_TARGET (not exactly one grant has the
 * audience), ERROR_MEMORY Owns:   `decision` borrows from `policy` and `facts`, and lives in
 * `arena` Threads: any; pure: no clock, no I/O
 */
bool policy_decide(const struct policy *policy, const struct policy_facts *facts,
                   const struct policy_request *request, int64_t now_s, struct arena *arena,
                   struct policy_decision *decision, struct error *error) MUST_USE;

/* Testing. */

struct explanation; /* policy/explain.h */

struct policy_test_options {
    const char *claims_folder; /* where files of claims are, if not beside the policy; NULL: none */
    struct str filter;         /* only rows with this in their name, stage, pipeline or file */
    bool wants_coverage;
    int64_t (*clock_ns)(void); /* measures rows; NULL: nobody asks how long they take */
    /** As in struct policy_load_options. NULL: one pipeline after the other. */
    void (*run_jobs)(size_t count, void (*job)(void *jobs, size_t index), void *jobs,
                     void *context);
    void *run_jobs_context;
};

/** What a row expects, or what came. */
struct policy_test_outcome {
    bool is_allow;
    const struct str *names; /* sorted: grants, or why it is denied */
    size_t name_count;
    bool has_names; /* else it says nothing of them */
    int64_t ttl_s;  /* of each grant; 0: not said, or not the same for all */
};

/** One row of a `tests:` list, as it came out. */
struct policy_test_result {
    struct str name;
    struct position at;
    struct str pipeline;
    struct str stage; /* as it names it; empty: none */
    bool has_passed;
    bool is_broken;    /* there was nothing to decide: its claims cannot be had */
    struct str detail; /* what was expected and what came, in a line; empty where it passed */
    struct policy_test_outcome expected;
    struct policy_test_outcome got;
    int64_t duration_ns;                   /* of deciding and comparing; 0 without a clock */
    const struct explanation *explanation; /* how that came about; NULL where it passed, or broke */
};

/** A condition, a word like `proof`, or a grant, and whether tests look at it. */
struct policy_covered {
    struct position at;
    struct str stage;   /* its short name; empty: of the whole pipeline */
    const char *clause; /* "when", "identity", ...; "grant" */
    struct str name;
    bool is_word;     /* the name says it all: "proof" */
    bool has_allowed; /* it let a job through that was allowed; the grant was given to one */
    bool has_denied;  /* a denial was because of it, among others; never of a grant */
};

/** Of a pipeline; a line of a template that several stages use counts once. */
struct policy_coverage {
    struct str pipeline;
    struct str file;
    struct policy_covered *items; /* sorted by place */
    size_t count;
    size_t covered_count; /* those that have all they can have */
};

struct policy_test_run {
    struct policy_test_result *results; /* in the order of files and lines */
    size_t count;
    size_t failed_count;              /* broken ones among them */
    struct policy_coverage *coverage; /* a pipeline each, where it was asked for */
    size_t coverage_count;
};

/**
 * Run `tests:`.
 *
 * A row's `because` names the failed conditions, all of them; "identity" stands for a token that
 * fits no pipeline, "stage" for a stage that is not there or not clear. A file of claims is looked
 * up beside the policy file, then under `claims_folder`; one that cannot be read is the row's
 * failure. Only rows that passed count for coverage.
 *
 * Errors: ERROR_MEMORY
 * Owns:   all of `run` lives in `arena`, and borrows from `policy`
 */
bool policy_run_tests(const struct policy *policy, const struct policy_test_options *options,
                      struct arena *arena, struct policy_test_run *run, struct error *error)
    MUST_USE;

/** Whether an item has all it can have. */
bool policy_is_covered(const struct policy_covered *item);
