/*
 * Writes leases that live into a store that no broker has open: what exchanges would have left
 * there, through the store's own interface, in a fraction of the time.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/str.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "store/store.h"

#define IN_FLIGHT 256
#define ENTRY_LEN_MAX 4096
#define HANDLE_BYTES 16

struct wish {
    int64_t count;
    int64_t expires_s; /* since the epoch */
    int64_t heartbeat_s;
    FILE *handles;
};

struct slot {
    struct store_proposal proposal;
    char text[ENTRY_LEN_MAX];
    atomic_bool is_busy;
};

static _Noreturn void give_up(const char *what, const struct error *why)
{
    (void)fprintf(stderr, "bench_fill: %s: %s\n", what, why ? why->cause : "");
    exit(1);
}

static void done(struct store_proposal *proposal, void *context)
{
    struct slot *slot = context;

    if (!proposal->is_committed)
        give_up("append", &proposal->error);
    atomic_store(&slot->is_busy, false);
}

/* Texts of a number: an id, and hexadecimal and base64url digits of its digest. */
struct names {
    char id[ID_LEN + 1];
    char hex[2 * SHA256_LEN + 1];
    char handle[64];
    char handle_hex[2 * SHA256_LEN + 1];
};

static void write_hex(const uint8_t digest[SHA256_LEN], char hex[2 * SHA256_LEN + 1])
{
    for (size_t i = 0; i < SHA256_LEN; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static void name(uint64_t number, struct names *names)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    OWNED(buf_release) struct buf handle = { 0 };
    uint8_t digest[SHA256_LEN];
    char text[32];

    (void)snprintf(text, sizeof(text), "lease %" PRIu64, number);
    sha256(str_from(text), digest);
    for (size_t i = 0; i < ID_LEN; i++)
        names->id[i] = digits[i == 0 ? 0 : digest[i] & 31];
    names->id[ID_LEN] = '\0';
    write_hex(digest, names->hex);
    buf_init(&handle, sizeof(names->handle) - 1);
    buf_add(&handle, STR("sph_"));
    buf_add_base64url(&handle, (struct str){ (const char *)digest, HANDLE_BYTES });
    if (!buf_is_ok(&handle))
        give_up("handle", NULL);
    (void)snprintf(names->handle, sizeof(names->handle), STR_FMT, STR_ARG(buf_str(&handle)));
    sha256(str_from(names->handle), digest);
    write_hex(digest, names->handle_hex);
}

/* As the build of one of some hundred pipelines leaves it: two jobs a run, four a commit. */
static void write_entry(const struct wish *wish, uint64_t number, struct slot *slot)
{
    char heartbeat[40] = "";
    char expires[TIME_TEXT_S_LEN + 1];
    struct names names;
    int len;

    name(number, &names);
    time_text_s(wish->expires_s, expires);
    if (wish->heartbeat_s > 0)
        (void)snprintf(heartbeat, sizeof(heartbeat), "\"heartbeat_s\":%" PRId64 ",",
                       wish->heartbeat_s);
    len = snprintf(
        slot->text, sizeof(slot->text),
        "{\"broker\":\"fill\",\"ci\":{\"attempt\":\"1\",\"commit\":\"%040" PRIx64
        "\",\"repository\":\"acme/app-%" PRIu64 "\",\"repository_id\":\"%" PRIu64
        "\",\"run\":\"%" PRIu64 "\"},\"claims\":{\"event_name\":\"push\",\"ref\":"
        "\"refs/heads/main\",\"repository_owner_id\":\"918273\"},\"credentials\":[{\"expires_at\":"
        "\"%s\",\"grant\":\"artifacts\",\"id\":\"%s\",\"revoke\":\"list\",\"ttl_s\":900,\"type\":"
        "\"jwt\"}],"
        "\"decision\":\"%s\",\"handle\":\"sha256:%s\",%s\"issuer\":\"ci\",\"kind\":\"build\","
        "\"lease\":\"%s\",\"lease_expires\":\"%s\",\"owner\":\"app@acme.example\",\"pipeline\":"
        "\"acme/app-%" PRIu64 "\",\"policy\":\"sha256:%s\",\"rule\":\"sha256:%s\",\"stage\":"
        "\"acme/app-%" PRIu64 ":build\",\"subject\":\"repo:acme/app-%" PRIu64
        ":ref:refs/heads/main\",\"time\":\"0000-00-00T00:00:00.000Z\",\"token\":{\"exp\":%" PRId64
        ",\"mark\":\"%s\"},\"type\":\"credential.issued\"}",
        number / 4, number % 400, number % 400, number / 2, expires, names.id, names.id,
        names.handle_hex, heartbeat, names.id, expires, number % 400, names.hex, names.hex,
        number % 400, number % 400, wish->expires_s, names.hex);
    if (len < 0 || (size_t)len >= sizeof(slot->text))
        give_up("entry", NULL);
    if (wish->handles && fprintf(wish->handles, "%s\n", names.handle) < 0)
        give_up("handles", NULL);
}

static void submit(struct store *store, struct slot *slot)
{
    struct store_entry *entry = &slot->proposal.entries[0];
    struct error error = { 0 };

    slot->proposal = (struct store_proposal){ .done = done, .context = slot, .entry_count = 1 };
    entry->bytes = slot->text;
    entry->len = strlen(slot->text);
    entry->time_offset = (size_t)(strstr(slot->text, "\"time\":\"") - slot->text) + 8;
    if (!entry_fold((struct str){ entry->bytes, entry->len }, 0, entry->changes,
                    &entry->change_count, &error))
        give_up("fold", &error);
    atomic_store(&slot->is_busy, true);
    if (!store_submit(store, &slot->proposal, &error))
        give_up("submit", &error);
}

static void await(const struct slot *slot)
{
    while (atomic_load(&slot->is_busy))
        (void)usleep(50);
}

static void fill(struct store *store, const struct wish *wish)
{
    static struct slot slots[IN_FLIGHT];
    uint64_t from = store_size(store);

    for (uint64_t i = 0; i < (uint64_t)wish->count; i++) {
        struct slot *slot = &slots[i % IN_FLIGHT];

        await(slot);
        write_entry(wish, from + i, slot);
        submit(store, slot);
    }
    for (size_t i = 0; i < IN_FLIGHT; i++)
        await(&slots[i]);
}

int main(int argc, char **argv)
{
    struct store_options options = { .fold = { entry_fold } };
    struct store *store = NULL;
    struct wish wish = { 0 };
    struct error error = { 0 };

    if ((argc != 5 && argc != 6) || !str_to_int64(str_from(argv[2]), &wish.count) ||
        !str_to_int64(str_from(argv[3]), &wish.expires_s) ||
        !str_to_int64(str_from(argv[4]), &wish.heartbeat_s)) {
        (void)fprintf(
            stderr, "usage: bench_fill FOLDER LEASES EXPIRES HEARTBEAT [HANDLES]\n"
                    "Leases of a store that no broker has open: EXPIRES is in seconds since the\n"
                    "epoch, a HEARTBEAT of 0 seconds is none, HANDLES a file that gets theirs.\n");
        return 2;
    }
    if (argc == 6)
        wish.handles = fopen(argv[5], "we");
    options.location = argv[1];
    if (!store_open(&options, &store, &error))
        give_up("open", &error);
    fill(store, &wish);
    store_close(store);
    if (wish.handles && fclose(wish.handles) != 0)
        give_up("handles", NULL);
    return 0;
}
