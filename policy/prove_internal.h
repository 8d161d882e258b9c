#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/claim.h"
#include "base/network.h"
#include "base/str.h"
#include "policy/policy_internal.h"
#include "policy/prove.h"

struct error;

/*
 * How a proof goes: see the top of prove.c. Words of these files:
 *
 * a variable   something of a request that conditions look at: a claim, a fact, the time ...
 * an atom      what a condition must come to: a constraint on one variable
 * a formula    atoms joined by "and" and "or": that a request meets all terms
 */

/**
 * How much work a proof may take before it is undecided: an atom that is looked at is one step, and
 * so is a state of a walk over a few patterns. A usual proof takes less than 100.
 */
#define PROVE_STEPS_MAX 100000

/**
 * All proofs of a prover together may take this many steps, and for each of them as many as it
 * usually needs at most: a few hard ones can be proven, but not thousands.
 */
#define PROVE_ALL_STEPS_MAX ((size_t)4 * PROVE_STEPS_MAX)
#define PROVE_USUAL_STEPS 100

/** An element further behind is none: a token has at most 1,000 members, and others are needed. */
#define PROVE_INDEX_MAX 999

/* ---- memory of one proof ---- */

/** A piece of the arena's memory that proofs use one after the other. */
struct prove_chunk {
    struct prove_chunk *next;
    size_t capacity;
    size_t used;
    _Alignas(max_align_t) uint8_t data[];
};

/** Zeroed memory until the next proof; NULL marks the prover as out of memory. */
void *prove_alloc(struct prover *prover, size_t count, size_t size) MUST_USE;

/** A point to come back to: what is allocated after it ends there. */
struct prove_mark {
    struct prove_chunk *chunk;
    size_t used;
};
struct prove_mark prove_mark(const struct prover *prover);
void prove_rewind(struct prover *prover, struct prove_mark mark);

/** A copy, with a NUL behind it. On failure `data` is NULL. */
struct str prove_copy(struct prover *prover, struct str text);

/** Count steps; false: too many were made. */
bool prove_spend(struct prover *prover, size_t steps);

/* ---- values ---- */

enum prove_kind {
    PROVE_ABSENT,
    PROVE_UNKNOWN, /* a fact that the issuer cannot say */
    PROVE_TEXT,
    PROVE_INTEGER,
    PROVE_BOOLEAN,
    PROVE_OTHER, /* JSON that no operator reads: a fraction, or an object in an array */
    PROVE_OBJECT,
    PROVE_ARRAY,
};
#define PROVE_KIND(kind) (1U << (kind))

/** A value, as far as conditions look at it. */
struct prove_value {
    enum prove_kind kind;
    struct str text;
    int64_t integer;                    /* of a boolean 0 or 1 */
    const struct prove_value *elements; /* those that count: not empty ones */
    size_t element_count;
};

/* ---- atoms ---- */

enum prove_question {
    PROVE_CONDITION, /* what a condition comes to */
    PROVE_IS_WORD,   /* whether a text is so, or a boolean is named so */
    PROVE_IS_TRUTH,  /* whether it is this boolean */
    PROVE_PROOFS,    /* whether one of these came along */
    PROVE_NETWORKS,  /* whether the address is in one of these */
    PROVE_SPAN,      /* whether the time is in [from, to) */
    PROVE_WINDOWS,   /* whether it is in one of these windows */
};

/** What a condition sees of its variable. */
enum prove_view {
    PROVE_PLAIN,
    PROVE_COPY_UNKNOWN, /* a fact that is copied from a claim: see enum claim_form */
    PROVE_COPY_NONE,
    PROVE_COPY_NUMBER,
    PROVE_WORDS,    /* a fact that follows from the claim's value: see struct claim_words */
    PROVE_UNPROVEN, /* nobody has verified it: it says nothing */
};

#define PROVE_OUTCOME(outcome) (1U << (outcome))
#define PROVE_HOLDS PROVE_OUTCOME(POLICY_HOLDS)
#define PROVE_FAILS PROVE_OUTCOME(POLICY_FAILS)
#define PROVE_CANNOT_SAY PROVE_OUTCOME(POLICY_UNKNOWN)
#define PROVE_ANY (PROVE_HOLDS | PROVE_FAILS | PROVE_CANNOT_SAY)

/** Rows of words that say of one fact. */
struct prove_words {
    const char *fact;
    bool is_boolean;
    const struct claim_words *rows; /* of all facts */
    struct policy_values values;    /* of the claim, that say something of this one */
};

/** What is known of an atom that is not asserted. */
enum prove_status {
    PROVE_OPEN,
    PROVE_IMPLIED,
    PROVE_IMPOSSIBLE,
};

struct prove_variable;

struct prove_atom {
    struct prove_variable *variable;
    enum prove_question question;
    enum prove_view view;
    unsigned allowed;                /* PROVE_OUTCOME bits */
    bool is_of_objects_only;         /* the claim is not looked for in arrays */
    bool is_of_danger;               /* it only keeps a danger away */
    const struct prove_words *words; /* of PROVE_WORDS */
    union {
        const struct policy_condition *condition;
        const char *word;
        bool truth;
        unsigned proofs;
        struct policy_networks networks;
        struct {
            int64_t from_s;
            int64_t to_s;
        } span;
        struct {
            const struct policy_window *list;
            size_t count;
        } windows;
    };
    /* Status while the variable has this stamp. */
    uint64_t stamp;
    enum prove_status status;
    /* While it is asserted: */
    struct prove_atom *next; /* the one of its variable before it */
    struct prove_atom *trail;
    uint64_t old_stamp;
    bool was_pinned;
    bool was_doubtful;
};

/* ---- variables ---- */

enum prove_variable_kind {
    PROVE_OF_TREE, /* a value in the claims, the facts or the actor's claims */
    PROVE_OF_ADDRESS,
    PROVE_OF_TIME,
    PROVE_OF_PROOFS,
};

struct prove_variable {
    enum prove_variable_kind kind;
    struct prove_atom *atoms; /* asserted */
    uint64_t stamp;           /* of these atoms; another one after each change */

    /* A value that fits all asserted atoms, while it is known: values outlive what is taken back.
     */
    bool has_witness;
    bool is_pinned;   /* nothing but the witness fits */
    bool is_doubtful; /* some atoms were too many to decide */
    struct prove_value witness;
    struct address address;
    int64_t time_s;
    unsigned proofs;

    /* The tree. */
    struct str name;      /* its member in the parent */
    int64_t index;        /* the same as an element of an array; negative: it is none */
    unsigned kinds;       /* PROVE_KIND bits of what it can be, where all above it are objects */
    bool is_text_array;   /* an array has texts only */
    bool is_object_array; /* objects only */
    bool is_optional;
    bool is_fact;
    bool may_be_element; /* it, or what is above it, can be in an array: rows say nothing then */
    struct prove_variable *parent;
    struct prove_variable *children;
    struct prove_variable *sibling;
};

/* ---- formulas ---- */

enum prove_node_kind {
    PROVE_NEVER,
    PROVE_ALWAYS,
    PROVE_ATOM,
    PROVE_AND,
    PROVE_OR,
};

struct prove_node {
    enum prove_node_kind kind;
    struct prove_atom *atom;
    struct prove_node *first;
    struct prove_node *last;
    struct prove_node *next;
};

/* ---- the prover ---- */

struct prover {
    struct arena *arena;
    struct prove_chunk *chunks; /* all, in the order in which they are used */
    struct prove_chunk *chunk;  /* the one in use */
    bool is_out_of_memory;
    int64_t since_s;

    /* The case at hand. */
    const struct policy_world *world;
    const struct policy_issuer *issuer;
    const struct claim_table *ci_facts;
    const struct policy_issuer *actor; /* NULL: nobody acts */
    bool asks_for_actor;               /* a condition does */
    struct prove_variable *claims;     /* roots of the trees */
    struct prove_variable *facts;
    struct prove_variable *actor_claims;
    struct prove_variable address;
    struct prove_variable time;
    struct prove_variable proofs;

    /* The search. */
    const struct proof_term *terms;
    size_t term_count;
    struct prove_demand *demands; /* for one check of a variable */
    size_t demand_capacity;
    size_t steps_left;
    size_t all_steps_left; /* of this proof and those to come */
    bool is_undecided;
    uint64_t last_stamp;
    struct prove_atom *trail;    /* asserted atoms, newest first */
    struct prove_node **pending; /* alternatives that none was taken of yet */
    size_t pending_count;
    size_t pending_capacity;
    struct proof_example *example; /* NULL: not wanted */
    struct error *error;
};

/** That a request of the issuer and the actor at hand meets a term. NULL without memory. */
struct prove_node *prove_formula(struct prover *prover, const struct proof_term *term) MUST_USE;

/** Whether a formula can be met; YES has filled the example. */
enum proof_answer prove_search(struct prover *prover, struct prove_node *formula) MUST_USE;

/** A variable by a name as of a row: a member, or a JSON Pointer. NULL without memory. */
struct prove_variable *prove_variable_named(struct prover *prover, struct prove_variable *root,
                                            const char *name) MUST_USE;

/** A variable by a path of names, ended by NULL. NULL without memory. */
struct prove_variable *prove_variable_at(struct prover *prover, struct prove_variable *root,
                                         const char *const *path) MUST_USE;

/** A new root. */
struct prove_variable *prove_root(struct prover *prover, bool is_fact) MUST_USE;

/* ---- what atoms say of values ---- */

/** Whether an atom allows a value of its variable, whatever the variable is of. */
bool prove_allows(const struct prove_atom *atom, const struct prove_value *value);

/** A condition on single values, or one half of it: arrays ask halves of their elements. */
enum prove_part {
    PROVE_WHOLE,
    PROVE_FITS_ALL,  /* the operators that do not stand under `not` */
    PROVE_FITS_NONE, /* those that do */
    PROVE_IS_TYPED,  /* whether the value is of the condition's type */
};

/** What a single value must come to. */
struct prove_demand {
    const struct prove_atom *atom;
    enum prove_part part;
    unsigned allowed;
};

struct prove_demands {
    const struct prove_demand *list;
    size_t count;
};

bool prove_demands_allow(const struct prove_demands *demands, const struct prove_value *value);

/** Whether two conditions say the same of the same value. */
bool prove_is_same(const struct policy_condition *a, const struct policy_condition *b);

/** Whether two lists are of the same networks, in the same order. */
bool prove_are_same_networks(const struct policy_networks *a, const struct policy_networks *b);

/** Whether a demand's condition reads texts of its variable as they stand. */
bool prove_reads_texts(const struct prove_demand *demand);

/** The texts that a demand tells from all others, but by its condition; NULL: there are none. */
const struct policy_values *prove_words_of(const struct prove_demand *demand);

/** Whether a part of a test's demand must hold: the value must then fit it. */
bool prove_needs(const struct prove_demand *demand, const struct policy_test *test);

/* ---- finding values ---- */

/** A text, an integer, a boolean or another single value that meets all demands. */
enum proof_answer prove_single(struct prover *prover, const struct prove_demands *demands,
                               enum prove_kind kind, struct prove_value *value) MUST_USE;

enum proof_answer prove_text(struct prover *prover, const struct prove_demands *demands,
                             struct prove_value *value) MUST_USE;

/** What a text is made of. */
enum prove_shape_kind {
    PROVE_SHAPE_TEXT,    /* UTF-8 without control characters */
    PROVE_SHAPE_INTEGER, /* a decimal between two others of the same length and sign */
    PROVE_SHAPE_TIME,    /* of the seconds between two: "2026-11-22T10:00:00", without a 'Z' */
};

struct prove_shape {
    enum prove_shape_kind kind;
    struct str first; /* the least text, and the greatest, in the order of bytes */
    struct str last;
};

#define PROVE_SHAPE_BAD UINT32_MAX
#define PROVE_SHAPE_TIGHT (3U << 8)

uint32_t prove_shape_start(const struct prove_shape *shape);

/** Go on by a byte; PROVE_SHAPE_BAD: no such text goes on so. */
uint32_t prove_shape_step(const struct prove_shape *shape, uint32_t state, uint8_t byte);

/** Whether the text of `len` bytes that led to a state may end. */
bool prove_shape_is_whole(const struct prove_shape *shape, uint32_t state, size_t len);

/**
 * Search all texts of a shape, shortest first, by walking all patterns and lists at once. UNDECIDED
 * where there is too much to walk.
 *
 * Of integers and times all that conditions say must be the same in the whole range, but for what
 * patterns and lists tell apart.
 */
enum proof_answer prove_walk(struct prover *prover, const struct prove_demands *demands,
                             const struct prove_shape *shape, struct prove_value *value) MUST_USE;

/** Where what conditions say of integers, or of times in texts, changes. */
struct prove_breaks {
    int64_t *list; /* sorted, each once */
    size_t count;
};

#define PROVE_BREAKS_MAX 256

/** Gather the times, and of PROVE_INTEGER the integers. False: no memory, or too many of them. */
bool prove_breaks(struct prover *prover, const struct prove_demands *demands, enum prove_kind kind,
                  struct prove_breaks *breaks) MUST_USE;

/** An array to find. */
struct prove_array {
    const struct prove_demands *demands; /* of the array as a whole */
    unsigned kinds;                      /* of its elements */
    struct prove_variable *fixed;        /* elements that conditions name by index: the first of
                                            these and of other siblings; NULL: none */
};

/** Elements that make an array fit; the fixed ones keep their values themselves. */
enum proof_answer prove_array(struct prover *prover, const struct prove_array *array,
                              struct prove_value *value) MUST_USE;

/** Find a value for a variable as an element of an array, and for all below it. */
enum proof_answer prove_element(struct prover *prover, struct prove_variable *variable,
                                const struct prove_demands *demands, unsigned kinds) MUST_USE;

/** Look for a value that fits a variable's asserted atoms and one more (may be NULL). */
enum proof_answer prove_variable_check(struct prover *prover, struct prove_variable *variable,
                                       const struct prove_atom *more) MUST_USE;

/** The same of a value in a tree. What is above and below it is not looked at. */
enum proof_answer prove_tree_check(struct prover *prover, struct prove_variable *variable,
                                   const struct prove_atom *more) MUST_USE;

/** Whether what is above and below a variable can fit it: looked at where there is anything. */
enum proof_answer prove_tree_around(struct prover *prover, struct prove_variable *variable)
    MUST_USE;

/** Find values for all of a tree, so that they fit below each other. */
enum proof_answer prove_tree_solve(struct prover *prover, struct prove_variable *root) MUST_USE;

enum proof_answer prove_address_check(struct prover *prover, struct prove_variable *variable,
                                      const struct prove_atom *more) MUST_USE;
enum proof_answer prove_time_check(struct prover *prover, struct prove_variable *variable,
                                   const struct prove_atom *more) MUST_USE;
enum proof_answer prove_proofs_check(struct prover *prover, struct prove_variable *variable,
                                     const struct prove_atom *more) MUST_USE;

/** Whether an atom allows what its variable's witness is. */
bool prove_address_allows(const struct prove_atom *atom, const struct prove_variable *variable);
bool prove_proofs_allows(const struct prove_atom *atom, const struct prove_variable *variable);
bool prove_time_allows(const struct prove_atom *atom, const struct prove_variable *variable);

/** Fill the example from the variables' witnesses. Errors: ERROR_MEMORY */
bool prove_example(struct prover *prover, struct proof_example *example, struct error *error)
    MUST_USE;
