/*
 * Tries a ledger at every point where a disk can fail it or the machine can stop.
 *
 *   sweep crash    one run is recorded; then each state that a stop at each operation may leave is
 *                  put on disk, opened and checked
 *   sweep faults   one run for each operation that is made to fail, in each way; a second run goes
 *                  on from what it left; then power is lost
 *
 * Each begins with a disk that says of every sync that it was done and does none: what that loses
 * must be found.
 *
 *   --every N      only each N-th of these, beginning with --from (1): for a run that is to be
 * short
 *   --folder F     where to work, by default /dev/shm, else /tmp
 *
 * Prints "ok - " and "not ok - " lines. Exit 0 where all holds, 1 where not, 2 for wrong arguments.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/fault/check.h"
#include "tests/fault/disk.h"
#include "tests/fault/workload.h"

#define JOURNAL_LEN ((size_t)256 * 1024 * 1024)
#define CHILD_S 120
#define WRONG_MAX 20

/* Threads: confined */
struct sweep {
    struct workplace place;
    struct fault_control *control;
    uint64_t every;
    uint64_t from;
    uint64_t turn; /* counts what could be tried */
    uint64_t tried;
    uint64_t wrong;
    bool is_silent; /* what is wrong is expected */
};

static bool is_turn(struct sweep *sweep)
{
    return sweep->turn++ % sweep->every == sweep->from % sweep->every;
}

__attribute__((format(printf, 3, 4))) static void judge(struct sweep *sweep, bool is_good,
                                                        const char *format, ...)
{
    va_list arguments;

    sweep->tried++;
    if (is_good)
        return;
    sweep->wrong++;
    if (sweep->is_silent || sweep->wrong > WRONG_MAX)
        return;
    printf("    ");
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

static void conclude(struct sweep *sweep, const char *what)
{
    printf("%s - %s: %" PRIu64 " states\n", sweep->wrong == 0 && sweep->tried > 0 ? "ok" : "not ok",
           what, sweep->tried);
    (void)fflush(stdout);
}

/* ---- runs in children ---- */

static void disarm(struct sweep *sweep)
{
    sweep->control->mode = FAULT_NEVER;
    sweep->control->kinds = FAULT_ALL_KINDS;
    sweep->control->count = 0;
    sweep->control->fired = 0;
    sweep->control->space = -1;
}

static void start_anew(struct sweep *sweep)
{
    struct error error = { 0 };

    if (!file_remove_folder(sweep->place.store, &error))
        judge(sweep, false, "%s", error.cause);
    sweep->control->used = 0;
    disarm(sweep);
}

/* Run a part of the workload in a child: how it ended. */
static int run(struct sweep *sweep, uint64_t go_on_from)
{
    int status = -1;
    pid_t child = -1;

    (void)fflush(stdout);
    sweep->control->paused = 0;
    child = fork();
    if (child == 0) {
        (void)alarm(CHILD_S);
        if (go_on_from == 0)
            workload_run(&sweep->place);
        else
            workload_go_on(&sweep->place, go_on_from);
        _exit(0);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    sweep->control->paused = 1; /* what we do to the folder is no part of it */
    return status;
}

/* ---- the journal ---- */

static const struct fault_record *record_at(const struct sweep *sweep, uint64_t at)
{
    return (const struct fault_record *)(const void *)(sweep->control->journal + at);
}

static void take_note(struct history *history, const struct fault_record *record)
{
    if (record->operation == FAULT_NOTE && record->data_len == sizeof(struct note))
        history_add(history, (const struct note *)(const void *)(record + 1));
}

/* What happened between two places of the journal. */
static bool replay(const struct sweep *sweep, uint64_t from, uint64_t to, struct disk *disk,
                   struct history *history)
{
    for (uint64_t at = from; at < to; at += fault_record_len(record_at(sweep, at))) {
        take_note(history, record_at(sweep, at));
        if (!disk_apply(disk, record_at(sweep, at)))
            return false;
    }
    return true;
}

static const char *operation_name(uint32_t operation)
{
    static const char *const names[FAULT_OPERATION_COUNT] = {
        "write",    "sync",  "sync of a folder", "rename", "truncation", "allocation",
        "creation", "mkdir", "unlink",           "rmdir",
    };

    return operation < FAULT_OPERATION_COUNT ? names[operation] : "failed sync";
}

/* NOLINTNEXTLINE(readability-function-size): what is torn is two things */
static void try_state(struct sweep *sweep, const struct disk *disk, const struct history *history,
                      enum disk_rest rest, const struct fault_record *torn, size_t torn_len,
                      const char *when)
{
    uint64_t seed = sweep->turn;
    char why[512] = "the state could not be made";
    bool is_good = disk_restore(disk, rest, seed, torn, torn_len, sweep->place.store) &&
                   check_store(&sweep->place, history, CHECK_MUST_START, why);

    judge(sweep, is_good, "%s, left is %s%s (%" PRIu64 "): %s", when, disk_rest_name(rest),
          torn == NULL ? "" : " and a part of it", seed, why);
}

/* ---- crash ---- */

static size_t torn_len(uint64_t number, uint64_t len)
{
    const uint64_t lens[] = { len / 2, 1, len - 1, len / 512 * 512, len / 3 };
    uint64_t chosen = lens[number % (sizeof(lens) / sizeof(lens[0]))];

    return chosen < len ? (size_t)chosen : (size_t)len - 1;
}

/* A stop just before `record` is done, and in the middle of it. */
static void stop_before(struct sweep *sweep, const struct disk *disk, const struct history *history,
                        const struct fault_record *record, uint64_t number)
{
    int rests = disk_is_dirty(disk) ? DISK_REST_COUNT : DISK_ALL + 1;
    char when[512];

    (void)snprintf(when, sizeof(when), "before operation %" PRIu64 ", %s of %.*s", number,
                   operation_name(record->operation), (int)record->name_len,
                   (const char *)(record + 1));
    for (int rest = DISK_ALL; rest < rests; rest++) {
        if (is_turn(sweep))
            try_state(sweep, disk, history, (enum disk_rest)rest, NULL, 0, when);
    }
    if (record->operation == FAULT_WRITE && record->len > 1 && is_turn(sweep))
        try_state(sweep, disk, history, DISK_ALL, record, torn_len(number, record->len), when);
}

/* Stops at each operation of the journal from `from` on. */
static void stop_everywhere(struct sweep *sweep, uint64_t from, struct disk *disk,
                            struct history *history)
{
    uint64_t end = sweep->control->used;
    uint64_t number = 0;

    for (uint64_t at = from; at < end; at += fault_record_len(record_at(sweep, at))) {
        const struct fault_record *record = record_at(sweep, at);

        if (record->operation != FAULT_NOTE)
            stop_before(sweep, disk, history, record, ++number);
        take_note(history, record);
        if (!disk_apply(disk, record))
            judge(sweep, false, "no memory");
    }
    for (int rest = DISK_ALL; rest < DISK_REST_COUNT; rest++)
        try_state(sweep, disk, history, (enum disk_rest)rest, NULL, 0, "at the end");
}

static bool has_note(const struct history *history, enum note_kind kind)
{
    for (size_t i = 0; i < history->count; i++) {
        if (history->notes[i]->kind == kind)
            return true;
    }
    return false;
}

/* One run whose states are then tried. */
static void record_and_stop(struct sweep *sweep, enum fault_mode mode)
{
    struct history *history = calloc(1, sizeof(*history));
    struct disk *disk = disk_new();
    int status = 0;

    start_anew(sweep);
    sweep->control->kinds = mode == FAULT_LIE ? UINT64_C(1) << FAULT_SYNC : FAULT_ALL_KINDS;
    sweep->control->at = 1;
    sweep->control->times = UINT64_MAX;
    sweep->control->mode = mode;
    status = run(sweep, 0);
    judge(sweep, status == 0 && sweep->control->overflow == 0, "the run ended with status %d",
          status);
    stop_everywhere(sweep, 0, disk, history);
    judge(sweep, history->count > 300, "only %zu answers were given", history->count);
    judge(sweep, has_note(history, NOTE_ERASED), "nothing was erased");
    disk_free(disk);
    free(history);
}

/* The checker must find what a disk loses that lies: else it could find nothing. */
static void sweep_lies(struct sweep *sweep)
{
    struct sweep lies = {
        .place = sweep->place, .control = sweep->control, .every = 97, .from = 1, .is_silent = true
    };

    record_and_stop(&lies, FAULT_LIE);
    printf("%s - a disk that lies is found out: %" PRIu64 " of %" PRIu64 " states\n",
           lies.wrong > 0 ? "ok" : "not ok", lies.wrong, lies.tried);
    if (lies.wrong == 0)
        sweep->wrong++;
}

static void sweep_crash(struct sweep *sweep)
{
    record_and_stop(sweep, FAULT_NEVER);
    conclude(sweep, "whenever the machine stops, what clients were told is there");
}

/* ---- faults ---- */

struct way {
    const char *name;
    enum fault_mode mode;
    int error;
    uint64_t kinds;
    uint64_t times;
};

#define BIT(kind) (UINT64_C(1) << FAULT_##kind)
#define SPACE_KINDS (BIT(WRITE) | BIT(ALLOCATE) | BIT(CREATE) | BIT(MKDIR) | BIT(RENAME))

static const struct way ways[] = {
    { "EIO", FAULT_ERROR, EIO, FAULT_ALL_KINDS, 1 },
    { "ENOSPC", FAULT_ERROR, ENOSPC, SPACE_KINDS, 1 },
    { "ENOSPC eight times", FAULT_ERROR, ENOSPC, SPACE_KINDS, 8 },
    { "a short write", FAULT_SHORT, ENOSPC, BIT(WRITE), 1 },
    { "a short write and no space", FAULT_SHORT, ENOSPC, SPACE_KINDS, 3 },
    { "a kill before", FAULT_KILL, 0, FAULT_ALL_KINDS, 1 },
    { "a kill in the middle", FAULT_KILL_HALF, 0, BIT(WRITE), 1 },
    { "a kill behind", FAULT_KILL_BEHIND, 0, FAULT_ALL_KINDS, 1 },
};

static bool is_kill(const struct way *way)
{
    return way->mode == FAULT_KILL || way->mode == FAULT_KILL_HALF ||
           way->mode == FAULT_KILL_BEHIND;
}

static void arm(struct sweep *sweep, const struct way *way, uint64_t number)
{
    disarm(sweep);
    sweep->control->error = (uint64_t)way->error;
    sweep->control->kinds = way->kinds;
    sweep->control->at = number;
    sweep->control->times = way->times;
    sweep->control->mode = way->mode;
}

static bool ended_well(const struct way *way, int status)
{
    if (is_kill(way))
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    return status == 0;
}

/* The second run, without faults, on what the first one left; then stops in it. */
static void go_on(struct sweep *sweep, const struct way *way, uint64_t number, struct disk *disk,
                  struct history *history)
{
    uint64_t used = sweep->control->used;
    size_t told = history->count;
    bool is_open = false;
    char when[200];
    int status = 0;

    disarm(sweep);
    status = run(sweep, 200);
    judge(sweep, status == 0, "%s at %" PRIu64 ": the next run ended with status %d", way->name,
          number, status);
    if (!replay(sweep, used, sweep->control->used, disk, history))
        judge(sweep, false, "no memory");
    for (size_t i = told; i < history->count; i++) {
        is_open = is_open || history->notes[i]->kind == NOTE_OPENED;
        if (history->notes[i]->kind == NOTE_REFUSED)
            judge(sweep, false, "%s at %" PRIu64 ": the next run: %s", way->name, number,
                  history->notes[i]->text);
    }
    judge(sweep, is_open, "%s at %" PRIu64 ": the next run opened nothing", way->name, number);
    (void)snprintf(when, sizeof(when), "%s at %" PRIu64 ", a run, and a loss of power", way->name,
                   number);
    try_state(sweep, disk, history, DISK_NOTHING, NULL, 0, when);
}

/* What follows a run with a fault: the next run, and a loss of power behind that. */
static void try_fault(struct sweep *sweep, const struct way *way, uint64_t number, int status)
{
    struct history *history = calloc(1, sizeof(*history));
    struct disk *disk = disk_new();
    char when[200];

    (void)snprintf(when, sizeof(when), "%s at %" PRIu64, way->name, number);
    judge(sweep, ended_well(way, status), "%s: the run ended with status %d", when, status);
    if (!replay(sweep, 0, sweep->control->used, disk, history))
        judge(sweep, false, "no memory");
    go_on(sweep, way, number, disk, history);
    disk_free(disk);
    free(history);
}

/* What a run with a fault left behind when power is lost at once. */
static void lose_power(struct sweep *sweep, const struct way *way, uint64_t number)
{
    struct history *history = calloc(1, sizeof(*history));
    struct disk *disk = disk_new();
    char when[200];

    (void)snprintf(when, sizeof(when), "%s at %" PRIu64 ", and a loss of power", way->name, number);
    if (!replay(sweep, 0, sweep->control->used, disk, history))
        judge(sweep, false, "no memory");
    try_state(sweep, disk, history, DISK_NOTHING, NULL, 0, when);
    try_state(sweep, disk, history, DISK_SOME, NULL, 0, when);
    disk_free(disk);
    free(history);
}

static void sweep_way(struct sweep *sweep, const struct way *way)
{
    bool has_fired = true;
    uint64_t number = 0;
    uint64_t points = 0;

    while (has_fired) {
        uint64_t used = 0;
        int status = 0;

        number++;
        if (!is_turn(sweep) && number % 64 != 0)
            continue;
        start_anew(sweep);
        arm(sweep, way, number);
        status = run(sweep, 0);
        has_fired = sweep->control->fired > 0;
        if (!has_fired) {
            judge(sweep, status == 0, "the run without a fault ended with status %d", status);
            continue;
        }
        points++;
        used = sweep->control->used;
        try_fault(sweep, way, number, status);
        sweep->control->used = used;
        lose_power(sweep, way, number);
    }
    printf("# %s: %" PRIu64 " runs, the last at operation %" PRIu64 "\n", way->name, points,
           number);
    judge(sweep, points > 1, "%s: nothing failed", way->name);
}

static void sweep_faults(struct sweep *sweep)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        uint64_t wrong = sweep->wrong;
        uint64_t tried = sweep->tried;

        sweep->wrong = 0;
        sweep->tried = 0;
        sweep_way(sweep, &ways[i]);
        conclude(sweep, ways[i].name);
        sweep->wrong += wrong;
        sweep->tried += tried;
    }
}

/* ---- arguments ---- */

static bool read_number(const char *text, uint64_t *number)
{
    *number = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        *number = *number * 10 + (uint64_t)(*text - '0');
    return *text == '\0' && *number > 0;
}

int main(int count, char **arguments)
{
    struct sweep sweep = { .every = 1, .from = 1 };
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    bool is_right = count >= 2 && count % 2 == 0;
    uint64_t wrong = 0;

    for (int i = 2; is_right && i < count; i += 2) {
        if (strcmp(arguments[i], "--every") == 0)
            is_right = read_number(arguments[i + 1], &sweep.every);
        else if (strcmp(arguments[i], "--from") == 0)
            is_right = read_number(arguments[i + 1], &sweep.from);
        else if (strcmp(arguments[i], "--folder") == 0)
            parent = arguments[i + 1];
        else
            is_right = false;
    }
    is_right =
        is_right && (strcmp(arguments[1], "crash") == 0 || strcmp(arguments[1], "faults") == 0);
    if (!is_right) {
        fprintf(stderr, "usage: sweep crash|faults [--every N] [--from N] [--folder FOLDER]\n");
        return 2;
    }
    if (!workplace_make(&sweep.place, parent))
        return 1;
    sweep.control = fault_begin(sweep.place.store, JOURNAL_LEN);
    if (sweep.control == NULL)
        return 1;
    sweep.control->paused = 1;
    sweep_lies(&sweep);
    if (strcmp(arguments[1], "crash") == 0)
        sweep_crash(&sweep);
    else
        sweep_faults(&sweep);
    wrong = sweep.wrong;
    fault_end(sweep.control);
    workplace_remove(&sweep.place);
    return wrong == 0 ? 0 : 1;
}
