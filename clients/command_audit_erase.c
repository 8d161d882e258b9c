#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "clients/broker.h"
#include "clients/command.h"
#include "clients/login_file.h"
#include "clients/report.h"
#include "upstream/upstream.h"

#define ARENA_MAX ((size_t)16 * 1024 * 1024)
#define FORM_MAX ((size_t)16 * 1024)
#define TIMEOUT_MS 60000
#define REASON_MAX 256

struct values {
    struct broker_options broker;
    struct option_list persons;
    const char *run;
    const char *lease;
    const char *reason;
    bool is_meant;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "person",
      .kind = OPTION_LIST,
      .value = "VALUE",
      .help = "A name, id, mail or network address that stands in private parts, whole; may be "
              "repeated: each is looked for by itself",
      .offset = offsetof(struct values, persons) },
    { .name = "run",
      .kind = OPTION_TEXT,
      .value = "RUN",
      .help = "Only entries of this run (`ci.run`)",
      .offset = offsetof(struct values, run) },
    { .name = "lease",
      .kind = OPTION_TEXT,
      .value = "LEASE",
      .help = "Only entries of this lease",
      .offset = offsetof(struct values, lease) },
    { .name = "reason",
      .kind = OPTION_TEXT,
      .value = "TEXT",
      .help = "Why, for the ledger: it stays, so it must not name the person",
      .offset = offsetof(struct values, reason) },
    { .name = "yes",
      .kind = OPTION_FLAG,
      .help = "Erase. Without it nothing is, and the entries are counted",
      .offset = offsetof(struct values, is_meant) },
    OUTPUT_ROW(struct values, "How the result is printed"),
};

/* Threads: confined */
struct erasing {
    const struct values *values;
    struct broker broker;
    struct str header;
    struct arena *arena;
    uint64_t matched;
    uint64_t erased;
    uint64_t live;
    json_t *entries; /* indices of the erasures' own entries */
};

static bool check(const struct values *values, struct error *error)
{
    if (values->persons.count == 0 && !values->run && !values->lease)
        return error_set(error, ERROR_USAGE, "whose? Say --person, --run or --lease");
    if (!values->reason || values->reason[0] == '\0')
        return error_set(error, ERROR_USAGE, "an erasure needs a --reason");
    if (str_from(values->reason).len > REASON_MAX || str_has_control(str_from(values->reason)))
        return error_set(error, ERROR_USAGE, "--reason: at most %d bytes of plain text",
                         REASON_MAX);
    if (values->lease && !id_is_valid(str_from(values->lease)))
        return error_set(error, ERROR_USAGE, "--lease: that is no lease's id");
    for (size_t i = 0; i < values->persons.count; i++) {
        if (values->persons.items[i][0] == '\0')
            return error_set(error, ERROR_USAGE, "--person: nobody is named so");
        if (str_contains(str_from(values->reason), str_from(values->persons.items[i])))
            return error_set(error, ERROR_USAGE,
                             "the --reason names the person: it would stay in the ledger");
    }
    return true;
}

static void put(struct buf *form, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(form, "%s%s=", form->len > 0 ? "&" : "", name);
    buf_add_percent(form, str_from(value));
}

static bool refused(const struct fetch_answer *answer, struct error *error)
{
    if (answer->status == 401)
        return error_set(error, ERROR_REFUSED,
                         "the broker does not take the login (any more): 'stagepass login' makes a "
                         "new one");
    if (answer->status == 403)
        return error_set(error, ERROR_REFUSED,
                         "erasing takes the role operator, of all tenants: 'stagepass whoami' says "
                         "which you have");
    if (answer->status == 404)
        return error_set(error, ERROR_IO, "the broker does not know how to erase: is it older?");
    return error_set(error, answer->status >= 429 ? ERROR_LATER : ERROR_IO,
                     "the broker answers %d: its log says why", answer->status);
}

static uint64_t number(const json_t *answer, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(answer, name));
}

/* One piece of the log; `*next` is where the next one begins. */
static bool ask(struct erasing *erasing, const char *person, uint64_t *next, uint64_t *size,
                struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    JSON_OWNED json_t *json = NULL;
    struct broker_post post = { .path = "/api/v1/ledger/erasures",
                                .header = erasing->header.data,
                                .timeout_ms = TIMEOUT_MS };
    struct fetch_answer answer;
    uint64_t from = *next;

    buf_init(&form, FORM_MAX);
    put(&form, "person", person);
    put(&form, "run", erasing->values->run);
    put(&form, "lease", erasing->values->lease);
    put(&form, "reason", erasing->values->reason);
    buf_printf(&form, "&from=%" PRIu64 "&dry_run=%s", from,
               erasing->values->is_meant ? "false" : "true");
    if (!buf_is_ok(&form))
        return error_set(error, ERROR_LIMIT, "what is asked is too long");
    post.form = buf_str(&form);
    if (!broker_send(&erasing->broker, &post, erasing->arena, &answer, error))
        return false;
    if (answer.status != 200)
        return refused(&answer, error);
    if (!json_parse_object(answer.body, (struct json_limits){ 4096, 4, 32 }, &json, error))
        return error_wrap(error, "the broker's answer");
    *next = number(json, "next");
    *size = number(json, "size");
    erasing->matched += number(json, "matched");
    erasing->erased += number(json, "erased");
    erasing->live += number(json, "live");
    if (json_object_get(json, "entry") &&
        json_array_append(erasing->entries, json_object_get(json, "entry")) != 0)
        return error_set(error, ERROR_MEMORY, "no memory");
    return *next > from || *next >= *size ||
           error_set(error, ERROR_INVALID, "the broker does not come to an end");
}

static bool erase(struct erasing *erasing, const char *person, struct error *error)
{
    uint64_t next = 0;
    uint64_t end = 0;
    uint64_t size = 0;

    /* What is written meanwhile, our own entries among it, is not looked at. */
    do {
        if (!ask(erasing, person, &next, &size, error))
            return false;
        if (end == 0)
            end = size;
    } while (next < end);
    return true;
}

static bool erase_all(struct erasing *erasing, struct error *error)
{
    const struct option_list *persons = &erasing->values->persons;

    if (persons->count == 0)
        return erase(erasing, NULL, error);
    for (size_t i = 0; i < persons->count; i++)
        if (!erase(erasing, persons->items[i], error))
            return false;
    return true;
}

static bool open_broker(struct erasing *erasing, struct upstream *upstream, struct error *error)
{
    const struct broker_options *options = &erasing->values->broker;
    struct str token;

    erasing->entries = json_array();
    if (!broker_init(&erasing->broker, options->url, options->ca_file, upstream, erasing->arena,
                     error) ||
        !login_file_read(erasing->broker.url, erasing->arena, &token, error))
        return false;
    erasing->header =
        arena_printf(erasing->arena, "Authorization: Bearer " STR_FMT, STR_ARG(token));
    return (erasing->header.data && erasing->entries) ||
           error_set(error, ERROR_MEMORY, "no memory");
}

static int print_json(const struct erasing *erasing)
{
    JSON_OWNED json_t *json =
        json_pack("{s:b, s:I, s:I, s:I, s:O}", "dry_run", !erasing->values->is_meant, "matched",
                  (json_int_t)erasing->matched, "erased", (json_int_t)erasing->erased, "live",
                  (json_int_t)erasing->live, "entries", erasing->entries);

    return report_json(json);
}

static int print_text(const struct erasing *erasing)
{
    const json_t *entries = erasing->entries;

    (void)printf("%" PRIu64 " %s a private part to erase\n", erasing->matched,
                 report_word(erasing->matched, "entry has", "entries have"));
    if (erasing->live > 0)
        (void)printf("%" PRIu64 " of them wait until their lease is over: run this again then\n",
                     erasing->live);
    if (!erasing->values->is_meant)
        (void)puts("nothing was erased: --yes does it");
    else
        (void)printf("%" PRIu64 " were erased\n", erasing->erased);
    for (size_t i = 0; i < json_array_size(entries); i++)
        (void)printf("entry %" JSON_INTEGER_FORMAT " says so\n",
                     json_integer_value(json_array_get(entries, i)));
    return report_finish();
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct erasing erasing = { .values = given, .arena = arena };
    struct upstream *upstream = NULL;
    struct error error = { 0 };
    bool is_good = false;
    int code = 0;

    (void)operands;
    if (!arena)
        (void)error_set(&error, ERROR_MEMORY, "no memory");
    else
        is_good = check(given, &error) && upstream_start(&upstream, &error) &&
                  open_broker(&erasing, upstream, &error) && erase_all(&erasing, &error);
    upstream_stop(upstream);
    if (!is_good && erasing.erased > 0)
        report_line("%" PRIu64 " entries were erased before it failed", erasing.erased);
    if (!is_good)
        code = report_failure(&error);
    else
        code = erasing.values->output == OUTPUT_JSON ? print_json(&erasing) : print_text(&erasing);
    json_decref(erasing.entries);
    return code;
}

const struct command command_audit_erase = {
    .group = "audit",
    .name = "erase",
    .operands = "",
    .summary = "Erase who somebody is from the ledger, for good",
    .description =
        "Overwrites the private parts of entries: actors, addresses and other personal values,\n"
        "whose salted digests stay in the entries. The log is as long as before and verifies;\n"
        "nobody can tell any more what the digests stand for. It cannot be undone.\n"
        "\n"
        "Without --yes it only counts. An erasure is an entry itself, `admin.erased`, with who\n"
        "asked, why, and which entries, but not whose they are. Entries of leases that are not\n"
        "over are left. Takes the role operator. See docs/privacy.md for what it does not reach:\n"
        "back-ups, streams, exports.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
