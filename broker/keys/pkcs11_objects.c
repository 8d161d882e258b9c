/*
 * Keys as objects of a token. A key is a private and a public one with its name as label; whoever
 * makes a pair by other means gives both that label.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "keys/key.h"
#include "keys/pkcs11_internal.h"
#include "keys/public_key.h"

#define BATCH 16
#define OBJECTS_MAX 4096 /* private keys of a token that are looked through */
#define PART_MAX 600     /* of a public key: the modulus of 4096 bits, with room */
#define RSA_BITS 2048
#define ID_LEN SHA256_LEN

/* Object identifiers in DER, and the name that PKCS #11 3.0 gives the curve. */
static const uint8_t p256_oid[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
static const uint8_t ed25519_oid[] = { 0x06, 0x03, 0x2b, 0x65, 0x70 };
static const uint8_t ed25519_name[] = { 0x13, 0x0c, 'e', 'd', 'w', 'a', 'r',
                                        'd',  's',  '2', '5', '5', '1', '9' };

/* Source: RFC 8017 9.2, note 1 */
static const uint8_t sha256_info[] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                       0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };

static bool read_p256(struct pkcs11_session *session, CK_OBJECT_HANDLE object, EVP_PKEY **pkey,
                      struct error *error);
static bool read_ed25519(struct pkcs11_session *session, CK_OBJECT_HANDLE object, EVP_PKEY **pkey,
                         struct error *error);
static bool read_rsa(struct pkcs11_session *session, CK_OBJECT_HANDLE object, EVP_PKEY **pkey,
                     struct error *error);

static const struct kind {
    const char *name;
    CK_KEY_TYPE type;
    CK_MECHANISM_TYPE sign;
    CK_MECHANISM_TYPE make;
    const uint8_t *curve; /* NULL: RSA */
    size_t curve_len;
    bool (*read)(struct pkcs11_session *session, CK_OBJECT_HANDLE object, EVP_PKEY **pkey,
                 struct error *error);
} kinds[] = {
    [KEY_ED25519] = { "Ed25519 (CKM_EDDSA)", CKK_EC_EDWARDS, CKM_EDDSA, CKM_EC_EDWARDS_KEY_PAIR_GEN,
                      ed25519_name, sizeof(ed25519_name), read_ed25519 },
    [KEY_ES256] = { "ECDSA with P-256 (CKM_ECDSA)", CKK_EC, CKM_ECDSA, CKM_EC_KEY_PAIR_GEN,
                    p256_oid, sizeof(p256_oid), read_p256 },
    [KEY_RS256] = { "RSA (CKM_RSA_PKCS)", CKK_RSA, CKM_RSA_PKCS, CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0,
                    read_rsa },
};

/* ---- searching ---- */

static CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, const void *value, size_t len)
{
    return (CK_ATTRIBUTE){ type, (void *)(uintptr_t)value, (CK_ULONG)len };
}

/* As many as there are, up to `max`: the token's own order. */
/* NOLINTNEXTLINE(readability-function-size): lists have lengths */
static bool search(struct pkcs11_session *session, CK_ATTRIBUTE *wanted, size_t wanted_count,
                   CK_OBJECT_HANDLE *found, size_t max, size_t *count, struct error *error)
{
    const CK_FUNCTION_LIST *module = session->functions;
    CK_RV answer = module->C_FindObjectsInit(session->handle, wanted, (CK_ULONG)wanted_count);
    CK_ULONG got = 1;

    *count = 0;
    if (answer != CKR_OK)
        return pkcs11_refused(session, answer, "searching", error);
    while (answer == CKR_OK && got > 0 && *count < max) {
        size_t room = max - *count < BATCH ? max - *count : BATCH;

        got = 0;
        answer = module->C_FindObjects(session->handle, found + *count, (CK_ULONG)room, &got);
        *count += got;
    }
    (void)module->C_FindObjectsFinal(session->handle); /* the next search says it */
    return answer == CKR_OK || pkcs11_refused(session, answer, "searching", error);
}

/* The one object of a class and name; `*is_there` says whether there is one. */
static bool find_one(struct pkcs11_session *session, CK_OBJECT_CLASS class, struct str name,
                     CK_OBJECT_HANDLE *object, bool *is_there, struct error *error)
{
    CK_ATTRIBUTE wanted[] = { attribute(CKA_CLASS, &class, sizeof(class)),
                              attribute(CKA_LABEL, name.data, name.len) };
    CK_OBJECT_HANDLE found[2];
    size_t count;

    if (!search(session, wanted, COUNT(wanted), found, COUNT(found), &count, error))
        return false;
    if (count > 1)
        return error_set(error, ERROR_CONFIG,
                         "PKCS#11 token: several keys are labelled '" STR_FMT
                         "': remove all but one",
                         STR_ARG(name));
    *is_there = count == 1;
    *object = count == 1 ? found[0] : CK_INVALID_HANDLE;
    return true;
}

/* ---- what a private key may be ---- */

/* A token that does not know an attribute has none of it. */
static bool is_set(const struct pkcs11_session *session, CK_OBJECT_HANDLE object,
                   CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = CK_FALSE;
    CK_ATTRIBUTE wanted = { type, &value, sizeof(value) };

    return session->functions->C_GetAttributeValue(session->handle, object, &wanted, 1) == CKR_OK &&
           wanted.ulValueLen == sizeof(value) && value != CK_FALSE;
}

static bool check_private(const struct pkcs11_session *session, CK_OBJECT_HANDLE object,
                          const char **why)
{
    *why = NULL;
    if (!is_set(session, object, CKA_SENSITIVE) || is_set(session, object, CKA_EXTRACTABLE))
        *why = "its private half can be taken out: it must be sensitive and not extractable";
    else if (!is_set(session, object, CKA_SIGN))
        *why = "it may not sign (CKA_SIGN)";
    else if (is_set(session, object, CKA_ALWAYS_AUTHENTICATE))
        *why = "it wants the PIN with each signature (CKA_ALWAYS_AUTHENTICATE)";
    return *why == NULL;
}

/* ---- public halves ---- */

static bool read_part(struct pkcs11_session *session, CK_OBJECT_HANDLE object,
                      CK_ATTRIBUTE_TYPE type, uint8_t bytes[PART_MAX], struct str *part,
                      struct error *error)
{
    CK_ATTRIBUTE wanted = { type, bytes, PART_MAX };
    CK_RV answer = session->functions->C_GetAttributeValue(session->handle, object, &wanted, 1);

    if (answer != CKR_OK || wanted.ulValueLen > PART_MAX)
        return pkcs11_refused(session, answer, "reading a public key", error);
    *part = (struct str){ (const char *)bytes, (size_t)wanted.ulValueLen };
    return true;
}

static bool is_bytes(struct str text, const uint8_t *bytes, size_t len)
{
    return text.len == len && memcmp(text.data, bytes, len) == 0;
}

/* The point, an OCTET STRING; some tokens leave that away. */
static struct str point_of(struct str part, size_t len)
{
    if (part.len == len + 2 && part.data[0] == 0x04 && (uint8_t)part.data[1] == len)
        return str_slice(part, 2, part.len);
    return part;
}

static bool read_p256(struct pkcs11_session *session, CK_OBJECT_HANDLE object, EVP_PKEY **pkey,
                      struct error *error)
{
    uint8_t bytes[PART_MAX];
    struct str part = { 0 };

    if (!read_part(session, object, CKA_EC_PARAMS, bytes, &part, error))
        return false;
    if (!is_bytes(part, p256_oid, sizeof(p256_oid)))
        return error_set(error, ERROR_CONFIG, "PKCS#11 token: a key on another curve than P-256");
    return read_part(session, object, CKA_EC_POINT, bytes, &part, error) &&
           public_key_ec(ECDSA_P256, point_of(part, PUBLIC_KEY_P256_LEN), pkey, error);
}

static bool read_ed25519(struct pkcs11_session *session, CK_OBJECT_HANDLE object, EVP_PKEY **pkey,
                         struct error *error)
{
    uint8_t bytes[PART_MAX];
    struct str part = { 0 };

    if (!read_part(session, object, CKA_EC_PARAMS, bytes, &part, error))
        return false;
    if (!is_bytes(part, ed25519_name, sizeof(ed25519_name)) &&
        !is_bytes(part, ed25519_oid, sizeof(ed25519_oid)))
        return error_set(error, ERROR_CONFIG, "PKCS#11 token: a key on another curve than Ed25519");
    return read_part(session, object, CKA_EC_POINT, bytes, &part, error) &&
           public_key_ed25519(point_of(part, PUBLIC_KEY_ED25519_LEN), pkey, error);
}

static bool read_rsa(struct pkcs11_session *session, CK_OBJECT_HANDLE object, EVP_PKEY **pkey,
                     struct error *error)
{
    uint8_t n_bytes[PART_MAX];
    uint8_t e_bytes[PART_MAX];
    struct str n = { 0 };
    struct str e = { 0 };

    return read_part(session, object, CKA_MODULUS, n_bytes, &n, error) &&
           read_part(session, object, CKA_PUBLIC_EXPONENT, e_bytes, &e, error) &&
           public_key_rsa(n, e, pkey, error);
}

static bool is_of(const struct pkcs11_session *session, CK_OBJECT_HANDLE object, CK_KEY_TYPE type)
{
    CK_KEY_TYPE value = 0;
    CK_ATTRIBUTE wanted = { CKA_KEY_TYPE, &value, sizeof(value) };

    return session->functions->C_GetAttributeValue(session->handle, object, &wanted, 1) == CKR_OK &&
           value == type;
}

bool pkcs11_objects_find(struct pkcs11_session *session, struct str name,
                         enum key_algorithm algorithm, EVP_PKEY **pkey, struct error *error)
{
    const struct kind *kind = &kinds[algorithm];
    CK_OBJECT_HANDLE private_half;
    CK_OBJECT_HANDLE public_half;
    const char *why = NULL;
    bool is_there;

    if (!find_one(session, CKO_PRIVATE_KEY, name, &private_half, &is_there, error))
        return false;
    if (!is_there)
        return true;
    if (!is_of(session, private_half, kind->type))
        return error_set(error, ERROR_CONFIG, "PKCS#11 token: key '" STR_FMT "' is not of %s",
                         STR_ARG(name), kind->name);
    if (!check_private(session, private_half, &why))
        return error_set(error, ERROR_CONFIG, "PKCS#11 token: key '" STR_FMT "': %s", STR_ARG(name),
                         why);
    if (!find_one(session, CKO_PUBLIC_KEY, name, &public_half, &is_there, error))
        return false;
    if (!is_there)
        return error_set(error, ERROR_CONFIG,
                         "PKCS#11 token: key '" STR_FMT "' has no public half beside it",
                         STR_ARG(name));
    return kind->read(session, public_half, pkey, error);
}

/* ---- names ---- */

static bool read_label(const struct pkcs11_session *session, CK_OBJECT_HANDLE object,
                       char label[KEY_FILE_NAME_MAX], struct str *name)
{
    CK_ATTRIBUTE wanted = { CKA_LABEL, label, KEY_FILE_NAME_MAX };

    if (session->functions->C_GetAttributeValue(session->handle, object, &wanted, 1) != CKR_OK ||
        wanted.ulValueLen > KEY_FILE_NAME_MAX)
        return false; /* longer than any of ours */
    *name = (struct str){ label, (size_t)wanted.ulValueLen };
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    const int64_t *first = a;
    const int64_t *second = b;

    return (*first > *second) - (*first < *second);
}

bool pkcs11_objects_list(struct pkcs11_session *session, struct str prefix,
                         int64_t numbers[KEY_FILES_MAX], size_t *count, struct error *error)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE wanted = attribute(CKA_CLASS, &class, sizeof(class));
    CK_OBJECT_HANDLE *found = calloc(OBJECTS_MAX, sizeof(*found));
    size_t found_count = 0;
    bool is_good = found != NULL
                       ? search(session, &wanted, 1, found, OBJECTS_MAX, &found_count, error)
                       : error_set(error, ERROR_MEMORY, "a token's keys");

    *count = 0;
    for (size_t i = 0; is_good && i < found_count; i++) {
        char label[KEY_FILE_NAME_MAX];
        struct str name;
        int64_t number;

        if (!read_label(session, found[i], label, &name) || !str_starts_with(name, prefix) ||
            !str_to_int64(str_slice(name, prefix.len, name.len), &number) || number < 0)
            continue;
        is_good = *count < KEY_FILES_MAX ||
                  error_set(error, ERROR_LIMIT, "PKCS#11 token: more than %d keys of one kind",
                            KEY_FILES_MAX);
        if (is_good)
            numbers[(*count)++] = number;
    }
    free(found);
    qsort(numbers, *count, sizeof(numbers[0]), compare_numbers);
    return is_good;
}

/* ---- making and removing: with a session of its own, which may write ---- */

static bool open_writing(struct pkcs11_session *session, CK_SESSION_HANDLE *handle,
                         struct error *error)
{
    CK_RV answer = session->functions->C_OpenSession(
        session->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, handle);

    return answer == CKR_OK || pkcs11_refused(session, answer, "opening it for writing", error);
}

static CK_RV generate(const struct pkcs11_session *session, CK_SESSION_HANDLE writing,
                      struct str name, const struct kind *kind)
{
    static const CK_BBOOL yes = CK_TRUE;
    static const CK_BBOOL no = CK_FALSE;
    static const CK_ULONG bits = RSA_BITS;
    static const uint8_t exponent[] = { 0x01, 0x00, 0x01 };
    CK_MECHANISM mechanism = { kind->make, NULL, 0 };
    uint8_t id[ID_LEN];
    CK_ATTRIBUTE of_public[] = {
        attribute(CKA_TOKEN, &yes, sizeof(yes)),
        attribute(CKA_VERIFY, &yes, sizeof(yes)),
        attribute(CKA_LABEL, name.data, name.len),
        attribute(CKA_ID, id, sizeof(id)),
        kind->curve != NULL ? attribute(CKA_EC_PARAMS, kind->curve, kind->curve_len)
                            : attribute(CKA_MODULUS_BITS, &bits, sizeof(bits)),
        attribute(CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent)),
    };
    CK_ATTRIBUTE of_private[] = {
        attribute(CKA_TOKEN, &yes, sizeof(yes)),     attribute(CKA_PRIVATE, &yes, sizeof(yes)),
        attribute(CKA_SENSITIVE, &yes, sizeof(yes)), attribute(CKA_EXTRACTABLE, &no, sizeof(no)),
        attribute(CKA_SIGN, &yes, sizeof(yes)),      attribute(CKA_LABEL, name.data, name.len),
        attribute(CKA_ID, id, sizeof(id)),
    };
    CK_ULONG public_count = COUNT(of_public) - (kind->curve != NULL ? 1 : 0);
    CK_OBJECT_HANDLE public_half;
    CK_OBJECT_HANDLE private_half;

    sha256(name, id);
    return session->functions->C_GenerateKeyPair(writing, &mechanism, of_public, public_count,
                                                 of_private, COUNT(of_private), &public_half,
                                                 &private_half);
}

static bool can_sign(struct pkcs11_session *session, const struct kind *kind)
{
    CK_MECHANISM_INFO info = { 0 };

    return session->functions->C_GetMechanismInfo(session->slot, kind->sign, &info) == CKR_OK &&
           (info.flags & CKF_SIGN) != 0;
}

bool pkcs11_objects_make(struct pkcs11_session *session, struct str name,
                         enum key_algorithm algorithm, struct error *error)
{
    const struct kind *kind = &kinds[algorithm];
    CK_SESSION_HANDLE writing;
    CK_OBJECT_HANDLE object;
    bool is_there;
    CK_RV answer;

    if (!can_sign(session, kind))
        return error_set(error, ERROR_CONFIG,
                         "PKCS#11 token: it cannot sign with %s: name '" STR_FMT
                         "' under keys.files to have that key in the folder",
                         kind->name, STR_ARG(name));
    if (!find_one(session, CKO_PRIVATE_KEY, name, &object, &is_there, error))
        return false;
    if (is_there)
        return true; /* made in an attempt before, whose answer was lost */
    if (!open_writing(session, &writing, error))
        return false;
    answer = generate(session, writing, name, kind);
    (void)session->functions->C_CloseSession(writing); /* what is made is made */
    return answer == CKR_OK || pkcs11_refused(session, answer, "making a key", error) ||
           error_wrap(error, STR_FMT, STR_ARG(name));
}

static bool remove_one(struct pkcs11_session *session, CK_SESSION_HANDLE writing,
                       CK_OBJECT_CLASS class, struct str name, struct error *error)
{
    CK_OBJECT_HANDLE object;
    bool is_there;
    CK_RV answer;

    if (!find_one(session, class, name, &object, &is_there, error) || !is_there)
        return error->code == ERROR_NONE;
    answer = session->functions->C_DestroyObject(writing, object);
    return answer == CKR_OK || pkcs11_refused(session, answer, "removing a key", error);
}

bool pkcs11_objects_remove(struct pkcs11_session *session, struct str name, struct error *error)
{
    CK_SESSION_HANDLE writing;
    bool is_removed;

    if (!open_writing(session, &writing, error))
        return false;
    is_removed = remove_one(session, writing, CKO_PRIVATE_KEY, name, error) &&
                 remove_one(session, writing, CKO_PUBLIC_KEY, name, error);
    (void)session->functions->C_CloseSession(writing); /* what is removed is removed */
    return is_removed;
}

/* ---- signing ---- */

static bool private_half(struct pkcs11_session *session, struct str name, CK_OBJECT_HANDLE *key,
                         struct error *error)
{
    bool is_there;

    for (size_t i = 0; i < session->known_count; i++) {
        if (!str_eq(name, str_from(session->known[i].name)))
            continue;
        *key = session->known[i].key;
        return true;
    }
    if (!find_one(session, CKO_PRIVATE_KEY, name, key, &is_there, error))
        return false;
    if (!is_there)
        return error_set(error, ERROR_KEYS_UNAVAILABLE, "PKCS#11 token: key '" STR_FMT "' is gone",
                         STR_ARG(name));
    if (session->known_count == PKCS11_HANDLES_MAX)
        session->known_count = 0; /* more are in use at a time than are worth remembering */
    memcpy(session->known[session->known_count].name, name.data, name.len);
    session->known[session->known_count].name[name.len] = '\0';
    session->known[session->known_count++].key = *key;
    return true;
}

/* RSA is given the digest with its name. */
static struct str prepare(enum key_algorithm algorithm, struct str bytes,
                          uint8_t room[sizeof(sha256_info) + SHA256_LEN])
{
    if (algorithm != KEY_RS256)
        return bytes;
    memcpy(room, sha256_info, sizeof(sha256_info));
    memcpy(room + sizeof(sha256_info), bytes.data, SHA256_LEN);
    return (struct str){ (const char *)room, sizeof(sha256_info) + SHA256_LEN };
}

/* NOLINTNEXTLINE(readability-function-size): a signature has a length */
bool pkcs11_objects_sign(struct pkcs11_session *session, struct str name,
                         enum key_algorithm algorithm, struct str bytes,
                         uint8_t signature[KEY_SIGNATURE_MAX], size_t *signature_len,
                         struct error *error)
{
    CK_MECHANISM mechanism = { kinds[algorithm].sign, NULL, 0 };
    uint8_t room[sizeof(sha256_info) + SHA256_LEN];
    struct str input = prepare(algorithm, bytes, room);
    CK_ULONG len = KEY_SIGNATURE_MAX;
    CK_OBJECT_HANDLE key;
    CK_RV answer;

    if (!private_half(session, name, &key, error))
        return false;
    answer = session->functions->C_SignInit(session->handle, &mechanism, key);
    if (answer == CKR_OK)
        answer = session->functions->C_Sign(session->handle, (CK_BYTE_PTR)(uintptr_t)input.data,
                                            (CK_ULONG)input.len, signature, &len);
    if (answer != CKR_OK || len > KEY_SIGNATURE_MAX)
        return pkcs11_refused(session, answer, "signing", error);
    *signature_len = (size_t)len;
    return true;
}

bool pkcs11_objects_probe(struct pkcs11_session *session, struct error *error)
{
    CK_SESSION_INFO info = { 0 };
    CK_TOKEN_INFO token;
    CK_RV answer = session->functions->C_GetSessionInfo(session->handle, &info);

    if (answer == CKR_OK && info.state != CKS_RO_USER_FUNCTIONS)
        answer = CKR_USER_NOT_LOGGED_IN;
    if (answer == CKR_OK)
        answer = session->functions->C_GetTokenInfo(session->slot, &token);
    return answer == CKR_OK ||
           pkcs11_refused(session, answer, "looking whether it is there", error);
}
