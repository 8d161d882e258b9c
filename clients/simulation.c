#include "clients/simulation.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/ledger_source.h"
#include "clients/recorded.h"
#include "policy/policy.h"

#define ENTRY_ARENA_MAX ((size_t)4 * 1024 * 1024)
#define DOUBTS_MAX 1000

/* One run. What is found by name is found in objects: NAME to an index, or to a time. */
struct run {
    const struct simulation_options *options;
    struct arena *arena;
    struct simulation *simulation;
    json_t *flips;    /* what a group is told apart by, to its index */
    json_t *doubts;   /* why, to its index */
    json_t *open;     /* decisions whose lease was requested, and whose credential may follow */
    json_t *used;     /* STAGE GRANT, to when it was given last */
    json_t *replayed; /* the same, of what the new policy gives within the time */
    struct error *error;
};

/* One recorded request as it comes out now; its memory is gone with the next one. */
struct replay {
    struct run *run;
    struct arena *arena;
    const struct recorded *recorded;
    const struct policy_decision *decision;
    bool is_allowed;
    enum error_code code;
};

static bool no_memory(const struct run *run)
{
    return error_set(run->error, ERROR_MEMORY, "simulating");
}

const char *flip_kind_name(enum flip_kind kind)
{
    static const char *const names[] = {
        [FLIP_DENIED] = "denied", [FLIP_ALLOWED] = "allowed", [FLIP_CHANGED] = "changed"
    };

    return names[kind];
}

/* ---- groups ---- */

static bool grow(const struct run *run, void **list, size_t count, size_t size)
{
    void *larger;

    if (count != 0 && (count & (count - 1)) != 0)
        return true;
    larger = arena_alloc_array(run->arena, count == 0 ? 1 : count * 2, size);
    if (!larger)
        return no_memory(run);
    if (count > 0)
        memcpy(larger, *list, count * size);
    *list = larger;
    return true;
}

/* The index under a key, or `count` where it is a new one, which gets it. */
static bool index_of(const struct run *run, json_t *object, struct str key, size_t count,
                     size_t *index)
{
    const json_t *known = json_object_getn(object, key.data, key.len);

    *index = known ? (size_t)json_integer_value(known) : count;
    if (known)
        return true;
    return json_object_setn_new(object, key.data, key.len, json_integer((json_int_t)count)) == 0 ||
           no_memory(run);
}

static bool add_doubt(struct run *run, struct str why, int64_t count)
{
    struct simulation *simulation = run->simulation;
    void *list = simulation->doubts;
    size_t index;

    simulation->doubt_count += count;
    if (simulation->doubt_kinds >= DOUBTS_MAX)
        why = simulation->doubts[0].why; /* names are foreign: there is no end to them */
    if (!index_of(run, run->doubts, why, simulation->doubt_kinds, &index))
        return false;
    if (index == simulation->doubt_kinds) {
        if (!grow(run, &list, simulation->doubt_kinds, sizeof(struct doubt)))
            return false;
        simulation->doubts = list;
        simulation->doubts[simulation->doubt_kinds++] =
            (struct doubt){ .why = arena_copy(run->arena, why) };
    }
    simulation->doubts[index].count += count;
    return true;
}

static bool copy_names(const struct run *run, const struct str *names, size_t count,
                       struct flip *flip)
{
    struct str *copies = arena_alloc_array(run->arena, count + 1, sizeof(*copies));

    if (!copies)
        return no_memory(run);
    for (size_t i = 0; i < count; i++)
        copies[i] = arena_copy(run->arena, names[i]);
    flip->failed = copies;
    flip->failed_count = count;
    return true;
}

static bool start_group(struct run *run, const struct flip *group, struct flip **flip)
{
    struct simulation *simulation = run->simulation;
    void *list = simulation->flips;

    if (!grow(run, &list, simulation->flip_count, sizeof(struct flip)))
        return false;
    simulation->flips = list;
    *flip = &simulation->flips[simulation->flip_count++];
    **flip = (struct flip){ .kind = group->kind,
                            .stage = arena_copy(run->arena, group->stage),
                            .owner = arena_copy(run->arena, group->owner),
                            .before = arena_copy(run->arena, group->before),
                            .now = arena_copy(run->arena, group->now) };
    return copy_names(run, group->failed, group->failed_count, *flip);
}

/* Ids take no more memory however many there are: a ledger has no end. */
static bool keep_id(const struct run *run, struct str decision, struct flip *flip)
{
    size_t slot = flip->decision_count++ % SIMULATION_DECISIONS_MAX;
    struct str id = str_slice(decision, 0, SIMULATION_DECISION_MAX);

    if (!flip->ids[slot])
        flip->ids[slot] = arena_alloc(run->arena, SIMULATION_DECISION_MAX);
    if (!flip->ids[slot])
        return no_memory(run);
    if (id.len > 0)
        memcpy(flip->ids[slot], id.data, id.len);
    flip->decisions[slot] = (struct str){ flip->ids[slot], id.len };
    return true;
}

static bool count_one(const struct run *run, const struct recorded *recorded, struct flip *flip)
{
    flip->count += recorded->count;
    if (recorded->time_s > flip->last_s)
        flip->last_s = recorded->time_s;
    return keep_id(run, recorded->decision, flip);
}

static bool add_flip(const struct replay *replay, const struct flip *group)
{
    struct run *run = replay->run;
    struct simulation *simulation = run->simulation;
    struct str key =
        arena_printf(replay->arena, "%d\n" STR_FMT "\n" STR_FMT "\n" STR_FMT, (int)group->kind,
                     STR_ARG(group->stage), STR_ARG(group->before), STR_ARG(group->now));
    size_t count = simulation->flip_count;
    struct flip *flip;
    size_t index;

    simulation->flipped_count[group->kind] += replay->recorded->count;
    if (count >= SIMULATION_FLIPS_MAX && !json_object_getn(run->flips, key.data, key.len)) {
        simulation->lost_count += replay->recorded->count;
        return true;
    }
    if (!index_of(run, run->flips, key, count, &index))
        return false;
    if (index == count && !start_group(run, group, &flip))
        return false;
    return count_one(run, replay->recorded, &simulation->flips[index]);
}

/* ---- words ---- */

static struct str add_name(struct arena *arena, struct str text, struct str name)
{
    return arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(text), text.len > 0 ? ", " : "",
                        STR_ARG(name));
}

/* "condition: ref, environment"; the reason alone where nothing has failed. */
static struct str say_denial(struct arena *arena, struct str reason, const struct str *names,
                             size_t count)
{
    struct str list = STR("");

    for (size_t i = 0; i < count; i++)
        list = add_name(arena, list, names[i]);
    return count == 0 ? reason
                      : arena_printf(arena, STR_FMT ": " STR_FMT, STR_ARG(reason), STR_ARG(list));
}

static struct str add_given(struct arena *arena, struct str text, struct str grant, int64_t ttl_s)
{
    char life[DURATION_TEXT_MAX];

    duration_text(ttl_s, life);
    return add_name(arena, text,
                    arena_printf(arena, STR_FMT " (%s)", STR_ARG(grant), ttl_s > 0 ? life : "0s"));
}

static struct str in_stage(struct arena *arena, struct str stage, struct str grants)
{
    return arena_printf(arena, STR_FMT " gives " STR_FMT, STR_ARG(stage),
                        STR_ARG(grants.len > 0 ? grants : STR("its token only")));
}

static struct str say_given_then(const struct replay *replay)
{
    const json_t *list = replay->recorded->credentials;
    struct str text = STR("");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct str grant = json_str(json_object_get(item, "grant"));

        if (grant.len > 0)
            text = add_given(replay->arena, text, grant,
                             json_integer_value(json_object_get(item, "ttl_s")));
    }
    return in_stage(replay->arena, replay->recorded->stage, text);
}

static struct str say_given_now(const struct replay *replay)
{
    const struct policy_decision *decision = replay->decision;
    struct str text = STR("");

    for (size_t i = 0; i < decision->grant_count; i++)
        text = add_given(replay->arena, text, decision->grants[i].grant->name,
                         decision->grants[i].ttl_s);
    return in_stage(replay->arena, decision->stage->id, text);
}

/* ---- comparing ---- */

static const struct policy_granted *granted_now(const struct policy_decision *decision,
                                                struct str name)
{
    for (size_t i = 0; i < decision->grant_count; i++)
        if (str_eq(decision->grants[i].grant->name, name))
            return &decision->grants[i];
    return NULL;
}

/* A longer life is not told: targets shorten what the policy gives. */
static bool gives_same(const struct replay *replay)
{
    const json_t *list = replay->recorded->credentials;
    size_t grant_count = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct str name = json_str(json_object_get(item, "grant"));
        const struct policy_granted *now = granted_now(replay->decision, name);

        if (name.len == 0)
            continue; /* the stage's own token */
        grant_count++;
        if (!now || now->ttl_s < json_integer_value(json_object_get(item, "ttl_s")))
            return false;
    }
    return grant_count == replay->decision->grant_count &&
           str_eq(replay->decision->stage->id, replay->recorded->stage);
}

static bool flip_to_denied(const struct replay *replay)
{
    const struct policy_decision *decision = replay->decision;
    const struct flip group = {
        .kind = FLIP_DENIED,
        .stage = replay->recorded->stage,
        .owner = replay->recorded->owner,
        .before = STR("allowed"),
        .now = say_denial(replay->arena, str_from(error_kind(replay->code)->name), decision->failed,
                          decision->failed_count),
        .failed = decision->failed,
        .failed_count = decision->failed_count,
    };

    return add_flip(replay, &group);
}

static bool flip_to_allowed(const struct replay *replay)
{
    const struct policy_stage *stage = replay->decision->stage;
    struct str names[POLICY_FAILED_MAX];
    size_t count = 0;
    struct flip group = { .kind = FLIP_ALLOWED, .stage = stage->id, .owner = stage->owner };

    for (size_t i = 0; i < json_array_size(replay->recorded->failed) && count < COUNT(names); i++)
        names[count++] = json_str(json_array_get(replay->recorded->failed, i));
    group.before = say_denial(replay->arena, replay->recorded->reason, names, count);
    group.now = say_given_now(replay);
    group.failed = names;
    group.failed_count = count;
    return add_flip(replay, &group);
}

static bool flip_to_changed(const struct replay *replay)
{
    const struct policy_stage *stage = replay->decision->stage;
    const struct flip group = { .kind = FLIP_CHANGED,
                                .stage = replay->recorded->stage,
                                .owner = stage->owner,
                                .before = say_given_then(replay),
                                .now = say_given_now(replay) };

    return add_flip(replay, &group);
}

static bool compare(const struct replay *replay)
{
    struct run *run = replay->run;

    if (replay->recorded->is_allowed && !replay->is_allowed)
        return flip_to_denied(replay);
    if (!replay->recorded->is_allowed && replay->is_allowed)
        return flip_to_allowed(replay);
    if (replay->is_allowed && !gives_same(replay))
        return flip_to_changed(replay);
    run->simulation->same_count += replay->recorded->count;
    return true;
}

/* ---- who used what ---- */

static struct str use_key(struct arena *arena, struct str stage, struct str grant)
{
    return arena_printf(arena, STR_FMT " " STR_FMT, STR_ARG(stage), STR_ARG(grant));
}

static bool note_use(const struct run *run, json_t *uses, struct str key, int64_t time_s)
{
    const json_t *known = json_object_getn(uses, key.data, key.len);

    if (known && json_integer_value(known) >= time_s)
        return true;
    return json_object_setn_new(uses, key.data, key.len, json_integer(time_s)) == 0 ||
           no_memory(run);
}

static bool note_recorded_use(const struct run *run, const struct recorded *recorded,
                              struct arena *arena)
{
    for (size_t i = 0; i < json_array_size(recorded->credentials); i++) {
        struct str grant =
            json_str(json_object_get(json_array_get(recorded->credentials, i), "grant"));

        if (grant.len > 0 &&
            !note_use(run, run->used, use_key(arena, recorded->stage, grant), recorded->time_s))
            return false;
    }
    return true;
}

/* What got something then and gets this now uses it, whatever its stage was called. */
static bool note_replayed_use(const struct replay *replay)
{
    const struct policy_decision *decision = replay->decision;

    if (!replay->recorded->is_allowed || !replay->is_allowed)
        return true;
    for (size_t i = 0; i < decision->grant_count; i++)
        if (!note_use(replay->run, replay->run->replayed,
                      use_key(replay->arena, decision->stage->id, decision->grants[i].grant->name),
                      replay->recorded->time_s))
            return false;
    return true;
}

static bool add_unused(struct run *run, const struct policy_stage *stage, struct str grant)
{
    struct simulation *simulation = run->simulation;
    struct str key = use_key(run->arena, stage->id, grant);
    int64_t last_s = json_integer_value(json_object_getn(run->used, key.data, key.len));
    void *list = simulation->unused;

    if (json_object_getn(run->replayed, key.data, key.len) || last_s >= run->options->since_s)
        return true;
    if (!grow(run, &list, simulation->unused_count, sizeof(struct unused_grant)))
        return false;
    simulation->unused = list;
    simulation->unused[simulation->unused_count++] = (struct unused_grant){
        .stage = stage->id, .grant = grant, .owner = stage->owner, .last_s = last_s
    };
    return true;
}

static bool find_unused(struct run *run)
{
    const struct policy *policy = run->options->policy;

    for (size_t i = 0; i < policy_stage_count(policy); i++) {
        const struct policy_stage *stage = policy_stage_at(policy, i);

        for (size_t k = 0; k < stage->grant_count; k++)
            if (!add_unused(run, stage, stage->grants[k].name))
                return false;
    }
    return true;
}

/* ---- one request ---- */

static bool decide_again(struct run *run, struct recorded *recorded, struct arena *arena)
{
    struct policy_decision decision = { 0 };
    struct error why = { 0 };
    struct replay replay = {
        .run = run, .arena = arena, .recorded = recorded, .decision = &decision
    };

    replay.is_allowed = policy_decide(run->options->policy, &recorded->facts, &recorded->request,
                                      recorded->time_s, arena, &decision, &why);
    replay.code = why.code;
    if (why.code == ERROR_MEMORY)
        return no_memory(run);
    if (recorded->unknown.asked.len > 0)
        return add_doubt(run,
                         arena_printf(arena, "'" STR_FMT "' of the request is not known any more",
                                      STR_ARG(recorded->unknown.asked)),
                         recorded->count);
    if (replay.is_allowed && !recorded->is_allowed && recorded_is_of_moment(recorded))
        return add_doubt(run, STR(RECORDED_OF_MOMENT), recorded->count);
    return note_replayed_use(&replay) && compare(&replay);
}

/* Whether a credential's entry is the second one of a decision that was seen. */
static bool is_second(const struct run *run, const struct recorded *recorded, const json_t *entry)
{
    struct str type = json_str(json_object_get(entry, "type"));
    struct str id = recorded->decision;

    if (str_eq(type, STR("lease.requested")))
        return json_object_setn_new(run->open, id.data, id.len, json_true()) != 0;
    return json_object_deln(run->open, id.data, id.len) == 0;
}

static bool take(struct run *run, struct recorded *recorded, const json_t *entry,
                 struct arena *arena)
{
    if (!note_recorded_use(run, recorded, arena))
        return false;
    if (is_second(run, recorded, entry) || recorded->time_s < run->options->since_s)
        return true;
    if (!recorded->is_of_policy) {
        run->simulation->other_count += recorded->count;
        return true;
    }
    run->simulation->request_count += recorded->count;
    if (recorded->cannot)
        return add_doubt(run, str_from(recorded->cannot), recorded->count);
    return decide_again(run, recorded, arena);
}

/* ---- the log ---- */

static bool look_at(struct run *run, const struct ledger_item *item, struct arena *arena)
{
    struct recorded recorded;
    struct error why = { 0 };
    const json_t *entry = NULL;
    bool is_read = ledger_item_parse(item, arena, &entry, &why);

    if (is_read && !recorded_is_decision(entry))
        return true;
    /* A private part that does not read is as if it were erased. */
    if (is_read && recorded_read(run->options->world, entry, ledger_item_private(item, arena),
                                 arena, &recorded, &why))
        return take(run, &recorded, entry, arena);
    if (why.code == ERROR_MEMORY)
        return no_memory(run);
    run->simulation->skipped_count++;
    return true;
}

static bool look_at_item(const struct ledger_item *item, void *context, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ENTRY_ARENA_MAX);
    struct run *run = context;

    (void)error; /* it is the run's */
    return arena ? look_at(run, item, arena) : no_memory(run);
}

static bool walk(struct run *run)
{
    const struct ledger_walk all = {
        .to = UINT64_MAX, .what = "replaying", .each = look_at_item, .context = run
    };

    ledger_source_want_private(run->options->ledger);
    return ledger_source_walk(run->options->ledger, &all, run->error);
}

static int compare_flips(const void *a, const void *b)
{
    const struct flip *left = a;
    const struct flip *right = b;

    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    if (left->count != right->count)
        return left->count > right->count ? -1 : 1;
    return str_compare(left->stage, right->stage);
}

static bool keep_object(const struct run *run, json_t **object)
{
    *object = json_object();
    return *object && json_keep(run->arena, *object, run->error);
}

bool simulation_run(const struct simulation_options *options, struct arena *arena,
                    struct simulation *simulation, struct error *error)
{
    struct run run = {
        .options = options, .arena = arena, .simulation = simulation, .error = error
    };

    *simulation = (struct simulation){ 0 };
    if (!keep_object(&run, &run.flips) || !keep_object(&run, &run.doubts) ||
        !keep_object(&run, &run.open) || !keep_object(&run, &run.used) ||
        !keep_object(&run, &run.replayed))
        return error->code == ERROR_NONE ? no_memory(&run) : false;
    if (!walk(&run) || !find_unused(&run))
        return false;
    if (simulation->flip_count > 0)
        qsort(simulation->flips, simulation->flip_count, sizeof(struct flip), compare_flips);
    return true;
}

/* ---- JSON ---- */

static bool put_time(json_t *object, const char *name, int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(time_s, text);
    return json_put(object, name, json_string(text));
}

static bool fill_flip(json_t *object, const struct flip *flip)
{
    size_t kept = flip->decision_count < SIMULATION_DECISIONS_MAX ? flip->decision_count
                                                                  : SIMULATION_DECISIONS_MAX;

    return json_put(object, "kind", json_string(flip_kind_name(flip->kind))) &&
           json_put(object, "stage", json_from_str(flip->stage)) &&
           json_put(object, "owner", json_from_str(flip->owner)) &&
           json_put(object, "before", json_from_str(flip->before)) &&
           json_put(object, "now", json_from_str(flip->now)) &&
           json_put(object, "failed", json_from_strs(flip->failed, flip->failed_count)) &&
           json_put(object, "count", json_integer(flip->count)) &&
           put_time(object, "last", flip->last_s) &&
           json_put(object, "decisions", json_from_strs(flip->decisions, kept));
}

static bool fill_doubt(json_t *object, const struct doubt *doubt)
{
    return json_put(object, "why", json_from_str(doubt->why)) &&
           json_put(object, "count", json_integer(doubt->count));
}

static bool fill_unused(json_t *object, const struct unused_grant *unused)
{
    return json_put(object, "stage", json_from_str(unused->stage)) &&
           json_put(object, "grant", json_from_str(unused->grant)) &&
           json_put(object, "owner", json_from_str(unused->owner)) &&
           (unused->last_s == 0 || put_time(object, "last", unused->last_s));
}

static bool put_lists(json_t *json, const struct simulation *simulation)
{
    json_t *flips = json_array();
    json_t *doubts = json_array();
    json_t *unused = json_array();
    bool is_put = json_put(json, "flips", flips);

    is_put = json_put(json, "cannot_tell", doubts) && is_put;
    is_put = json_put(json, "unused", unused) && is_put;
    for (size_t i = 0; is_put && i < simulation->flip_count; i++)
        is_put = fill_flip(json_append_object(flips), &simulation->flips[i]);
    for (size_t i = 0; is_put && i < simulation->doubt_kinds; i++)
        is_put = fill_doubt(json_append_object(doubts), &simulation->doubts[i]);
    for (size_t i = 0; is_put && i < simulation->unused_count; i++)
        is_put = fill_unused(json_append_object(unused), &simulation->unused[i]);
    return is_put;
}

json_t *simulation_json(const struct simulation *simulation)
{
    JSON_OWNED json_t *json = json_object();
    const struct {
        const char *name;
        int64_t count;
    } counts[] = {
        { "requests", simulation->request_count },
        { "same", simulation->same_count },
        { "now_denied", simulation->flipped_count[FLIP_DENIED] },
        { "now_allowed", simulation->flipped_count[FLIP_ALLOWED] },
        { "changed", simulation->flipped_count[FLIP_CHANGED] },
        { "not_told", simulation->doubt_count },
        { "not_of_the_policy", simulation->other_count },
        { "skipped", simulation->skipped_count },
        { "not_listed", simulation->lost_count },
    };

    for (size_t i = 0; i < COUNT(counts); i++)
        if (!json_put(json, counts[i].name, json_integer(counts[i].count)))
            return NULL;
    return put_lists(json, simulation) ? TAKE(json) : NULL;
}
