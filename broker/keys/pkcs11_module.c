#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/secret.h"
#include "keys/pkcs11_internal.h"

#define PIN_MAX ((size_t)256)
#define SLOTS_MAX 64

/* ---- what it answers ---- */

/* Session, login, token or module are gone, or say so: opening anew may help. */
static bool is_loss(CK_RV answer)
{
    static const CK_RV losses[] = {
        CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED,     CKR_USER_NOT_LOGGED_IN,
        CKR_DEVICE_REMOVED,         CKR_DEVICE_ERROR,       CKR_TOKEN_NOT_PRESENT,
        CKR_TOKEN_NOT_RECOGNIZED,   CKR_SLOT_ID_INVALID,    CKR_CRYPTOKI_NOT_INITIALIZED,
        CKR_OBJECT_HANDLE_INVALID,  CKR_KEY_HANDLE_INVALID, CKR_GENERAL_ERROR,
        CKR_FUNCTION_FAILED,
    };

    for (size_t i = 0; i < COUNT(losses); i++)
        if (answer == losses[i])
            return true;
    return false;
}

bool pkcs11_refused(struct pkcs11_session *session, CK_RV answer, const char *what,
                    struct error *error)
{
    session->is_lost = is_loss(answer);
    return error_set(error, session->is_lost ? ERROR_KEYS_UNAVAILABLE : ERROR_CONFIG,
                     "PKCS#11 token: %s: %s (0x%lx)", what, p11_kit_strerror(answer), answer);
}

static bool lost(struct pkcs11_session *session, struct error *error, const char *what)
{
    session->is_lost = true;
    return error_set(error, ERROR_KEYS_UNAVAILABLE, "PKCS#11 token: %s", what);
}

/* ---- the module ---- */

void pkcs11_module_init(struct pkcs11_module *module)
{
    (void)pthread_rwlock_init(&module->gate, NULL);
    (void)pthread_mutex_init(&module->connecting, NULL);
}

void pkcs11_module_release(struct pkcs11_module *module)
{
    if (module->is_started)
        (void)p11_kit_module_finalize(module->functions); /* nobody uses it any more */
    if (module->functions != NULL)
        p11_kit_module_release(module->functions);
    pkcs11_place_release(&module->place);
    (void)pthread_mutex_destroy(&module->connecting);
    (void)pthread_rwlock_destroy(&module->gate);
}

void pkcs11_module_restart(struct pkcs11_module *module)
{
    if (pthread_rwlock_trywrlock(&module->gate) != 0)
        return; /* somebody is in it, perhaps for long */
    if (module->is_started)
        (void)p11_kit_module_finalize(module->functions); /* it is lost anyway */
    module->is_started = false;
    module->generation++;
    (void)pthread_rwlock_unlock(&module->gate);
}

/* It is code that we run. */
static bool check_file(const char *path, struct error *error)
{
    struct stat status;

    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return error_set(error, ERROR_CONFIG,
                         "PKCS#11 module %s: it is not there: install it, or correct module-path",
                         path);
    return !file_is_open_to_others(path, &status) ||
           error_set(error, ERROR_CONFIG, "PKCS#11 module %s: others may change it", path);
}

static bool start(struct pkcs11_session *session, struct error *error)
{
    struct pkcs11_module *module = session->module;
    CK_RV answer;

    if (module->functions == NULL) {
        if (!check_file(module->place.module, error))
            return false;
        module->functions = p11_kit_module_load(module->place.module, 0);
    }
    if (module->functions == NULL)
        return error_set(error, ERROR_CONFIG, "PKCS#11 module %s: it does not load: %s",
                         module->place.module, p11_kit_message());
    if (!module->is_started) {
        answer = p11_kit_module_initialize(module->functions);
        if (answer != CKR_OK)
            return pkcs11_refused(session, answer, "starting its module", error);
        module->is_started = true;
    }
    session->functions = module->functions;
    return true;
}

/* ---- the token ---- */

static bool fits(const struct pkcs11_session *session, CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    P11KitUri *uri = session->module->place.uri;
    CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(uri);

    return (wanted == (CK_SLOT_ID)-1 || wanted == slot) &&
           session->functions->C_GetTokenInfo(slot, info) == CKR_OK &&
           p11_kit_uri_match_token_info(uri, info) == 1;
}

static bool find_token(struct pkcs11_session *session, CK_TOKEN_INFO *info, struct error *error)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = 0;
    size_t found = 0;
    CK_RV answer;

    (void)session->functions->C_GetSlotList(CK_FALSE, NULL, &count); /* some look only then */
    count = COUNT(slots);
    answer = session->functions->C_GetSlotList(CK_TRUE, slots, &count);
    if (answer != CKR_OK)
        return pkcs11_refused(session, answer, "looking for it", error);
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO of_slot;

        if (!fits(session, slots[i], &of_slot))
            continue;
        session->slot = slots[i];
        *info = of_slot;
        found++;
    }
    if (found > 1)
        return error_set(error, ERROR_CONFIG,
                         "PKCS#11 token: several fit the URI: name its serial, too");
    return found == 1 ||
           lost(session, error, "it is not there: is it plugged in, and named right?");
}

/* ---- the login ---- */

/* A PIN that is wrong must not lock the token by being tried again and again. */
static bool check_tries(const CK_TOKEN_INFO *info, struct error *error)
{
    if ((info->flags & CKF_USER_PIN_LOCKED) != 0)
        return error_set(error, ERROR_CONFIG,
                         "PKCS#11 token: its PIN is locked: its security officer sets a new one");
    if ((info->flags & CKF_USER_PIN_FINAL_TRY) != 0)
        return error_set(error, ERROR_CONFIG,
                         "PKCS#11 token: one more wrong PIN would lock it, so none is tried: log "
                         "in once with its own tools");
    return (info->flags & CKF_USER_PIN_INITIALIZED) != 0 ||
           error_set(error, ERROR_CONFIG, "PKCS#11 token: it has no user PIN yet");
}

static struct str trimmed(const struct secret *content)
{
    struct str pin = { (const char *)content->data, content->len };

    while (pin.len > 0 && (pin.data[pin.len - 1] == '\n' || pin.data[pin.len - 1] == '\r'))
        pin.len--;
    return pin;
}

static bool show_pin(struct pkcs11_session *session, struct str pin, struct error *error)
{
    struct pkcs11_module *module = session->module;
    CK_RV answer = session->functions->C_Login(
        session->handle, CKU_USER, (CK_UTF8CHAR_PTR)(uintptr_t)pin.data, (CK_ULONG)pin.len);

    if (answer == CKR_OK || answer == CKR_USER_ALREADY_LOGGED_IN)
        return true;
    if (is_loss(answer))
        return pkcs11_refused(session, answer, "logging in", error);
    sha256(pin, module->refused);
    module->has_refused = true;
    return error_set(error, ERROR_CONFIG,
                     "PKCS#11 token: it refuses the PIN in %s (0x%lx), which is not tried again "
                     "before the file changes",
                     module->place.pin_file, answer);
}

static bool log_in(struct pkcs11_session *session, const CK_TOKEN_INFO *info, struct error *error)
{
    struct pkcs11_module *module = session->module;
    OWNED(secret_release) struct secret content = { 0 };
    uint8_t digest[SHA256_LEN];
    struct str pin;

    if (!secret_read_file(&content, module->place.pin_file, PIN_MAX, error))
        return error_wrap(error, "PKCS#11 token: PIN");
    pin = trimmed(&content);
    if (pin.len == 0)
        return error_set(error, ERROR_CONFIG, "PKCS#11 token: %s has no PIN in it",
                         module->place.pin_file);
    sha256(pin, digest);
    if (module->has_refused && memcmp(digest, module->refused, sizeof(digest)) == 0)
        return error_set(error, ERROR_CONFIG,
                         "PKCS#11 token: it has refused the PIN in %s: put the right one there",
                         module->place.pin_file);
    return check_tries(info, error) && show_pin(session, pin, error);
}

static bool is_logged_in(const struct pkcs11_session *session)
{
    CK_SESSION_INFO info = { 0 };

    return session->functions->C_GetSessionInfo(session->handle, &info) == CKR_OK &&
           (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS);
}

static bool connect_it(struct pkcs11_session *session, struct error *error)
{
    CK_TOKEN_INFO info = { 0 };
    CK_RV answer;

    if (!start(session, error) || !find_token(session, &info, error))
        return false;
    answer = session->functions->C_OpenSession(session->slot, CKF_SERIAL_SESSION, NULL, NULL,
                                               &session->handle);
    if (answer != CKR_OK)
        return pkcs11_refused(session, answer, "opening a session", error);
    session->generation = session->module->generation;
    session->known_count = 0;
    session->is_open = true;
    return is_logged_in(session) || log_in(session, &info, error);
}

bool pkcs11_session_open(struct pkcs11_session *session, struct error *error)
{
    struct pkcs11_module *module = session->module;
    bool is_connected;

    session->is_lost = false;
    if (session->is_open && session->generation == module->generation)
        return true;
    session->is_open = false; /* that of another generation ended with it */
    (void)pthread_mutex_lock(&module->connecting);
    is_connected = connect_it(session, error);
    (void)pthread_mutex_unlock(&module->connecting);
    if (!is_connected)
        pkcs11_session_close(session);
    return is_connected;
}

void pkcs11_session_close(struct pkcs11_session *session)
{
    if (session->is_open && session->generation == session->module->generation)
        (void)session->functions->C_CloseSession(session->handle); /* it may be gone */
    session->is_open = false;
}
