#pragma once

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "keys/key_folder.h"
#include "keys/keys.h"
#include "keys/pkcs11.h"

/* ---- pkcs11_place.c: where a token is ---- */

/** What a URI says. All zero is empty. */
struct pkcs11_place {
    P11KitUri *uri; /* matches the token */
    char *module;   /* path */
    char *pin_file;
};

bool pkcs11_place_read(const char *text, struct pkcs11_place *place, struct error *error) MUST_USE;
void pkcs11_place_release(struct pkcs11_place *place);

OWNED_VALUE(pkcs11_place_release, struct pkcs11_place)

/* ---- pkcs11_module.c: the module, its token, the login ---- */

/** Object handles that a session remembers. */
#define PKCS11_HANDLES_MAX 16

/**
 * The module, and how we are with it.
 *
 * `gate` is held for reading by whoever is in the module, and for writing only by who starts it
 * anew; nobody waits for the latter. `connecting` is held while a session is opened: one at a time
 * shows the PIN.
 */
struct pkcs11_module {
    struct pkcs11_place place;
    pthread_rwlock_t gate;
    pthread_mutex_t connecting;

    CK_FUNCTION_LIST *functions; /* guarded by connecting; NULL: not loaded yet */
    bool is_started;             /* guarded by connecting, or the gate held for writing */
    uint8_t refused[SHA256_LEN]; /* guarded by connecting: digest of a PIN that was refused */
    bool has_refused;            /* guarded by connecting */
    _Atomic unsigned generation; /* of sessions: those of another one are lost */
};

/** A thread's session. Threads: confined */
struct pkcs11_session {
    struct pkcs11_module *module;
    const CK_FUNCTION_LIST *functions;
    CK_SESSION_HANDLE handle;
    CK_SLOT_ID slot;
    unsigned generation;
    bool is_open;
    bool is_lost; /* what failed last failed since session, login or token are gone */
    struct {
        char name[KEY_FILE_NAME_MAX];
        CK_OBJECT_HANDLE key;
    } known[PKCS11_HANDLES_MAX]; /* private keys, found before */
    size_t known_count;
};

void pkcs11_module_init(struct pkcs11_module *module);
void pkcs11_module_release(struct pkcs11_module *module);

/**
 * Open the session where it is not, or is of another generation. Hold the gate for reading.
 *
 * Errors: ERROR_CONFIG (module, token, PIN), ERROR_KEYS_UNAVAILABLE (`is_lost` is set where another
 * start of the module may help), ERROR_IO
 */
bool pkcs11_session_open(struct pkcs11_session *session, struct error *error) MUST_USE;
void pkcs11_session_close(struct pkcs11_session *session);

/** Start the module anew where nobody is in it. Do not hold the gate. */
void pkcs11_module_restart(struct pkcs11_module *module);

/** Set an error that says what the module answered, and note whether the session is lost. False. */
bool pkcs11_refused(struct pkcs11_session *session, CK_RV answer, const char *what,
                    struct error *error);

/* ---- pkcs11_objects.c: keys in it, with an open session ---- */

/** Digests of SHA-256 for ES256 and RS256, all that is signed for Ed25519. */
bool pkcs11_objects_sign(struct pkcs11_session *session, struct str name,
                         enum key_algorithm algorithm, struct str bytes,
                         uint8_t signature[KEY_SIGNATURE_MAX], size_t *signature_len,
                         struct error *error) MUST_USE;
bool pkcs11_objects_list(struct pkcs11_session *session, struct str prefix,
                         int64_t numbers[KEY_FILES_MAX], size_t *count, struct error *error)
    MUST_USE;
bool pkcs11_objects_find(struct pkcs11_session *session, struct str name,
                         enum key_algorithm algorithm, EVP_PKEY **pkey, struct error *error)
    MUST_USE;
bool pkcs11_objects_make(struct pkcs11_session *session, struct str name,
                         enum key_algorithm algorithm, struct error *error) MUST_USE;
bool pkcs11_objects_remove(struct pkcs11_session *session, struct str name, struct error *error)
    MUST_USE;
/** Whether token and login are still there. */
bool pkcs11_objects_probe(struct pkcs11_session *session, struct error *error) MUST_USE;
