#include <string.h>

#include "policy/prove_internal.h"

/*
 * Claims are a tree: where a condition looks into an object or an array, what is above must be one.
 * While alternatives are tried each value is looked at by itself; in the end values are found from
 * the root on, so that they fit below each other.
 */

#define ANY_JSON                                                                                   \
    (PROVE_KIND(PROVE_ABSENT) | PROVE_KIND(PROVE_TEXT) | PROVE_KIND(PROVE_INTEGER) |               \
     PROVE_KIND(PROVE_BOOLEAN) | PROVE_KIND(PROVE_OBJECT) | PROVE_KIND(PROVE_ARRAY))
#define ANY_ELEMENT (ANY_JSON | PROVE_KIND(PROVE_OTHER))

/* ---- the tree ---- */

static unsigned kinds_of_type(enum claim_type type)
{
    static const unsigned kinds[] = {
        [CLAIM_STRING] = PROVE_KIND(PROVE_TEXT),
        [CLAIM_INTEGER] = PROVE_KIND(PROVE_INTEGER),
        [CLAIM_BOOLEAN] = PROVE_KIND(PROVE_BOOLEAN),
        [CLAIM_STRINGS] = PROVE_KIND(PROVE_TEXT) | PROVE_KIND(PROVE_ARRAY),
        [CLAIM_OBJECT] = PROVE_KIND(PROVE_OBJECT),
        [CLAIM_OBJECTS] = PROVE_KIND(PROVE_ARRAY),
    };

    return kinds[type] | PROVE_KIND(PROVE_ABSENT);
}

/* Whether a pointer, without its first '/', leads to a variable. */
static bool leads_to(struct str pointer, const struct prove_variable *variable)
{
    size_t at = pointer.len;
    struct str name = variable->name;

    if (variable->parent == NULL)
        return false;
    /* compared from the end, since '/' and '~' in names are escaped */
    for (size_t i = name.len; i > 0; i--) {
        char byte = name.data[i - 1];
        bool is_escaped = byte == '/' || byte == '~';

        if (at < (is_escaped ? 2U : 1U))
            return false;
        if (is_escaped &&
            (pointer.data[at - 2] != '~' || pointer.data[at - 1] != (byte == '/' ? '1' : '0')))
            return false;
        if (!is_escaped && pointer.data[at - 1] != byte)
            return false;
        at -= is_escaped ? 2 : 1;
    }
    if (variable->parent->parent == NULL)
        return at == 0;
    return at > 0 && pointer.data[at - 1] == '/' &&
           leads_to(str_slice(pointer, 0, at - 1), variable->parent);
}

static void apply_row(struct prove_variable *variable, const struct claim *row)
{
    variable->kinds &= kinds_of_type(row->type);
    variable->is_text_array |= row->type == CLAIM_STRINGS;
    variable->is_object_array |= row->type == CLAIM_OBJECTS;
    variable->is_optional |= (row->flags & CLAIM_OPTIONAL) != 0;
}

/* What a table says of a variable. */
static void apply_table(struct prove_variable *variable, const struct claim_table *table)
{
    bool is_member = variable->parent->parent == NULL;
    const struct claim *row = is_member ? claim_find(table, variable->name) : NULL;

    if (row != NULL)
        apply_row(variable, row);
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].name[0] == '/' && &table->rows[i] != row &&
            leads_to(str_from(table->rows[i].name + 1), variable))
            apply_row(variable, &table->rows[i]);
}

/* What every token has: profiles of actors need not name them. */
static const struct claim registered_rows[] = {
    { "iss", CLAIM_STRING, 0 },
    { "sub", CLAIM_STRING, 0 },
    { "iat", CLAIM_INTEGER, 0 },
    { "exp", CLAIM_INTEGER, 0 },
};
static const struct claim_table registered = { registered_rows, COUNT(registered_rows) };

static struct prove_variable *root_of(struct prove_variable *variable)
{
    while (variable->parent != NULL)
        variable = variable->parent;
    return variable;
}

static void set_kinds(const struct prover *prover, struct prove_variable *variable)
{
    const struct prove_variable *root = root_of(variable);

    variable->kinds = ANY_JSON;
    variable->is_fact = root->is_fact;
    if (root == prover->claims) {
        apply_table(variable, &prover->issuer->claims);
    } else if (root == prover->facts) {
        apply_table(variable, prover->ci_facts);
        variable->kinds |= PROVE_KIND(PROVE_UNKNOWN);
    } else if (prover->actor != NULL) {
        apply_table(variable, &prover->actor->claims);
        apply_table(variable, &registered);
    }
}

struct prove_variable *prove_root(struct prover *prover, bool is_fact)
{
    struct prove_variable *root = prove_alloc(prover, 1, sizeof(*root));

    if (root != NULL)
        *root = (struct prove_variable){ .index = -1,
                                         .is_fact = is_fact,
                                         .kinds = PROVE_KIND(PROVE_OBJECT) };
    return root;
}

static struct prove_variable *child_of(struct prover *prover, struct prove_variable *parent,
                                       struct str name)
{
    struct prove_variable *child;

    for (child = parent->children; child != NULL; child = child->sibling)
        if (str_eq(child->name, name))
            return child;
    child = prove_alloc(prover, 1, sizeof(*child));
    if (child == NULL)
        return NULL;
    child->name = name;
    child->parent = parent;
    child->stamp = ++prover->last_stamp;
    if (!str_to_int64(name, &child->index))
        child->index = -1;
    child->may_be_element = child->index >= 0 ? parent->parent != NULL : parent->may_be_element;
    child->sibling = parent->children;
    parent->children = child;
    set_kinds(prover, child);
    return child;
}

struct prove_variable *prove_variable_at(struct prover *prover, struct prove_variable *root,
                                         const char *const *path)
{
    struct prove_variable *variable = root;

    for (; *path != NULL && variable != NULL; path++)
        variable = child_of(prover, variable, str_from(*path));
    return variable;
}

/* A part of a pointer, its escapes undone. */
static struct str unescape(struct prover *prover, struct str part)
{
    struct str plain;
    char *text;
    size_t len = 0;

    if (str_find(part, '~') == part.len)
        return prove_copy(prover, part);
    text = prove_alloc(prover, part.len + 1, 1);
    for (size_t i = 0; text != NULL && i < part.len; i++) {
        bool is_escape = part.data[i] == '~' && i + 1 < part.len;

        text[len++] = !is_escape ? part.data[i] : part.data[i + 1] == '1' ? '/' : '~';
        i += is_escape;
    }
    plain = (struct str){ text, len };
    return plain;
}

struct prove_variable *prove_variable_named(struct prover *prover, struct prove_variable *root,
                                            const char *name)
{
    struct prove_variable *variable = root;
    struct str rest = str_from(name);
    struct str part;
    bool is_more = true;

    if (name[0] != '/')
        return child_of(prover, root, rest);
    rest = str_slice(rest, 1, rest.len);
    while (is_more && variable != NULL) {
        is_more = str_cut(rest, '/', &part, &rest);
        part = unescape(prover, part);
        variable = part.data == NULL ? NULL : child_of(prover, variable, part);
    }
    return variable;
}

/* ---- values ---- */

/* In the order in which an example would rather have them. */
static const enum prove_kind usual[] = {
    PROVE_TEXT,   PROVE_BOOLEAN, PROVE_INTEGER, PROVE_ARRAY,
    PROVE_OBJECT, PROVE_UNKNOWN, PROVE_ABSENT,  PROVE_OTHER,
};
static const enum prove_kind optional[] = {
    PROVE_ABSENT, PROVE_TEXT,   PROVE_BOOLEAN, PROVE_INTEGER,
    PROVE_ARRAY,  PROVE_OBJECT, PROVE_UNKNOWN, PROVE_OTHER,
};
static const enum prove_kind unimportant[] = {
    PROVE_UNKNOWN, PROVE_ABSENT, PROVE_TEXT,   PROVE_BOOLEAN,
    PROVE_INTEGER, PROVE_ARRAY,  PROVE_OBJECT, PROVE_OTHER,
};
static const enum prove_kind upper[] = {
    PROVE_OBJECT,  PROVE_ARRAY,   PROVE_TEXT,   PROVE_BOOLEAN,
    PROVE_INTEGER, PROVE_UNKNOWN, PROVE_ABSENT, PROVE_OTHER,
};
#define KINDS COUNT(usual)

static const enum prove_kind *order_of(const struct prove_variable *variable,
                                       const struct prove_atom *more)
{
    bool is_unimportant = more == NULL || more->is_of_danger;

    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        is_unimportant &= atom->is_of_danger;
    if (variable->children != NULL && variable->atoms != NULL)
        return upper;
    if (is_unimportant)
        return unimportant;
    return variable->is_optional && !variable->is_fact ? optional : usual;
}

static unsigned element_kinds(const struct prove_variable *variable)
{
    if (variable->is_text_array)
        return PROVE_KIND(PROVE_TEXT);
    if (variable->is_object_array)
        return PROVE_KIND(PROVE_OTHER) | PROVE_KIND(PROVE_OBJECT);
    return ANY_ELEMENT & ~PROVE_KIND(PROVE_ABSENT);
}

static enum proof_answer find_kind(struct prover *prover, const struct prove_variable *variable,
                                   const struct prove_demands *demands, enum prove_kind kind,
                                   struct prove_value *value)
{
    const struct prove_array array = { .demands = demands, .kinds = element_kinds(variable) };

    return kind == PROVE_ARRAY ? prove_array(prover, &array, value)
                               : prove_single(prover, demands, kind, value);
}

static bool reserve_demands(struct prover *prover, size_t count)
{
    size_t capacity = 2 * count;

    if (count <= prover->demand_capacity)
        return true;
    prover->demands = arena_alloc_array(prover->arena, capacity, sizeof(*prover->demands));
    prover->demand_capacity = prover->demands == NULL ? 0 : capacity;
    prover->is_out_of_memory |= prover->demands == NULL;
    return prover->demands != NULL;
}

/* Whether an atom looks past a value that is in an array. */
static bool may_look_past(const struct prove_variable *variable, const struct prove_atom *atom)
{
    return atom->is_of_objects_only && variable->may_be_element;
}

/* What the asserted atoms and one more ask of a variable; false without memory. */
static bool gather(struct prover *prover, const struct prove_variable *variable,
                   const struct prove_atom *more, struct prove_demands *demands)
{
    size_t count = more == NULL ? 0 : 1;
    size_t place;

    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        count++;
    if (!reserve_demands(prover, count))
        return false;
    *demands = (struct prove_demands){ prover->demands, 0 };
    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        if (!may_look_past(variable, atom))
            demands->count++;
    place = demands->count; /* the oldest first */
    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        if (!may_look_past(variable, atom))
            prover->demands[--place] = (struct prove_demand){ atom, PROVE_WHOLE, atom->allowed };
    if (more != NULL && !may_look_past(variable, more))
        prover->demands[demands->count++] =
            (struct prove_demand){ more, PROVE_WHOLE, more->allowed };
    return true;
}

enum proof_answer prove_tree_check(struct prover *prover, struct prove_variable *variable,
                                   const struct prove_atom *more)
{
    const struct prove_mark mark = prove_mark(prover);
    const enum prove_kind *order = order_of(variable, more);
    unsigned kinds = variable->may_be_element ? ANY_JSON : variable->kinds;
    bool is_undecided = false;
    struct prove_demands demands;
    struct prove_value value;

    if (!gather(prover, variable, more, &demands))
        return PROOF_UNDECIDED;
    for (size_t i = 0; i < KINDS; i++) {
        enum proof_answer answer;

        if ((kinds & PROVE_KIND(order[i])) == 0)
            continue;
        answer = find_kind(prover, variable, &demands, order[i], &value);
        if (answer == PROOF_YES) {
            variable->witness = value;
            variable->has_witness = true;
            return PROOF_YES;
        }
        is_undecided |= answer == PROOF_UNDECIDED;
    }
    prove_rewind(prover, mark);
    return is_undecided ? PROOF_UNDECIDED : PROOF_NO;
}

/* ---- values that fit below each other ---- */

static const struct prove_value absent = { .kind = PROVE_ABSENT };

static bool can_be_absent(const struct prove_variable *variable)
{
    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        if (!prove_allows(atom, &absent))
            return false;
    for (const struct prove_variable *child = variable->children; child != NULL;
         child = child->sibling)
        if (!can_be_absent(child))
            return false;
    return true;
}

static void make_absent(struct prove_variable *variable)
{
    variable->witness = absent;
    variable->has_witness = true;
    for (struct prove_variable *child = variable->children; child != NULL; child = child->sibling)
        make_absent(child);
}

/* How a variable is looked for in the end. */
struct growth {
    struct prover *prover;
    struct prove_demands demands;
    unsigned kinds;
    bool is_in_objects; /* all above it are objects */
};

static enum proof_answer grow(struct prover *prover, struct prove_variable *variable,
                              const struct prove_demands *more, const struct growth *how);

/* Whether all children may be absent but those that are elements; all others are made so. */
static bool leave_out_children(struct prove_variable *variable, bool but_elements)
{
    for (struct prove_variable *child = variable->children; child != NULL; child = child->sibling) {
        if (but_elements && child->index >= 0 && child->index <= PROVE_INDEX_MAX)
            continue;
        if (!can_be_absent(child))
            return false;
        make_absent(child);
    }
    return true;
}

static enum proof_answer grow_object(const struct growth *growth, struct prove_variable *variable,
                                     struct prove_value *value)
{
    *value = (struct prove_value){ .kind = PROVE_OBJECT };
    if (!prove_demands_allow(&growth->demands, value))
        return PROOF_NO;
    for (struct prove_variable *child = variable->children; child != NULL; child = child->sibling) {
        const struct growth of_child = {
            .kinds = growth->is_in_objects ? child->kinds : ANY_JSON,
            .is_in_objects = growth->is_in_objects,
        };
        enum proof_answer answer = grow(growth->prover, child, NULL, &of_child);

        if (answer != PROOF_YES)
            return answer;
    }
    return PROOF_YES;
}

static enum proof_answer grow_kind(const struct growth *growth, struct prove_variable *variable,
                                   enum prove_kind kind, struct prove_value *value)
{
    const struct prove_array array = {
        .demands = &growth->demands,
        .kinds = growth->is_in_objects ? element_kinds(variable)
                                       : ANY_ELEMENT & ~PROVE_KIND(PROVE_ABSENT),
        .fixed = variable->children,
    };

    if (kind == PROVE_OBJECT)
        return grow_object(growth, variable, value);
    if (!leave_out_children(variable, kind == PROVE_ARRAY))
        return PROOF_NO;
    if (kind == PROVE_ARRAY)
        return prove_array(growth->prover, &array, value);
    return prove_single(growth->prover, &growth->demands, kind, value);
}

/*
 * The demands of a variable's own atoms, and more. In arrays claims that are looked for in objects
 * only are not found: they are as if absent. False: that cannot be, or there is no memory.
 */
static bool gather_all(struct growth *growth, const struct prove_variable *variable,
                       const struct prove_demands *more)
{
    size_t count = more == NULL ? 0 : more->count;
    size_t own_count = 0;
    struct prove_demand *list;
    size_t place;

    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        count++;
    list = prove_alloc(growth->prover, count + 1, sizeof(*list));
    if (list == NULL)
        return false;
    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next) {
        if (!atom->is_of_objects_only || growth->is_in_objects)
            own_count++;
        else if (!prove_allows(atom, &absent))
            return false;
    }
    place = own_count; /* the oldest first */
    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        if (!atom->is_of_objects_only || growth->is_in_objects)
            list[--place] = (struct prove_demand){ atom, PROVE_WHOLE, atom->allowed };
    growth->demands = (struct prove_demands){ list, own_count };
    for (size_t i = 0; more != NULL && i < more->count; i++)
        list[growth->demands.count++] = more->list[i];
    return true;
}

/* As an element that is absent it does not count, so nothing is asked of it with all others. */
static bool try_absence(const struct growth *growth, struct prove_variable *variable)
{
    if ((growth->kinds & PROVE_KIND(PROVE_ABSENT)) == 0 || !can_be_absent(variable))
        return false;
    make_absent(variable);
    return true;
}

static enum proof_answer grow(struct prover *prover, struct prove_variable *variable,
                              const struct prove_demands *more, const struct growth *how)
{
    const enum prove_kind *order = order_of(variable, NULL);
    struct growth growth = *how;
    bool is_undecided = false;

    growth.prover = prover;
    if ((variable->atoms == NULL || more != NULL) && try_absence(&growth, variable))
        return PROOF_YES;
    if (variable->children == NULL && more == NULL && growth.is_in_objects &&
        variable->has_witness && !variable->is_doubtful && !variable->may_be_element)
        return PROOF_YES;
    if (!gather_all(&growth, variable, more))
        return PROOF_NO;
    for (size_t i = 0; i < KINDS; i++) {
        struct prove_value value;
        enum proof_answer answer;

        if ((growth.kinds & PROVE_KIND(order[i])) == 0)
            continue;
        answer = grow_kind(&growth, variable, order[i], &value);
        if (answer == PROOF_YES) {
            variable->witness = value;
            return PROOF_YES;
        }
        is_undecided |= answer == PROOF_UNDECIDED;
    }
    return is_undecided ? PROOF_UNDECIDED : PROOF_NO;
}

enum proof_answer prove_element(struct prover *prover, struct prove_variable *variable,
                                const struct prove_demands *demands, unsigned kinds)
{
    const struct growth how = { .kinds = kinds, .is_in_objects = false };

    return grow(prover, variable, demands, &how);
}

/* Whether some claim below is looked at. */
static bool has_atoms_below(const struct prove_variable *variable)
{
    for (const struct prove_variable *child = variable->children; child != NULL;
         child = child->sibling)
        if (child->atoms != NULL || has_atoms_below(child))
            return true;
    return false;
}

enum proof_answer prove_tree_around(struct prover *prover, struct prove_variable *variable)
{
    struct growth how = { .is_in_objects = true };

    while (variable->parent->parent != NULL)
        variable = variable->parent;
    if (!has_atoms_below(variable))
        return PROOF_YES;
    how.kinds = variable->kinds;
    return grow(prover, variable, NULL, &how);
}

enum proof_answer prove_tree_solve(struct prover *prover, struct prove_variable *root)
{
    enum proof_answer answer = PROOF_YES;

    for (struct prove_variable *child = root->children; child != NULL && answer == PROOF_YES;
         child = child->sibling) {
        const struct growth how = { .kinds = child->kinds, .is_in_objects = true };

        answer = grow(prover, child, NULL, &how);
    }
    return answer;
}
