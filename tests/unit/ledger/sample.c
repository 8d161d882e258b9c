#include "ledger/sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/time_text.h"

#define PIPELINES 400
#define PEOPLE 90

/* Pieces of a hash stand for all that is chance in an entry. */
static void hash_of(const char *what, uint64_t number, uint8_t out[SHA256_LEN])
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%s %" PRIu64, what, number);
    sha256((struct str){ text, strlen(text) }, out);
}

static uint32_t chance(const char *what, uint64_t number, uint32_t below)
{
    uint8_t hash[SHA256_LEN];

    hash_of(what, number, hash);
    return ((uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 | hash[3]) %
           below;
}

/* A ULID of the entry's time. */
void sample_id(const char *what, uint64_t number, char out[27])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t time_ms = (uint64_t)SAMPLE_START_MS + number * SAMPLE_STEP_MS;
    uint8_t hash[SHA256_LEN];

    hash_of(what, number, hash);
    for (size_t i = 10; i-- > 0; time_ms /= 32)
        out[i] = digits[time_ms % 32];
    for (size_t i = 10; i < 26; i++)
        out[i] = digits[hash[i] % 32];
    out[26] = '\0';
}

unsigned sample_pipeline(uint64_t number)
{
    return chance("pipeline", number, PIPELINES);
}

static void add_hex(struct buf *buf, const char *what, uint64_t number, size_t len)
{
    uint8_t hash[SHA256_LEN];

    hash_of(what, number, hash);
    buf_add_hex(buf, (struct str){ (const char *)hash, len });
}

static void add_sd(struct buf *buf, const char *name, uint64_t number)
{
    buf_printf(buf, "\"%s\":\"sd:", name);
    add_hex(buf, name, number, 21);
    buf_add_text(buf, "0\"");
}

static void add_credentials(struct buf *buf, uint64_t number)
{
    static const char *const targets[] = { "prod-aws", "hub", "orders-db" };
    static const char *const grants[] = { "site", "images", "database" };
    static const char *const types[] = { "aws", "registry", "postgres" };
    size_t count = 1 + chance("count", number, 3);

    buf_add_text(buf, "\"credentials\":[");
    for (size_t i = 0; i < count; i++) {
        buf_printf(buf, "%s{\"expires_at\":\"2026-11-22T10:15:00Z\",\"grant\":\"%s\",\"id\":\"",
                   i == 0 ? "" : ",", grants[i]);
        add_hex(buf, grants[i], number, 10);
        buf_printf(buf, "\",\"target\":\"%s\",\"ttl_s\":900,\"type\":\"%s\"}", targets[i],
                   types[i]);
    }
    buf_add_text(buf, "]");
}

static void add_who(struct buf *buf, uint64_t number)
{
    unsigned pipeline = sample_pipeline(number);

    buf_add_text(buf, "\"ci\":{");
    add_sd(buf, "actor", number);
    buf_add_text(buf, ",");
    add_sd(buf, "actor_id", number);
    buf_add_text(buf, ",\"attempt\":\"1\",\"commit\":\"");
    add_hex(buf, "commit", number / 3, 20);
    buf_printf(buf,
               "\",\"ref\":\"refs/heads/main\",\"repository\":\"acme/service-%u\","
               "\"repository_id\":\"%u\",\"run\":\"%" PRIu64 "\"},",
               pipeline, 100000 + pipeline, 7000000 + number / 2);
    buf_printf(
        buf,
        "\"claims\":{\"event_name\":\"push\",\"job_workflow_ref\":\"acme/workflows/.github/"
        "workflows/deploy.yml@refs/heads/main\",\"ref\":\"refs/heads/main\",\"repository\":"
        "\"acme/service-%u\",\"runner_environment\":\"github-hosted\",\"workflow\":\"Deploy\"},",
        pipeline);
}

static void add_exchange(struct buf *buf, uint64_t number, const char *type)
{
    unsigned pipeline = sample_pipeline(number);
    char decision[27];

    sample_id("decision", number, decision);
    buf_add_text(buf, "{\"broker\":\"a\",");
    add_who(buf, number);
    if (strcmp(type, "credential.issued") == 0) {
        add_credentials(buf, number);
        buf_add_text(buf, ",");
    }
    buf_printf(buf, "\"decision\":\"%s\",\"environment\":\"%s\",\"facts\":{", decision,
               pipeline % 4 == 0 ? "production" : "staging");
    add_sd(buf, "address", number);
    buf_printf(buf, "},\"issuer\":\"github\",\"kind\":\"deploy\",");
}

static void end_exchange(struct buf *buf, uint64_t number, const char *type, const char *time)
{
    unsigned pipeline = sample_pipeline(number);

    buf_printf(buf,
               "\"owner\":\"team-%u@acme.example\",\"pipeline\":\"acme/service-%u\",\"policy\":"
               "\"sha256:",
               pipeline % 20, pipeline);
    add_hex(buf, "policy", number / 50000, 32);
    buf_printf(buf, "\",\"request\":{\"scope\":[]},\"rule\":\"sha256:");
    add_hex(buf, "rule", pipeline, 32);
    buf_printf(buf,
               "\",\"stage\":\"acme/service-%u:deploy\",\"subject\":\"repo:acme/service-%u\","
               "\"tenant\":\"tenant-%u\",\"time\":\"%s\",\"token\":{\"exp\":1763805900,\"iat\":"
               "1763805600,\"kid\":\"key-1\",\"mark\":\"",
               pipeline, pipeline, pipeline % 5, time);
    add_hex(buf, "mark", number, 32);
    buf_printf(buf, "\"},\"type\":\"%s\"}", type);
}

static void add_issued(struct buf *buf, uint64_t number, const char *time)
{
    char lease[27];

    sample_id("lease", number, lease);
    add_exchange(buf, number, "credential.issued");
    buf_add_text(buf, "\"handle\":\"sha256:");
    add_hex(buf, "handle", number, 32);
    buf_printf(buf, "\",\"lease\":\"%s\",\"lease_expires\":\"2026-11-22T10:15:00Z\",", lease);
    end_exchange(buf, number, "credential.issued", time);
}

static void add_denied(struct buf *buf, uint64_t number, const char *time)
{
    add_exchange(buf, number, "exchange.denied");
    buf_add_text(buf, "\"failed\":[\"ref\"],\"reason\":\"condition\",");
    end_exchange(buf, number, "exchange.denied", time);
}

/* Of the exchange before it, so that both have a stage and a lease. */
static void add_released(struct buf *buf, uint64_t number, const char *time)
{
    char lease[27];
    char decision[27];

    sample_id("lease", number - 1, lease);
    sample_id("decision", number, decision);
    buf_printf(buf,
               "{\"broker\":\"a\",\"decision\":\"%s\",\"lease\":\"%s\",\"outcome\":\"success\","
               "\"pipeline\":\"acme/service-%u\",\"stage\":\"acme/service-%u:deploy\",\"time\":"
               "\"%s\",\"type\":\"lease.released\"}",
               decision, lease, sample_pipeline(number - 1), sample_pipeline(number - 1), time);
}

static void add_private(struct buf *buf, uint64_t number)
{
    uint32_t person = chance("person", number, PEOPLE);

    buf_printf(buf,
               "{\"ci.actor\":{\"salt\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"value\":\"person-%u\"},"
               "\"ci.actor_id\":{\"salt\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"value\":\"%u\"},"
               "\"facts.address\":{\"salt\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"value\":\"10.0.%u.%u\"}}",
               person, 500 + person, chance("net", number, 64), chance("host", number, 200));
}

void sample_entry(uint64_t number, struct buf *entry, struct buf *private_part)
{
    char time[TIME_TEXT_MS_LEN + 1];

    time_text_ms(SAMPLE_START_MS + (int64_t)number * SAMPLE_STEP_MS, time);
    buf_clear(entry);
    buf_clear(private_part);
    if (number % 10 == 4) {
        add_denied(entry, number, time);
        add_private(private_part, number);
    } else if (number % 10 % 2 == 1 && number % 10 != 5)
        add_released(entry, number, time);
    else {
        add_issued(entry, number, time);
        add_private(private_part, number);
    }
}
