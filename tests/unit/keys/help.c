#include "help.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/file.h"
#include "tests/test.h"

#define PAYLOAD                                                                                    \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

const struct vector vectors[3] = {
    {
        .name = "RFC 7515 A.2",
        .jwk =
            "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxH"
            "mfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47s"
            "oMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsm"
            "tdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs"
            "91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}",
        .algorithm = JOSE_RS256,
        .message = "eyJhbGciOiJSUzI1NiJ9." PAYLOAD,
        .signature =
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_"
            "lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO7"
            "5vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOk"
            "HWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy"
            "wlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    },
    {
        .name = "RFC 7515 A.3",
        .jwk =
            "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVE"
            "U\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
        .algorithm = JOSE_ES256,
        .message = "eyJhbGciOiJFUzI1NiJ9." PAYLOAD,
        .signature =
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3"
            "-Kg6NU1Q",
    },
    {
        .name = "RFC 8037 A.4",
        .jwk = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
               "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
        .algorithm = JOSE_EDDSA,
        .message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        .signature =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr"
            "_MuM0KAg",
    },
};

json_t *json_of(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    return json;
}

struct verifier *verifier_of(const char *text)
{
    struct verifier *verifier = NULL;
    struct error error = { 0 };
    json_t *jwk = json_of(text);

    if (!verifier_new(jwk, ANY_ALGORITHM, &verifier, &error))
        fail_msg("%s", error.cause);
    json_decref(jwk);
    return verifier;
}

struct str decode(const char *text, uint8_t *out)
{
    size_t len;

    assert_true(base64url_decode(str_from(text), out, &len));
    return (struct str){ (const char *)out, len };
}

char *temporary_folder(void)
{
    char *path = strdup("/tmp/stagepass-keys-XXXXXX");

    assert_non_null(path);
    assert_non_null(mkdtemp(path));
    return path;
}

void remove_folder(char *path)
{
    DIR *names = opendir(path);
    const struct dirent *entry;

    assert_non_null(names);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread, one DIR */
    while ((entry = readdir(names)) != NULL)
        (void)unlinkat(dirfd(names), entry->d_name, 0); /* not '.' and '..' */
    (void)closedir(names);
    assert_int_equal(rmdir(path), 0);
    free(path);
}

void join_path(const char *folder, const char *name, char out[256])
{
    int len = snprintf(out, 256, "%s/%s", folder, name);

    assert_in_range(len, 1, 255);
}

size_t count_files(const char *folder, const char *prefix, const char *suffix)
{
    DIR *names = opendir(folder);
    const struct dirent *entry;
    size_t count = 0;

    assert_non_null(names);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread, one DIR */
    while ((entry = readdir(names)) != NULL) {
        count += str_starts_with(str_from(entry->d_name), str_from(prefix)) &&
                 str_ends_with(str_from(entry->d_name), str_from(suffix));
    }
    (void)closedir(names);
    return count;
}

struct keys *keys_of(const char *folder, enum key_algorithm algorithm, int64_t now_s)
{
    struct keys_options options = { folder, algorithm, TEST_MONTH_S };
    struct error error = { 0 };
    struct keys *keys = NULL;

    if (!keys_open(&options, now_s, &keys, &error))
        fail_msg("%s", error.cause);
    return keys;
}

enum error_code keys_refused(const char *folder, enum key_algorithm algorithm)
{
    struct keys_options options = { folder, algorithm, TEST_MONTH_S };
    struct error error = { 0 };
    struct keys *keys = NULL;

    assert_false(keys_open(&options, TEST_START_S, &keys, &error));
    assert_null(keys);
    return error.code;
}

static void become_program(const char *const *arguments)
{
    int nowhere = open("/dev/null", O_RDWR);
    char *copies[16] = { NULL };

    for (size_t i = 0; i < COUNT(copies) - 1 && arguments[i] != NULL; i++)
        copies[i] = strdup(arguments[i]);
    if (copies[0] != NULL && nowhere >= 0 && dup2(nowhere, 0) == 0 && dup2(nowhere, 1) == 1 &&
        dup2(nowhere, 2) == 2)
        (void)execvp(copies[0], copies);
    _exit(127);
}

void run_program(const char *const *arguments)
{
    pid_t child = fork();
    int status = -1;

    assert_true(child >= 0);
    if (child == 0)
        become_program(arguments);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        fail_msg("%s %s: status %d", arguments[0], arguments[1], status);
}

void write_text(const char *folder, const char *name, struct str text)
{
    struct error error = { 0 };
    char path[256];

    join_path(folder, name, path);
    assert_true(file_replace(path, text, 0600, &error));
}

struct str read_text(struct arena *arena, const char *folder, const char *name)
{
    struct error error = { 0 };
    struct str text;
    char path[256];

    join_path(folder, name, path);
    if (!file_read(arena, path, 65536, &text, &error))
        fail_msg("%s", error.cause);
    return text;
}
