/*
 * OpenSSH user certificates for fleets that trust our CA key.
 *
 * Principals, options and life are policy's. Of the request comes only the public key, and that
 * with proof of its private half: an SSHSIG over the digest of the very token that is exchanged.
 */
#include "keys/ssh.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "keys/keys.h"
#include "targets/ssh_certificate.h"
#include "targets/ssh_krl.h"
#include "targets/targets_internal.h"

#define CLOCK_SKEW_S 30 /* for hosts whose clocks are behind ours */
#define KEY_ID_MAX 200
#define SOURCES_MAX 32
#define SOURCE_TEXT_MAX ((size_t)64)
#define SERIAL_TEXT_MAX 24
#define CA_BLOB_MAX ((size_t)256)

static const struct text_limits principal_limits = { "principals", LETTERS_AND_DIGITS "._@:+-", 128,
                                                     32 };
static const struct text_limits command_limits = { "force_command", NULL, 1024, 1 };
static const struct text_limits source_limits = { "source_address", NULL, SOURCE_TEXT_MAX,
                                                  SOURCES_MAX };
static const struct text_limits extension_limits = { "extensions", NULL, 64, 8 };

/* Sorted, as a certificate has them; what is not listed is denied by sshd. */
static const char *const known_extensions[] = {
    "permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty",
    "permit-user-rc",
};

struct ssh_settings {
    struct str key; /* the CA key's name */
    struct key *ca; /* set at start */
};

struct ssh_grant {
    struct texts principals;
    struct texts extensions;
    struct str force_command;
    struct str source_address;
    bool pins_address;
};

/* The target. */

static const char *const settings[] = { "key", NULL };

static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    struct ssh_settings *own = target->settings;

    if (target->is_catalog)
        return true; /* the key's name is the broker's own */
    if (!yaml_require(reader, node, "key") || !yaml_get_str(reader, node, "key", &own->key))
        return false;
    if (own->key.len == 0 || own->key.len > 40 ||
        !str_is_made_of(own->key, "abcdefghijklmnopqrstuvwxyz0123456789-"))
        return yaml_complain(reader, json_object_get(node, "key"),
                             "a key's name is [a-z0-9-]{1,40}");
    return true;
}

static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    struct ssh_settings *own = target->settings;

    if (!keys_named(tools->keys, own->key, KEY_ED25519, &own->ca, error))
        return error_wrap(error, "target " STR_FMT, STR_ARG(target->name));
    return true;
}

/* Reading a grant. */

static bool read_principals(struct grant_reader *reader, const json_t *fields, struct texts *out)
{
    const json_t *value = json_object_get(fields, "principals");

    if (!value)
        return grant_fault(reader, fields, "an ssh grant needs 'principals'");
    if (!grant_texts(reader, value, &principal_limits, out))
        return false;
    for (size_t i = 0; i < out->count; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;

        if (out->list[i].data[0] == '-')
            return grant_fault(reader, item, "a principal does not start with '-'");
        if (reader->has_open_holes && grant_starts_with_hole(item))
            return grant_fault(reader, item,
                               "a principal starts with literal text: a hole alone "
                               "would let the job name its user");
    }
    return true;
}

static bool read_command(struct grant_reader *reader, const json_t *fields, struct str *out)
{
    const json_t *value = json_object_get(fields, "force_command");

    return !value || (grant_starts_literally(reader, value, "a command") &&
                      grant_text(reader, value, &command_limits, out));
}

static int compare_texts(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static bool is_known_extension(struct str name)
{
    for (size_t i = 0; i < COUNT(known_extensions); i++)
        if (str_eq(name, str_from(known_extensions[i])))
            return true;
    return false;
}

static bool read_extensions(struct grant_reader *reader, const json_t *fields, struct texts *out)
{
    const json_t *value = json_object_get(fields, "extensions");
    struct str *sorted;

    if (!value || (json_is_array(value) && json_array_size(value) == 0))
        return true;
    if (!grant_texts(reader, value, &extension_limits, out))
        return false;
    for (size_t i = 0; i < out->count; i++)
        if (!is_known_extension(out->list[i]))
            return grant_fault(
                reader, json_is_array(value) ? json_array_get(value, i) : value,
                "not an extension of user certificates; known: permit-X11-forwarding, "
                "permit-agent-forwarding, permit-port-forwarding, permit-pty, "
                "permit-user-rc");
    sorted = arena_alloc_array(reader->arena, out->count, sizeof(*sorted));
    if (!sorted)
        return grant_fault(reader, value, "no memory for 'extensions'");
    memcpy(sorted, out->list, out->count * sizeof(*sorted));
    qsort(sorted, out->count, sizeof(*sorted), compare_texts);
    out->list = sorted;
    return true;
}

/* "ADDRESS/BITS" in our own spelling. */
static void add_network(struct buf *buf, const struct address *address, unsigned bits)
{
    char text[ADDRESS_TEXT_MAX];

    address_text(address, text);
    buf_printf(buf, "%s%s/%u", buf->len > 0 ? "," : "", text, bits);
}

static bool read_sources(struct grant_reader *reader, const json_t *fields, struct str *out)
{
    const json_t *value = json_object_get(fields, "source_address");
    OWNED(buf_release) struct buf text = { 0 };
    struct texts written;
    struct network network;

    if (!value)
        return true;
    buf_init(&text, SOURCES_MAX * SOURCE_TEXT_MAX);
    if (!grant_texts(reader, value, &source_limits, &written))
        return false;
    for (size_t i = 0; i < written.count; i++) {
        if (!network_parse(written.list[i], &network))
            return grant_fault(reader, json_is_array(value) ? json_array_get(value, i) : value,
                               "expected a network such as 10.0.0.0/8 (host bits must be zero)");
        add_network(&text, &network.base, network.bits);
    }
    *out = arena_copy(reader->arena, buf_str(&text));
    if (!buf_is_ok(&text) || !out->data)
        return grant_fault(reader, value, "no memory for 'source_address'");
    return true;
}

static bool read_grant(struct grant_reader *reader, const json_t *fields, struct ssh_grant *grant)
{
    if (!read_principals(reader, fields, &grant->principals) ||
        !read_command(reader, fields, &grant->force_command) ||
        !read_sources(reader, fields, &grant->source_address) ||
        !read_extensions(reader, fields, &grant->extensions) ||
        !grant_flag(reader, fields, "pin_address", &grant->pins_address))
        return false;
    if (grant->pins_address && grant->source_address.len > 0)
        return grant_fault(reader, json_object_get(fields, "pin_address"),
                           "'pin_address' and 'source_address' exclude each other");
    return true;
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    OWNED(arena_free) struct arena *arena = arena_new(GRANT_MEMORY_MAX);
    struct grant_reader reader = { .arena = arena, .has_open_holes = true };
    struct ssh_grant grant = { 0 };

    if (!arena)
        (void)yaml_complain(yaml, view->fields, "no memory to check a grant");
    else if (!read_grant(&reader, view->fields, &grant))
        grant_report(yaml, view->fields, &reader);
}

/* What the caller asks for. */

static bool check_members(const struct mint *mint, struct error *error)
{
    static const char *const known[] = { "type", "grant", "ttl", "public_key", "proof" };
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(mint->details), name, value) {
        bool is_known = false;

        for (size_t i = 0; i < COUNT(known); i++)
            is_known = is_known || strcmp(name, known[i]) == 0;
        if (!is_known)
            return error_set(error, ERROR_DETAILS, "a member that an ssh grant does not take");
    }
    return true;
}

/* What a parser says of the caller's input is the caller's fault, unless it is ours. */
static bool blame(const char *member, const struct error *inner, struct error *error)
{
    if (inner->code == ERROR_MEMORY || inner->code == ERROR_CRYPTO)
        return error_set(error, inner->code, "%s: %s", member, inner->cause);
    return error_set(error, ERROR_DETAILS, "%s: %s", member, inner->cause);
}

static bool check_details(struct mint *mint, struct error *error)
{
    struct str proven = { (const char *)mint->subject_token_sha256, SHA256_LEN };
    struct ssh_public_key *key = arena_alloc(mint->arena, sizeof(*key));
    struct error inner = { 0 };
    struct str line;
    struct str proof;

    if (!key)
        return error_set(error, ERROR_MEMORY, "no memory for a public key");
    if (!check_members(mint, error))
        return false;
    if (!json_get_str(mint->details, "public_key", &line) ||
        !json_get_str(mint->details, "proof", &proof)) {
        (void)error_set(error, ERROR_DETAILS, "no 'public_key' with 'proof'");
        error_tell(error, "an ssh grant needs public_key and proof in authorization_details");
        return false;
    }
    if (!ssh_public_key_parse(line, mint->arena, key, &inner))
        return blame("public_key", &inner, error);
    if (!sshsig_check(proof, proven, key, mint->arena, &inner))
        return blame("proof", &inner, error);
    mint->state = key; /* only a key that has proven itself gets here */
    return true;
}

/* Minting. */

/* 63 random bits, so that every reader of the ledger holds it exactly; never 0. */
static bool random_serial(uint64_t *serial, struct error *error)
{
    do {
        if (!secret_random((uint8_t *)serial, sizeof(*serial), error))
            return false;
        *serial >>= 1;
    } while (*serial == 0);
    return true;
}

/* "STAGE LEASE": what sshd logs of a login, so that it can be found in the ledger. */
static bool make_key_id(const struct mint *mint, struct str *key_id, struct error *error)
{
    *key_id =
        arena_printf(mint->arena, STR_FMT " " STR_FMT, STR_ARG(mint->stage), STR_ARG(mint->lease));
    if (!key_id->data)
        return error_set(error, ERROR_MEMORY, "no memory for a key id");
    if (key_id->len > KEY_ID_MAX || str_has_control(*key_id))
        return error_set(error, ERROR_MINT, "a key id that is too long or not printable");
    return true;
}

static bool pin_address(const struct mint *mint, struct str *source, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };

    if (!mint->address || mint->address->len == 0)
        return error_set(error, ERROR_MINT, "the request's address is not known");
    buf_init(&text, SOURCE_TEXT_MAX);
    add_network(&text, mint->address, mint->address->len * 8U);
    *source = arena_copy(mint->arena, buf_str(&text));
    if (!buf_is_ok(&text) || !source->data)
        return error_set(error, ERROR_MEMORY, "no memory for an address");
    return true;
}

static bool fill_in(const struct mint *mint, struct ssh_certificate *certificate,
                    struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct ssh_grant grant = { 0 };

    if (!read_grant(&reader, mint->fields, &grant))
        return grant_error(&reader, error);
    if (grant.pins_address && !pin_address(mint, &grant.source_address, error))
        return false;
    *certificate = (struct ssh_certificate){
        .key = mint->state,
        .principals = grant.principals,
        .valid_after_s = mint->now_s - CLOCK_SKEW_S,
        .valid_before_s = mint->now_s + mint->ttl_s,
        .force_command = grant.force_command,
        .source_address = grant.source_address,
        .extensions = grant.extensions,
    };
    return make_key_id(mint, &certificate->key_id, error) &&
           random_serial(&certificate->serial, error);
}

static bool put_results(struct mint *mint, const struct ssh_certificate *certificate,
                        struct str line, struct str ca)
{
    json_t *ssh = json_object();
    char serial[SERIAL_TEXT_MAX];

    (void)snprintf(serial, sizeof(serial), "%" PRIu64, certificate->serial);
    mint->credential = json_object();
    mint->record = json_object();
    mint->expires_s = certificate->valid_before_s;
    return json_put(mint->credential, "ssh", ssh) &&
           json_put(ssh, "certificate", json_from_str(line)) &&
           json_put(ssh, "principals",
                    json_from_strs(certificate->principals.list, certificate->principals.count)) &&
           json_put(mint->record, "id", json_string(serial)) &&
           json_put(mint->record, "key_id", json_from_str(certificate->key_id)) &&
           json_put(mint->record, "fingerprint",
                    json_from_str(ssh_fingerprint(certificate->key, mint->arena))) &&
           json_put(mint->record, "ca", json_from_str(ca));
}

static bool sign(struct mint *mint, struct error *error)
{
    const struct ssh_settings *own = mint->target->settings;
    struct ssh_certificate certificate = { 0 };
    struct str line = { 0 };
    struct str ca = { 0 };

    if (!mint->state)
        return error_set(error, ERROR_DETAILS, "no key has proven itself");
    if (!own->ca)
        return error_set(error, ERROR_MINT, "the target's CA key is not loaded");
    if (!fill_in(mint, &certificate, error) ||
        !ssh_certificate_sign(&certificate, own->ca, mint->stage, mint->arena, &line, error) ||
        !ssh_ca_fingerprint(own->ca, mint->arena, &ca, error))
        return false;
    if (!put_results(mint, &certificate, line, ca))
        return error_set(error, ERROR_MEMORY, "no memory for a certificate");
    return true;
}

static enum progress ssh_mint(struct mint *mint, struct error *error)
{
    return mint_sign(mint, sign, error);
}

/* ---- the list of those that were revoked ---- */

/* Another CA's are another list's. */
static size_t take_serials(const struct target_listing *listing, struct str ca, uint64_t *serials)
{
    size_t count = 0;

    for (size_t i = 0; i < listing->revoked_count; i++) {
        int64_t serial = 0;

        if (str_eq(listing->revoked[i].ca, ca) && str_to_int64(listing->revoked[i].id, &serial) &&
            serial > 0)
            serials[count++] = (uint64_t)serial;
    }
    return count;
}

static bool list(struct target_listing *listing, struct error *error)
{
    const struct ssh_settings *own = listing->target->settings;
    OWNED(buf_release) struct buf blob = { 0 };
    OWNED(buf_release) struct buf bytes = { 0 };
    uint64_t *serials =
        arena_alloc_array(listing->arena, listing->revoked_count + 1, sizeof(*serials));
    struct ssh_krl krl = { .version = listing->size,
                           .now_s = listing->now_s,
                           .comment = listing->target->name };
    struct str ca = { 0 };

    if (!own->ca)
        return error_set(error, ERROR_MINT, "the target's CA key is not loaded");
    buf_init(&blob, CA_BLOB_MAX);
    buf_init(&bytes, SSH_KRL_MAX);
    if (!serials)
        return error_set(error, ERROR_MEMORY, "no memory for a list");
    if (!ssh_ca_blob(own->ca, &blob, error) ||
        !ssh_ca_fingerprint(own->ca, listing->arena, &ca, error))
        return false;
    krl.ca = buf_str(&blob);
    krl.serials = serials;
    krl.count = take_serials(listing, ca, serials);
    if (!ssh_krl_write(&krl, &bytes, error))
        return false;
    return listing_add(listing, "krl", STR(""), "application/octet-stream",
                       arena_copy(listing->arena, buf_str(&bytes))) ||
           error_set(error, ERROR_MEMORY, "no memory for a list");
}

/*
 * The logins. A principal is a login where a CA is trusted, so that fleets with a CA each share
 * none by having a login of the same name.
 */
static bool gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    const struct ssh_settings *own = view->target ? view->target->settings : NULL;
    struct str name = view->target ? view->target->name : STR("");
    struct str ca = own && own->key.len > 0 ? own->key : name;
    struct texts logins;

    if (!grant_written(arena, json_object_get(view->fields, "principals"), &logins))
        return false;
    given->names = arena_alloc_array(arena, logins.count + 1, sizeof(*given->names));
    given->principals = arena_alloc_array(arena, logins.count + 1, sizeof(*given->principals));
    if (given->names == NULL || given->principals == NULL)
        return false;
    for (size_t i = 0; i < logins.count; i++) {
        struct str principal =
            arena_printf(arena, STR_FMT "@" STR_FMT, STR_ARG(logins.list[i]), STR_ARG(ca));

        if (principal.data == NULL)
            return false;
        given->names[given->name_count++] = logins.list[i];
        given->principals[given->principal_count++] = principal;
    }
    return true;
}

static const char *const fields[] = {
    "target", "principals", "force_command", "source_address", "extensions", "pin_address", NULL
};
static const char *const fields_with_holes[] = { "principals", "force_command", NULL };
static const char *const fields_told[] = { "principals", NULL };
static const char *const lists_that_give[] = { "extensions", "source_address", NULL };

const struct target_kind target_ssh = {
    .grant = {
        .name = "ssh",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = 1,
        .ttl_max_s = (int64_t)24 * 3600,
        .check = check,
        .fields_with_holes = fields_with_holes,
        .matching = POLICY_MATCHING_GLOB,
        .gives = gives,
        .revocation = POLICY_REVOKED_BY_NAME,
        .fields_told = fields_told,
        .lists_that_give = lists_that_give,
    },
    .settings = settings,
    .own_settings = settings,
    .is_local = true,
    .needing = "grants_needing_keys",
    .configure = configure,
    .settings_size = sizeof(struct ssh_settings),
    .start = start,
    .check_details = check_details,
    .mint = ssh_mint,
    .revoke = target_revoke_by_list,
    .is_gone_by_expiry = true,
    .list = list,
};
