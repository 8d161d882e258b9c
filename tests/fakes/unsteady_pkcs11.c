/*
 * A PKCS#11 module that is SoftHSM, until a file says how it misbehaves.
 *
 * UNSTEADY_PKCS11 names the file. Its words, read anew with each call, one or more:
 *   lost    the token is not there: no call works
 *   forgot  the next signature finds its session closed; the word is gone then
 *   stuck   calls that sign or open sessions do not come back while the word is there
 *   slow    a signature takes 300 ms
 *   wrong   a signature is another one
 *   last    the token says that one wrong PIN more would lock it
 *   locked  the token says that its PIN is locked
 *   full    no pair of keys can be made
 * Each PIN that is shown is a line in the file of that name and ".logins": how many bytes it had.
 */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REAL "/usr/lib/softhsm/libsofthsm2.so"

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);

static const CK_FUNCTION_LIST *real;
static CK_FUNCTION_LIST ours;

static int says(const char *word)
{
    const char *path = getenv("UNSTEADY_PKCS11");
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    char text[64] = "";

    if (file == NULL)
        return 0;
    if (fgets(text, sizeof(text), file) == NULL)
        text[0] = '\0';
    (void)fclose(file);
    return strstr(text, word) != NULL;
}

static void say_nothing(void)
{
    FILE *file = fopen(getenv("UNSTEADY_PKCS11"), "we");

    if (file != NULL)
        (void)fclose(file);
}

static void pause_ms(long ms)
{
    struct timespec time = { ms / 1000, (ms % 1000) * 1000000 };

    (void)nanosleep(&time, NULL);
}

static CK_RV state(void)
{
    while (says("stuck"))
        pause_ms(20);
    return says("lost") ? CKR_DEVICE_REMOVED : CKR_OK;
}

static CK_RV initialize(void *options)
{
    return says("lost") ? CKR_DEVICE_REMOVED : real->C_Initialize(options);
}

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
    if (says("lost")) {
        *count = 0;
        return CKR_OK;
    }
    return real->C_GetSlotList(present, slots, count);
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CK_RV answer = says("lost") ? CKR_TOKEN_NOT_PRESENT : real->C_GetTokenInfo(slot, info);

    if (answer == CKR_OK && says("last"))
        info->flags |= CKF_USER_PIN_FINAL_TRY;
    if (answer == CKR_OK && says("locked"))
        info->flags |= CKF_USER_PIN_LOCKED;
    return answer;
}

static CK_RV get_session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
{
    return says("lost") ? CKR_DEVICE_REMOVED : real->C_GetSessionInfo(session, info);
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *context, CK_NOTIFY notify,
                          CK_SESSION_HANDLE *session)
{
    CK_RV answer = state();

    return answer != CKR_OK ? answer : real->C_OpenSession(slot, flags, context, notify, session);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s.logins", getenv("UNSTEADY_PKCS11"));
    file = fopen(path, "ae");
    if (file != NULL) {
        (void)fprintf(file, "%lu\n", len);
        (void)fclose(file);
    }
    return says("lost") ? CKR_DEVICE_REMOVED : real->C_Login(session, user, pin, len);
}

static CK_RV find_objects_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *wanted, CK_ULONG count)
{
    return says("lost") ? CKR_DEVICE_REMOVED : real->C_FindObjectsInit(session, wanted, count);
}

/* NOLINTNEXTLINE(readability-function-size): the standard's signature */
static CK_RV generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *of_public,
                      CK_ULONG public_count, CK_ATTRIBUTE *of_private, CK_ULONG private_count,
                      CK_OBJECT_HANDLE *public_half, CK_OBJECT_HANDLE *private_half)
{
    if (says("full"))
        return CKR_DEVICE_MEMORY;
    return real->C_GenerateKeyPair(session, mechanism, of_public, public_count, of_private,
                                   private_count, public_half, private_half);
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    CK_RV answer = state();

    if (answer == CKR_OK && says("forgot")) {
        say_nothing();
        (void)real->C_CloseSession(session);
    }
    return answer != CKR_OK ? answer : real->C_SignInit(session, mechanism, key);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE *bytes, CK_ULONG bytes_len, CK_BYTE *signature,
                  CK_ULONG *signature_len)
{
    CK_RV answer = state();

    if (says("slow"))
        pause_ms(300);
    if (answer == CKR_OK)
        answer = real->C_Sign(session, bytes, bytes_len, signature, signature_len);
    if (answer == CKR_OK && says("wrong"))
        signature[*signature_len / 2] ^= 0x01;
    return answer;
}

static int load(void)
{
    CK_RV (*get)(CK_FUNCTION_LIST * *list) = NULL;
    void *library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library != NULL ? dlsym(library, "C_GetFunctionList") : NULL;
    CK_FUNCTION_LIST *found = NULL;

    if (symbol == NULL)
        return 0;
    memcpy(&get, &symbol, sizeof(get)); /* ISO C has no cast from object to function */
    if (get(&found) != CKR_OK)
        return 0;
    real = found;
    ours = *found;
    return 1;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    if (real == NULL && !load())
        return CKR_GENERAL_ERROR;
    ours.C_Initialize = initialize;
    ours.C_GetFunctionList = C_GetFunctionList;
    ours.C_GetSlotList = get_slot_list;
    ours.C_GetTokenInfo = get_token_info;
    ours.C_GetSessionInfo = get_session_info;
    ours.C_OpenSession = open_session;
    ours.C_Login = login;
    ours.C_FindObjectsInit = find_objects_init;
    ours.C_GenerateKeyPair = generate;
    ours.C_SignInit = sign_init;
    ours.C_Sign = sign;
    *list = &ours;
    return CKR_OK;
}
