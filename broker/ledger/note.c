#include "ledger/note.h"

#include <inttypes.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/error.h"
#include "keys/keys.h"
#include "ledger/note_internal.h"

#define SIGNATURE_LINES_MAX 100
#define NAME_MAX_LEN 256
#define ORIGIN_MAX_LEN 256

#define KEY_ID_LEN 4
#define ED25519_KEY_LEN 32
#define ED25519_SIGNATURE_LEN 64
#define TIMESTAMP_LEN 8

/* A vkey's third part decoded: type byte and key. */
#define VERIFIER_KEY_LEN (1 + ED25519_KEY_LEN)

/* U+2014 and a space. */
#define SIGNATURE_START "\xe2\x80\x94 "

/* Spaces of Unicode behind ASCII, in UTF-8: White_Space=yes. */
static const char *const unicode_spaces[] = {
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
    "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
    "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
    "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
};

static bool has_unicode_space(struct str text)
{
    for (size_t at = 0; at < text.len; at++) {
        for (size_t i = 0; i < COUNT(unicode_spaces); i++) {
            if (str_starts_with(str_slice(text, at, text.len), str_from(unicode_spaces[i])))
                return true;
        }
    }
    return false;
}

static bool is_name(struct str name)
{
    return name.len > 0 && name.len <= NAME_MAX_LEN && str_is_utf8(name) &&
           !str_has_control(name) && str_find(name, ' ') == name.len &&
           str_find(name, '+') == name.len && !has_unicode_space(name);
}

/* Source: C2SP signed-note, "Signatures" */
static uint32_t key_id_of(struct str name, enum note_key_type type,
                          const uint8_t public_key[ED25519_KEY_LEN])
{
    uint8_t behind[2 + ED25519_KEY_LEN] = { '\n', (uint8_t)type };
    uint8_t hash[SHA256_LEN];

    memcpy(behind + 2, public_key, ED25519_KEY_LEN);
    sha256_2(name, (struct str){ (const char *)behind, sizeof(behind) }, hash);
    return (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 | hash[3];
}

static bool refuse_verifier(struct error *error, const char *what)
{
    return error_set(error, ERROR_SYNTAX, "verifier key: %s", what);
}

static bool parse_key(struct str text, enum note_key_type type, struct note_verifier *verifier,
                      struct error *error)
{
    uint8_t decoded[BASE64_DECODED_MAX(64)];
    uint8_t id[KEY_ID_LEN];
    struct note_verifier read = { .type = type };
    struct str hex = { 0 };
    struct str key = { 0 };
    size_t len = 0;

    if (!str_cut(text, '+', &read.name, &key) || !str_cut(key, '+', &hex, &key))
        return refuse_verifier(error, "expected NAME+ID+KEY");
    if (!is_name(read.name))
        return refuse_verifier(error, "not a name");
    if (hex.len != (size_t)2 * KEY_ID_LEN || !str_is_made_of(hex, "0123456789abcdef") ||
        !hex_decode(hex, id))
        return refuse_verifier(error, "the id is not 8 digits of lower-case hex");
    if (key.len > 64 || !base64_decode(key, decoded, &len) || len == 0)
        return refuse_verifier(error, "the key is not base64");
    if (decoded[0] != (uint8_t)type || len != VERIFIER_KEY_LEN)
        return refuse_verifier(error, type == NOTE_KEY_LOG ? "not a log's Ed25519 key"
                                                           : "not a witness's Ed25519 key");
    memcpy(read.public_key, decoded + 1, ED25519_KEY_LEN);
    read.key_id = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
    if (read.key_id != key_id_of(read.name, type, read.public_key))
        return refuse_verifier(error, "the id is not that of name and key");
    *verifier = read;
    return true;
}

bool note_verifier_parse(struct str text, struct note_verifier *verifier, struct error *error)
{
    return parse_key(text, NOTE_KEY_LOG, verifier, error);
}

bool note_witness_parse(struct str text, struct note_verifier *verifier, struct error *error)
{
    return parse_key(text, NOTE_KEY_WITNESS, verifier, error);
}

static bool is_listed(const struct note_verifier *verifier, const struct note_verifier *list,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (verifier->key_id == list[i].key_id && str_eq(verifier->name, list[i].name) &&
            memcmp(verifier->public_key, list[i].public_key, ED25519_KEY_LEN) == 0)
            return true;
    }
    return false;
}

bool note_keys_parse(struct str text, enum note_key_type type, struct note_verifier *list,
                     size_t max, size_t *count, struct error *error)
{
    for (size_t number = 1; text.len > 0; number++) {
        struct note_verifier verifier;
        struct str line = { 0 };

        (void)str_cut(text, '\n', &line, &text); /* the last line may have no newline */
        line = str_trim(line);
        if (line.len == 0)
            continue;
        if (!parse_key(line, type, &verifier, error))
            return number == 1 && text.len == 0 ? false : error_wrap(error, "line %zu", number);
        if (is_listed(&verifier, list, *count))
            continue;
        if (*count == max)
            return error_set(error, ERROR_LIMIT, "more than %zu keys", max);
        list[(*count)++] = verifier;
    }
    return true;
}

static bool public_key_of(struct key *key, uint8_t public_key[ED25519_KEY_LEN], struct error *error)
{
    uint8_t raw[65];
    size_t len = 0;

    if (!key_public_raw(key, raw, &len, error))
        return false;
    if (len != ED25519_KEY_LEN)
        return error_set(error, ERROR_CONFIG, "the ledger's key is not an Ed25519 key");
    memcpy(public_key, raw, ED25519_KEY_LEN);
    return true;
}

bool note_verifier_write(struct str name, struct key *key, struct buf *out, struct error *error)
{
    uint8_t typed[VERIFIER_KEY_LEN] = { NOTE_KEY_LOG };

    if (!is_name(name))
        return error_set(error, ERROR_CONFIG, "\"" STR_FMT "\" cannot name a key", STR_ARG(name));
    if (!public_key_of(key, typed + 1, error))
        return false;
    buf_add(out, name);
    buf_printf(out, "+%08" PRIx32 "+", key_id_of(name, NOTE_KEY_LOG, typed + 1));
    buf_add_base64(out, (struct str){ (const char *)typed, sizeof(typed) });
    return true;
}

static bool is_origin(struct str origin)
{
    return origin.len > 0 && origin.len <= ORIGIN_MAX_LEN && str_is_utf8(origin) &&
           !str_has_control(origin);
}

static void add_checkpoint_text(struct buf *out, const struct checkpoint *checkpoint)
{
    buf_add(out, checkpoint->origin);
    buf_printf(out, "\n%" PRIu64 "\n", checkpoint->size);
    buf_add_base64(out, (struct str){ (const char *)checkpoint->root.bytes, MERKLE_HASH_LEN });
    buf_add_text(out, "\n");
}

static bool add_signature_line(struct buf *out, struct str name, struct key *key, struct str text,
                               struct error *error)
{
    uint8_t field[KEY_ID_LEN + KEY_SIGNATURE_MAX];
    uint8_t public_key[ED25519_KEY_LEN];
    uint32_t key_id = 0;
    size_t len = 0;

    if (!public_key_of(key, public_key, error) ||
        !key_sign(key, text, field + KEY_ID_LEN, &len, error))
        return false;
    key_id = key_id_of(name, NOTE_KEY_LOG, public_key);
    for (unsigned i = 0; i < KEY_ID_LEN; i++)
        field[i] = (uint8_t)(key_id >> (24 - 8 * i));
    buf_add_text(out, SIGNATURE_START);
    buf_add(out, name);
    buf_add_text(out, " ");
    buf_add_base64(out, (struct str){ (const char *)field, KEY_ID_LEN + len });
    buf_add_text(out, "\n");
    return true;
}

bool checkpoint_sign(const struct checkpoint *checkpoint, struct key *const *keys, size_t key_count,
                     struct buf *out, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };

    if (!is_origin(checkpoint->origin) || !is_name(checkpoint->origin))
        return error_set(error, ERROR_CONFIG, "\"" STR_FMT "\" cannot be a log's origin",
                         STR_ARG(checkpoint->origin));
    buf_init(&text, NOTE_BYTES_MAX);
    add_checkpoint_text(&text, checkpoint);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    buf_add(out, buf_str(&text));
    buf_add_text(out, "\n");
    for (size_t i = 0; i < key_count; i++) {
        if (!add_signature_line(out, checkpoint->origin, keys[i], buf_str(&text), error))
            return false;
    }
    return true;
}

/* A parsed signature line; borrows. */
struct signature_line {
    struct str name;
    uint32_t key_id;
    uint8_t bytes[BASE64_DECODED_MAX(8192)];
    size_t len; /* without the key id */
};

static bool signature_line_parse(struct str line, struct signature_line *signature)
{
    struct str rest = str_slice(line, sizeof(SIGNATURE_START) - 1, line.len);
    struct str text = { 0 };
    size_t len = 0;

    if (!str_starts_with(line, STR(SIGNATURE_START)))
        return false;
    if (!str_cut(rest, ' ', &signature->name, &text) || !is_name(signature->name))
        return false;
    if (text.len > 8192 || !base64_decode(text, signature->bytes, &len) || len <= KEY_ID_LEN)
        return false;
    signature->key_id = (uint32_t)signature->bytes[0] << 24 | (uint32_t)signature->bytes[1] << 16 |
                        (uint32_t)signature->bytes[2] << 8 | signature->bytes[3];
    signature->len = len - KEY_ID_LEN;
    return true;
}

static bool ed25519_verify(const uint8_t public_key[ED25519_KEY_LEN], struct str message,
                           const uint8_t *signature, size_t len, bool *is_good, struct error *error)
{
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, ED25519_KEY_LEN);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_ready =
        key != NULL && context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1;

    if (is_ready)
        *is_good = EVP_DigestVerify(context, signature, len, (const unsigned char *)message.data,
                                    message.len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return is_ready || error_set_openssl(error, "Ed25519");
}

/* Text and signature lines, cut at the last empty line. */
static bool split_note(struct str note, struct str *text, struct str *lines)
{
    for (size_t i = note.len; i >= 2; i--) {
        if (note.data[i - 1] == '\n' && note.data[i - 2] == '\n') {
            *text = str_slice(note, 0, i - 1);
            *lines = str_slice(note, i, note.len);
            return text->len > 1;
        }
    }
    return false;
}

/* No control characters but newlines. */
static bool is_note_text(struct str note)
{
    for (size_t i = 0; i < note.len; i++) {
        if ((uint8_t)note.data[i] < 0x20 && note.data[i] != '\n')
            return false;
    }
    return str_is_utf8(note);
}

static bool refuse_note(struct error *error, const char *what)
{
    return error_set(error, ERROR_SYNTAX, "note: %s", what);
}

static bool is_of(const struct signature_line *signature, const struct note_verifier *verifier)
{
    return str_eq(signature->name, verifier->name) && signature->key_id == verifier->key_id;
}

/* What a cosignature stands under. Source: C2SP tlog-cosignature */
static bool cosignature_verify(const struct note_verifier *witness, struct str text,
                               const struct signature_line *signature, int64_t *time_s,
                               bool *is_good, struct error *error)
{
    const uint8_t *field = signature->bytes + KEY_ID_LEN;
    OWNED(buf_release) struct buf message = { 0 };
    uint64_t time = 0;

    if (signature->len != TIMESTAMP_LEN + ED25519_SIGNATURE_LEN)
        return true;
    for (unsigned i = 0; i < TIMESTAMP_LEN; i++)
        time = time << 8 | field[i];
    if (time > INT64_MAX)
        return true;
    buf_init(&message, NOTE_BYTES_MAX + 64);
    buf_printf(&message, "cosignature/v1\ntime %" PRIu64 "\n", time);
    buf_add(&message, text);
    if (!buf_is_ok(&message))
        return error_set(error, ERROR_MEMORY, "no memory for a cosignature");
    *time_s = (int64_t)time;
    return ed25519_verify(witness->public_key, buf_str(&message), field + TIMESTAMP_LEN,
                          ED25519_SIGNATURE_LEN, is_good, error);
}

static bool signature_verify(const struct note_verifier *log, struct str text,
                             const struct signature_line *signature, bool *is_good,
                             struct error *error)
{
    return signature->len != ED25519_SIGNATURE_LEN ||
           ed25519_verify(log->public_key, text, signature->bytes + KEY_ID_LEN, signature->len,
                          is_good, error);
}

static bool refuse_signature(const struct note_verifier *verifier, struct error *error)
{
    return error_set(error, ERROR_INVALID, "note: the signature of " STR_FMT " does not verify",
                     STR_ARG(verifier->name));
}

/* Who has signed a note so far. */
struct signers {
    const struct note_trust *trust;
    bool is_signed;
    struct note_cosigned cosigned;
};

static bool check_log_line(const struct signature_line *signature, struct str text,
                           struct signers *signers, struct error *error)
{
    for (size_t i = 0; i < signers->trust->log_count; i++) {
        const struct note_verifier *log = &signers->trust->logs[i];
        bool is_good = false;

        if (!is_of(signature, log))
            continue;
        if (!signature_verify(log, text, signature, &is_good, error))
            return false;
        if (!is_good)
            return refuse_signature(log, error);
        signers->is_signed = true;
    }
    return true;
}

static bool check_witness_line(const struct signature_line *signature, struct str text,
                               struct signers *signers, struct error *error)
{
    for (size_t i = 0; i < signers->trust->witness_count; i++) {
        const struct note_verifier *witness = &signers->trust->witnesses[i];
        struct note_cosigned *cosigned = &signers->cosigned;
        bool is_good = false;
        int64_t time_s = 0;

        if (!is_of(signature, witness))
            continue;
        if (!cosignature_verify(witness, text, signature, &time_s, &is_good, error))
            return false;
        if (!is_good)
            return refuse_signature(witness, error);
        cosigned->count += cosigned->has[i] ? 0 : 1;
        cosigned->has[i] = true;
        cosigned->times_s[i] = time_s;
    }
    return true;
}

/* One line: other keys' are ignored, those of known keys must verify. */
static bool check_line(struct str line, struct str text, struct signers *signers,
                       struct error *error)
{
    struct signature_line signature;

    if (!signature_line_parse(line, &signature))
        return refuse_note(error, "a signature line is malformed");
    return check_log_line(&signature, text, signers, error) &&
           check_witness_line(&signature, text, signers, error);
}

static bool check_signatures(struct str text, struct str lines, struct signers *signers,
                             struct error *error)
{
    const struct note_trust *trust = signers->trust;

    if (lines.len == 0 || lines.data[lines.len - 1] != '\n')
        return refuse_note(error, "no signature lines");
    for (size_t count = 0; lines.len > 0; count++) {
        struct str line = { 0 };

        if (count == SIGNATURE_LINES_MAX)
            return error_set(error, ERROR_LIMIT, "note: more than %d signatures",
                             SIGNATURE_LINES_MAX);
        (void)str_cut(lines, '\n', &line, &lines); /* it ends with one */
        if (!check_line(line, text, signers, error))
            return false;
    }
    if (!signers->is_signed)
        return error_set(error, ERROR_INVALID, "note: not signed by " STR_FMT,
                         STR_ARG(trust->logs[0].name));
    return signers->cosigned.count >= trust->quorum ||
           error_set(error, ERROR_INVALID,
                     "note: cosigned by %zu witnesses that are known, not %zu",
                     signers->cosigned.count, trust->quorum);
}

bool note_parse_u64(struct str text, uint64_t *value)
{
    uint64_t read = 0;

    if (text.len == 0 || (text.len > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(read, (uint64_t)10, &read) ||
            __builtin_add_overflow(read, (uint64_t)(text.data[i] - '0'), &read))
            return false;
    }
    *value = read;
    return true;
}

bool note_parse_hash(struct str text, struct merkle_hash *hash)
{
    uint8_t decoded[BASE64_DECODED_MAX(44)];
    size_t len = 0;

    if (text.len != 44 || !base64_decode(text, decoded, &len) || len != MERKLE_HASH_LEN)
        return false;
    memcpy(hash->bytes, decoded, MERKLE_HASH_LEN);
    return true;
}

/* Extension lines behind the first three are allowed, empty ones are not. */
static bool checkpoint_parse(struct str text, struct checkpoint *checkpoint, struct error *error)
{
    struct checkpoint read = { 0 };
    struct str size = { 0 };
    struct str root = { 0 };
    struct str rest = text;

    if (!str_cut(rest, '\n', &read.origin, &rest) || !str_cut(rest, '\n', &size, &rest) ||
        !str_cut(rest, '\n', &root, &rest))
        return refuse_note(error, "expected origin, size and root");
    if (!is_origin(read.origin) || !note_parse_u64(size, &read.size) ||
        !note_parse_hash(root, &read.root))
        return refuse_note(error, "origin, size or root is malformed");
    while (rest.len > 0) {
        struct str line = { 0 };

        if (!str_cut(rest, '\n', &line, &rest) || line.len == 0)
            return refuse_note(error, "an extension line is malformed");
    }
    *checkpoint = read;
    return true;
}

static bool check_trust(const struct note_trust *trust, struct error *error)
{
    if (trust->log_count == 0 || trust->witness_count > NOTE_WITNESSES_MAX)
        return error_set(error, ERROR_CONFIG, "no key of the log, or more than %d witnesses",
                         NOTE_WITNESSES_MAX);
    return true;
}

bool checkpoint_check(struct str note, const struct note_trust *trust,
                      struct checkpoint *checkpoint, struct note_cosigned *cosigned,
                      struct error *error)
{
    struct signers signers = { .trust = trust };
    struct checkpoint read = { 0 };
    struct str text = { 0 };
    struct str lines = { 0 };

    if (!check_trust(trust, error))
        return false;
    if (note.len > NOTE_BYTES_MAX)
        return error_set(error, ERROR_LIMIT, "note: more than %zu bytes", NOTE_BYTES_MAX);
    if (!is_note_text(note) || !split_note(note, &text, &lines))
        return refuse_note(error, "not a signed note");
    if (!check_signatures(text, lines, &signers, error) || !checkpoint_parse(text, &read, error))
        return false;
    if (!str_eq(read.origin, trust->logs[0].name))
        return error_set(error, ERROR_INVALID, "note: of another log, " STR_FMT,
                         STR_ARG(read.origin));
    *checkpoint = read;
    if (cosigned != NULL)
        *cosigned = signers.cosigned;
    return true;
}

struct str note_text(struct str note)
{
    struct str text = { 0 };
    struct str lines = { 0 };

    return split_note(note, &text, &lines) ? text : (struct str){ 0 };
}

bool note_cosignature_find(struct str lines, struct str text, const struct note_verifier *witness,
                           struct str *found, int64_t *time_s, struct error *error)
{
    *found = (struct str){ 0 };
    if (!is_note_text(lines) || lines.len == 0 || lines.data[lines.len - 1] != '\n')
        return refuse_note(error, "expected lines with signatures");
    while (lines.len > 0) {
        struct signature_line signature;
        struct str line = { 0 };
        bool is_good = false;

        (void)str_cut(lines, '\n', &line, &lines); /* it ends with one */
        if (!signature_line_parse(line, &signature))
            return refuse_note(error, "a signature line is malformed");
        if (!is_of(&signature, witness))
            continue;
        if (!cosignature_verify(witness, text, &signature, time_s, &is_good, error))
            return false;
        if (!is_good)
            return refuse_signature(witness, error);
        *found = line;
    }
    return found->len > 0 ||
           error_set(error, ERROR_INVALID, "note: not signed by " STR_FMT, STR_ARG(witness->name));
}
