#include "base/time_zone.h"
#include "policy/prove_internal.h"

/*
 * When a request comes. Spans change at their ends only. Windows repeat each week while no zone
 * changes its offset: so from one change of an offset to the next a week tells all. Rules of zones
 * repeat every 400 years, as the calendar does, and none has a table of exceptions that goes beyond
 * the year 2100: so 400 years behind that are looked at, and no more.
 */

#define DAY_S ((int64_t)24 * 3600)
#define WEEK_S (7 * DAY_S)
#define CYCLE_S (146097 * DAY_S)         /* 400 years, and a whole number of weeks */
#define TABLES_END_S INT64_C(4102444800) /* 2100-01-01 */
#define TIME_MAX_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
#define SINCE_S INT64_C(1767225600)      /* 2026-01-01: no request came before this was written */

/* Offsets that were looked at for a whole week, in vain. */
#define SEEN_MAX 64
#define ZONES_MAX 16

/* What looking at windows for all time is worth, in steps. */
#define WINDOW_STEPS 100

struct seeker {
    struct prove_variable *variable;
    const struct prove_atom *more;
    /* The zones of all windows. */
    const struct time_zone *zones[ZONES_MAX];
    size_t zone_count;
    bool has_windows;
    bool is_undecided;
    int32_t seen[SEEN_MAX][ZONES_MAX];
    size_t seen_count;
};

/* ---- windows ---- */

static bool is_in_windows(const struct policy_window *list, size_t count, int64_t time_s)
{
    for (size_t i = 0; i < count; i++)
        if (policy_window_holds(&list[i], time_s))
            return true;
    return false;
}

/* ---- what is asked of a time ---- */

static bool allows(const struct prove_atom *atom, int64_t time_s)
{
    bool holds = atom->question == PROVE_SPAN
                     ? time_s >= atom->span.from_s && time_s < atom->span.to_s
                     : is_in_windows(atom->windows.list, atom->windows.count, time_s);

    return (atom->allowed & (holds ? PROVE_HOLDS : PROVE_FAILS)) != 0;
}

bool prove_time_allows(const struct prove_atom *atom, const struct prove_variable *variable)
{
    return allows(atom, variable->time_s);
}

/* The atom before `atom`; the first is the one more, if there is any. */
static const struct prove_atom *first_atom(const struct seeker *seeker)
{
    return seeker->more != NULL ? seeker->more : seeker->variable->atoms;
}

static const struct prove_atom *next_atom(const struct seeker *seeker,
                                          const struct prove_atom *atom)
{
    return atom == seeker->more ? seeker->variable->atoms : atom->next;
}

static bool try_time(struct seeker *seeker, int64_t time_s)
{
    for (const struct prove_atom *atom = first_atom(seeker); atom != NULL;
         atom = next_atom(seeker, atom))
        if (!allows(atom, time_s))
            return false;
    seeker->variable->time_s = time_s;
    seeker->variable->has_witness = true;
    return true;
}

/* Whether all spans allow a time; the windows are not looked at. */
static bool spans_allow(const struct seeker *seeker, int64_t time_s)
{
    for (const struct prove_atom *atom = first_atom(seeker); atom != NULL;
         atom = next_atom(seeker, atom))
        if (atom->question == PROVE_SPAN && !allows(atom, time_s))
            return false;
    return true;
}

/* The earliest end of a span behind a time. */
static int64_t next_end(const struct seeker *seeker, int64_t time_s, int64_t last_s)
{
    int64_t next_s = last_s;

    for (const struct prove_atom *atom = first_atom(seeker); atom != NULL;
         atom = next_atom(seeker, atom)) {
        if (atom->question != PROVE_SPAN)
            continue;
        if (atom->span.from_s > time_s && atom->span.from_s < next_s)
            next_s = atom->span.from_s;
        if (atom->span.to_s > time_s && atom->span.to_s < next_s)
            next_s = atom->span.to_s;
    }
    return next_s;
}

/* ---- weeks ---- */

static void add_zone(struct seeker *seeker, const struct time_zone *zone)
{
    for (size_t i = 0; i < seeker->zone_count; i++)
        if (seeker->zones[i] == zone)
            return;
    if (seeker->zone_count < ZONES_MAX)
        seeker->zones[seeker->zone_count++] = zone;
    else
        seeker->is_undecided = true;
}

static void gather_zones(struct seeker *seeker)
{
    for (const struct prove_atom *atom = first_atom(seeker); atom != NULL;
         atom = next_atom(seeker, atom)) {
        if (atom->question != PROVE_WINDOWS)
            continue;
        seeker->has_windows = true;
        for (size_t i = 0; i < atom->windows.count; i++)
            add_zone(seeker, atom->windows.list[i].zone);
    }
}

/* The earliest time behind `time_s` at which a clock is put forward or back. */
static int64_t next_change(const struct seeker *seeker, int64_t time_s, int64_t last_s)
{
    int64_t next_s = last_s;

    for (size_t i = 0; i < seeker->zone_count; i++) {
        int64_t change_s = time_zone_next_change_s(seeker->zones[i], time_s);

        next_s = change_s < next_s ? change_s : next_s;
    }
    return next_s;
}

/* Try when a zone's clocks show a minute, on each day from `from_s` on. */
static bool try_minute(struct seeker *seeker, const struct time_zone *zone, int64_t minute,
                       int64_t from_s, int64_t to_s)
{
    int64_t offset_s = time_zone_offset_s(zone, from_s);
    int64_t local_s = from_s + offset_s;
    int64_t day = local_s / DAY_S - (local_s % DAY_S < 0);

    for (int64_t i = 0; i <= 7; i++) {
        int64_t time_s = (day + i) * DAY_S + minute * 60 - offset_s;

        if (time_s > from_s && time_s < to_s && try_time(seeker, time_s))
            return true;
    }
    return false;
}

static bool try_window_ends(struct seeker *seeker, const struct prove_atom *atom, int64_t from_s,
                            int64_t to_s)
{
    for (size_t i = 0; i < atom->windows.count; i++) {
        const struct policy_window *window = &atom->windows.list[i];

        if (try_minute(seeker, window->zone, window->from_minute, from_s, to_s) ||
            try_minute(seeker, window->zone, window->to_minute, from_s, to_s))
            return true;
    }
    return false;
}

/* Whether a whole week with these offsets was looked at; else, that it is now. */
static bool was_seen(struct seeker *seeker, int64_t from_s, int64_t to_s)
{
    int32_t offsets[ZONES_MAX] = { 0 };

    for (size_t i = 0; i < seeker->zone_count; i++)
        offsets[i] = time_zone_offset_s(seeker->zones[i], from_s);
    for (size_t i = 0; i < seeker->seen_count; i++) {
        bool is_same = true;

        for (size_t k = 0; k < seeker->zone_count; k++)
            is_same &= seeker->seen[i][k] == offsets[k];
        if (is_same)
            return true;
    }
    if (to_s - from_s < WEEK_S + DAY_S || seeker->seen_count == SEEN_MAX)
        return false;
    for (size_t k = 0; k < seeker->zone_count; k++)
        seeker->seen[seeker->seen_count][k] = offsets[k];
    seeker->seen_count++;
    return false;
}

/* Look at [from_s, to_s), where neither a span nor an offset changes. */
static bool try_steady(struct seeker *seeker, int64_t from_s, int64_t to_s)
{
    if (was_seen(seeker, from_s, to_s))
        return false;
    if (try_time(seeker, from_s))
        return true;
    for (const struct prove_atom *atom = first_atom(seeker); atom != NULL;
         atom = next_atom(seeker, atom))
        if (atom->question == PROVE_WINDOWS && try_window_ends(seeker, atom, from_s, to_s))
            return true;
    return false;
}

/* Look at [from_s, to_s), where no span changes. */
static bool try_weeks(struct seeker *seeker, int64_t from_s, int64_t to_s)
{
    int64_t horizon_s = (from_s > TABLES_END_S ? from_s : TABLES_END_S) + CYCLE_S;
    int64_t last_s = to_s < horizon_s ? to_s : horizon_s;

    while (from_s < last_s) {
        int64_t next_s = next_change(seeker, from_s, last_s);

        if (try_steady(seeker, from_s, next_s))
            return true;
        from_s = next_s;
    }
    return false;
}

static bool try_between(struct seeker *seeker, int64_t from_s, int64_t to_s)
{
    while (from_s < to_s) {
        int64_t next_s = next_end(seeker, from_s, to_s);

        if (spans_allow(seeker, from_s) &&
            (seeker->has_windows ? try_weeks(seeker, from_s, next_s) : try_time(seeker, from_s)))
            return true;
        from_s = next_s;
    }
    return false;
}

enum proof_answer prove_time_check(struct prover *prover, struct prove_variable *variable,
                                   const struct prove_atom *more)
{
    struct seeker seeker = { .variable = variable, .more = more };
    int64_t since_s = prover->since_s > 0 ? prover->since_s : SINCE_S;

    gather_zones(&seeker);
    if (seeker.has_windows && !prove_spend(prover, WINDOW_STEPS))
        return PROOF_UNDECIDED;
    if (try_between(&seeker, since_s, TIME_MAX_S + 1))
        return PROOF_YES;
    return seeker.is_undecided ? PROOF_UNDECIDED : PROOF_NO;
}
