/*
 * A sample that nobody chooses: who has the ledger's root can draw it again, and who makes the
 * ledger cannot steer it without changing the root.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/entry_print.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"
#include "clients/report.h"

#define ALGORITHM "stagepass-sample-1"
#define SAMPLE_MAX 10000
#define COUNT_DEFAULT 25
#define ARENA_MAX ((size_t)1024 * 1024)

struct values {
    struct ledger_source_options ledger;
    struct ledger_filter_options filter;
    int64_t count;
    int64_t size;
    size_t output;
};

static const struct values defaults = { .count = COUNT_DEFAULT };

static const struct option_row rows[] = {
    { .name = "n",
      .kind = OPTION_COUNT,
      .value = "N",
      .help = "How many entries, at most 10000; else 25",
      .offset = offsetof(struct values, count),
      .letter = 'n' },
    { .name = "size",
      .kind = OPTION_COUNT,
      .value = "SIZE",
      .help = "Of the ledger's first SIZE entries, to draw an earlier sample again; else of all "
              "that are signed",
      .offset = offsetof(struct values, size) },
    OUTPUT_ROW(struct values, "How the sample is printed"),
};

/* An entry that fits, and where it comes in the draw. */
struct drawn {
    uint8_t key[SHA256_LEN];
    uint64_t index;
};

struct sampling {
    const struct values *values;
    struct ledger_source *source;
    struct ledger_query query;
    uint64_t size;
    struct merkle_hash root;
    struct drawn *population;
    size_t count;
    size_t capacity;
};

/* ---- the population ---- */

static bool take(const struct ledger_found *found, void *context, struct error *error)
{
    struct sampling *sampling = context;

    if (sampling->count == sampling->capacity) {
        size_t capacity = sampling->capacity ? 2 * sampling->capacity : 1024;
        struct drawn *larger =
            reallocarray(sampling->population, capacity, sizeof(*sampling->population));

        if (!larger)
            return error_set(error, ERROR_MEMORY, "no memory for a sample");
        sampling->population = larger;
        sampling->capacity = capacity;
    }
    sampling->population[sampling->count++].index = found->item.index;
    return true;
}

/* Every entry is hashed: the root is that of what is looked at, whatever a checkpoint says. */
static bool find_population(struct sampling *sampling, struct error *error)
{
    const struct ledger_facts *facts = ledger_source_facts(sampling->source);
    struct merkle_frontier frontier = { 0 };
    struct ledger_scan scan = { .query = &sampling->query,
                                .to = sampling->size,
                                .what = "hashing",
                                .frontier = &frontier,
                                .each = take,
                                .context = sampling };

    if (sampling->size > 0 && !ledger_scan_run(sampling->source, &scan, error))
        return false;
    ledger_scan_report(&scan);
    sampling->root = merkle_frontier_root(&frontier);
    if (frontier.size != sampling->size)
        return error_set(error, ERROR_INVALID, "%s has %" PRIu64 " entries only", facts->name,
                         frontier.size);
    return sampling->size != facts->signed_size || merkle_hash_eq(&sampling->root, &facts->root) ||
           error_set(error, ERROR_INVALID,
                     "%s: its entries do not have the root of its checkpoint: `stagepass audit "
                     "verify` says where",
                     facts->name);
}

/* ---- the draw ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct drawn *left = a;
    const struct drawn *right = b;
    int order = memcmp(left->key, right->key, sizeof(left->key));

    if (order != 0)
        return order;
    return left->index < right->index ? -1 : left->index > right->index;
}

static int compare_indices(const void *a, const void *b)
{
    const struct drawn *left = a;
    const struct drawn *right = b;

    return left->index < right->index ? -1 : left->index > right->index;
}

/* Key of entry I: SHA-256(root || I as 8 bytes, big-endian). The N smallest are drawn. */
static size_t draw(struct sampling *sampling)
{
    size_t wanted = (size_t)sampling->values->count;
    size_t drawn = sampling->count < wanted ? sampling->count : wanted;

    for (size_t i = 0; i < sampling->count; i++) {
        uint8_t index[8];

        for (size_t k = 0; k < sizeof(index); k++)
            index[k] = (uint8_t)(sampling->population[i].index >> (56 - 8 * k));
        sha256_2((struct str){ (const char *)sampling->root.bytes, MERKLE_HASH_LEN },
                 (struct str){ (const char *)index, sizeof(index) }, sampling->population[i].key);
    }
    if (sampling->count > 0)
        qsort(sampling->population, sampling->count, sizeof(struct drawn), compare_keys);
    if (drawn > 0)
        qsort(sampling->population, drawn, sizeof(struct drawn), compare_indices);
    return drawn;
}

/* ---- printing ---- */

static json_t *json_from_bytes(const uint8_t *bytes, size_t len, bool is_hex)
{
    OWNED(buf_release) struct buf text = { 0 };
    const struct str str = { (const char *)bytes, len };

    buf_init(&text, 128);
    if (is_hex)
        buf_add_hex(&text, str);
    else
        buf_add_base64(&text, str);
    return buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

static bool print_text(const struct sampling *sampling, size_t drawn, struct error *error)
{
    OWNED(buf_release) struct buf root = { 0 };

    buf_init(&root, 64);
    buf_add_base64(&root, (struct str){ (const char *)sampling->root.bytes, MERKLE_HASH_LEN });
    (void)printf("%zu of %zu entries that fit, of %" PRIu64 " with root " STR_FMT "\n", drawn,
                 sampling->count, sampling->size, STR_ARG(buf_str(&root)));
    for (size_t i = 0; i < drawn; i++) {
        struct ledger_item item;

        if (!ledger_source_get(sampling->source, sampling->population[i].index, &item, error))
            return false;
        entry_print_line(&item);
    }
    (void)printf("to draw it again: the same options and --size %" PRIu64 "\n", sampling->size);
    return true;
}

static bool put_drawn(const struct sampling *sampling, const struct drawn *drawn, json_t *list,
                      struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    json_t *object = json_object();
    struct ledger_item item;
    const json_t *entry;

    if (json_array_append_new(list, object) != 0 || !arena)
        return error_set(error, ERROR_MEMORY, "no memory for a sample");
    if (!ledger_source_get(sampling->source, drawn->index, &item, error) ||
        !ledger_item_parse(&item, arena, &entry, error))
        return false;
    return (json_put(object, "index", json_integer((json_int_t)drawn->index)) &&
            json_put(object, "key", json_from_bytes(drawn->key, SHA256_LEN, true)) &&
            json_put(object, "entry", json_incref(json_iterable(entry)))) ||
           error_set(error, ERROR_MEMORY, "no memory for a sample");
}

static bool print_json(const struct sampling *sampling, size_t drawn, struct error *error)
{
    JSON_OWNED json_t *json = json_object();
    json_t *list = json_array();

    if (!json_put(json, "algorithm", json_string(ALGORITHM)) ||
        !json_put(json, "size", json_integer((json_int_t)sampling->size)) ||
        !json_put(json, "root", json_from_bytes(sampling->root.bytes, MERKLE_HASH_LEN, false)) ||
        !json_put(json, "population", json_integer((json_int_t)sampling->count)) ||
        !json_put(json, "ledger", ledger_source_json(sampling->source)) ||
        !json_put(json, "sample", list))
        return error_set(error, ERROR_MEMORY, "no memory for a sample");
    for (size_t i = 0; i < drawn; i++)
        if (!put_drawn(sampling, &sampling->population[i], list, error))
            return false;
    return print_clean_json(stdout, json) || error_set(error, ERROR_IO, "cannot write JSON");
}

/* ---- the command ---- */

static bool prepare(struct sampling *sampling, struct error *error)
{
    const struct values *values = sampling->values;
    struct ledger_filter_options filter = values->filter;
    const struct ledger_facts *facts;

    if (values->count < 1 || values->count > SAMPLE_MAX)
        return error_set(error, ERROR_USAGE, "-n: expected 1 to %d", SAMPLE_MAX);
    if (filter.fields[LEDGER_FIELD_TYPE].count == 0)
        filter.fields[LEDGER_FIELD_TYPE] = (struct option_list){ { "credential.issued" }, 1 };
    if (!ledger_filter_read(&filter, clock_wall_s() * 1000, &sampling->query, error) ||
        !ledger_source_open(&values->ledger, &sampling->source, error))
        return false;
    facts = ledger_source_facts(sampling->source);
    if (facts->kind == LEDGER_EXPORT && !facts->is_proven)
        return error_set(error, ERROR_USAGE, "%s is a selection: it has no root to draw by",
                         facts->name);
    sampling->size = values->size > 0      ? (uint64_t)values->size
                     : facts->note.len > 0 ? facts->signed_size
                                           : ledger_source_size(sampling->source);
    return true;
}

static int run(const void *given, const struct operands *operands)
{
    const struct values *values = given;
    struct sampling sampling = { .values = values };
    struct error error = { 0 };
    bool is_done = prepare(&sampling, &error) && find_population(&sampling, &error);
    size_t drawn = is_done ? draw(&sampling) : 0;

    (void)operands;
    is_done = is_done && (values->output == OUTPUT_JSON ? print_json(&sampling, drawn, &error)
                                                        : print_text(&sampling, drawn, &error));
    free(sampling.population);
    ledger_source_close(sampling.source);
    return is_done ? report_finish() : report_failure(&error);
}

const struct command command_audit_sample = {
    .group = "audit",
    .name = "sample",
    .operands = "",
    .summary = "Draw entries for control testing, by the ledger's root",
    .description =
        "Draws N of the entries that fit (credential.issued, unless --type says otherwise). Which\n"
        "ones follows from the root of the ledger alone, so that whoever has it draws the same, "
        "and\n"
        "nobody chooses: of each entry that fits SHA-256(root || index as 8 bytes, big-endian) is\n"
        "its key, and the N smallest keys are drawn. Every entry is hashed for it. --since 90d "
        "means\n"
        "something else tomorrow: give times in full to draw a sample again.",
    .groups = { OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0),
                OPTION_GROUP(ledger_filter_option_rows, offsetof(struct values, filter)) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .run = run,
};
