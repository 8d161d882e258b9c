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
#include "base/json.h"
#include "tests/test.h"

#define PAYLOAD                                                                                    \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

/* One RSA key that says no `alg`, for five algorithms. */
#define ANY_RSA_JWK                                                                                \
    "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"yc4XnEB4Vv4uYTcbhcue4ISiK2IRUHPdAKMyn0cxoWpYVvNT8KMH" \
    "Xh_uokl_s1fUJAuR6sjoqWNwzwAOJ6ZP7WjzK5WmjXKZ7nFNr-bFcOlemoHAyC-sjCDDWoAbNIaASyuaOucy_DeznjAl" \
    "3Av9tyP5W27WmN4d2CjCpwmk6Nda59amfw2GnC2ynSUew20F-KBHH7Y2dK2FPfW8SE7YZTTKH3I9cZgFnG66L3HBq5_u" \
    "-mdUlQzF2D5DtXnjoP8rDja1f0ltyNR0QRxk4ZQWM5RcRQGkYS7NwST2u0X9KQ_XsrE81dzpt4QYkNUdUPgyrRrb77fp" \
    "0cA7rLHXqAN9_w\"}"

const struct vector vectors[VECTOR_COUNT] = {
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
    {
        .name = "RS384",
        .jwk = ANY_RSA_JWK,
        .algorithm = JOSE_RS384,
        .message = "eyJhbGciOiJSUzM4NCJ9." PAYLOAD,
        .signature =
            "QETDwifIJyf4Zq33IiSQT2NvE86DJFyxE3IHZiTX7uvmYOg6T6bJC0M3jNKgs4bw9dXgzyeiTaKg8oJZSOIt"
            "kS8AGJZPzBcYmyKt_SGCpPywNR1zy9doaffK0D7G_Ov2GQ3oWaQi3GhImcr6g1dN9kvkNlgRAZkBVwDPRQuH"
            "jHfWX2yxVfMPm2wTW7UdYwr3IrXQhBmUI58CLFacy4JKp-WjlspcwSUjU2NKV8g5TVwhNtNMMDI-52L4HgMA"
            "nGFq0btUYNUNNW2dwegRr4ffBPnbR1kH_TDX46ejf-raxG7j4sYQefZTbNFd3uBNYb6iqFQkYTWrdhu2Wq1T"
            "Ri_Nng",
    },
    {
        .name = "RS512",
        .jwk = ANY_RSA_JWK,
        .algorithm = JOSE_RS512,
        .message = "eyJhbGciOiJSUzUxMiJ9." PAYLOAD,
        .signature =
            "RWM2irLg9G8asV6m9axpSwdyDY0K8yj43v5VbjSaGlPxbVzuPeYDm5Fbila152PxGF7wRAyAC3AY5RXHokWs"
            "Od3JSFZDxms7zK--of-T8Wwi4TpHbNk1020N0gHb6x2eXAFIJ4plW1v0Vb8afF01v7132fqQJn_VZVFMDJx2"
            "S9HTOWosvmNYTloJMZaDRhs0447TjN41WcPJIxPjPgEYIKV5x19Zzh7OLMpBdGi1gMgG27vSEhV5NYtvplTC"
            "Lh5Ngu2nDTVk3nCC-ZD12TC56-0vKLpzYDW2bNN3GoKfNWne1itnMvGjTTZaDwFniJTxHtK0ggxxGXDrkzKY"
            "o6fN_g",
    },
    {
        .name = "PS256",
        .jwk = ANY_RSA_JWK,
        .algorithm = JOSE_PS256,
        .message = "eyJhbGciOiJQUzI1NiJ9." PAYLOAD,
        .signature =
            "HvIQ1oYyZpSRGPbZS-6-otJAUFwVGqUzuMUlaSwEK_7TpAjkegqvKbKetz6yxksLYY36ikVFS7MhOZNihFMP"
            "_gc_6AoM5_11sgDBeBCsnhdS8dKMVVDh_XPOhhUHkr6poE_WcWCaYz5N7qFNFUXFMImhm2XN7mKpX8ptMyFD"
            "AYktsU0gYWHOKiyGE5r_PTu0TT-e26fkVwW06FDtE390PTiY58VNn3_WEfbFrGsw6nMcut7D9GOa-SZmG9rh"
            "kozg9IU1U_q4tIp-J7Pqf0B2spumZQrE-GIKocUEwD5YI-Yrg5abQ9dR50cPzw4cwRT9_biWycnbsY6zBNog"
            "oEQIrQ",
    },
    {
        .name = "PS384",
        .jwk = ANY_RSA_JWK,
        .algorithm = JOSE_PS384,
        .message = "eyJhbGciOiJQUzM4NCJ9." PAYLOAD,
        .signature =
            "qBXfSTtyB_sBVP2louepIWegYg4vTuWWawKT6LrYn5ZK9VgOwatJoQwviAAr5GdV9YwcEbLwMKuUpHxJQcmF"
            "wcCf3AknUbqXg7QWKfPcQGmayFdc_qbg0syLIUFo2Y2b7lOTqbgdmBJ9rWuOAuA7L7e0AG3hF3rNFKa38qyS"
            "gYHLzgaVuYl5mwYncU9KkitY_Dhuo0IeuJK6k7FkMxtp3oxIvroGc_NtlnvE8lH2pkZUDz-6SSwJ5o8ACF5L"
            "vxxoC8pgOo9DBbG1E-wHRkrlfPyqCfPnWWGX7dX-UWDP2VGOoCVYDIz2FrghEU3faS_MnJQ7UbgFD0lturyC"
            "kaDMNA",
    },
    {
        .name = "PS512",
        .jwk = ANY_RSA_JWK,
        .algorithm = JOSE_PS512,
        .message = "eyJhbGciOiJQUzUxMiJ9." PAYLOAD,
        .signature =
            "Eoyz_LSUcAyD9tB_H3o9nvbXeEeLmO08qyYdkUjeVuLHOa1sJ8uucrTyxrxCLZzEhH_HmY_aWLpLhHTl4pUq"
            "R9KBFjK14pKTLQAj0MBABsMlY-n1mirnZun9GJWU4H-igZc36TRqR3gHeIBUThzB_F_8KKoyTR09siWW-bH4"
            "H12cXa_iSWbzeIKCioH3_f1AYRdsXENSTEx9ERY2vCzkSHMQn-DGxVekvyP7_R7Q7E-2Q8v_OVC6UR35KT_c"
            "yPnovMso66le1Hhsg-GJrgflAOVaMTwC03sWFDUs63yzNnC0OBHw3fm6TfX3uZpb6P26FQAf3NNOlsfuIeMw"
            "mREhqw",
    },
    {
        .name = "ES384",
        .jwk =
            "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"-Ey_muoVEj0bFwtlmJ36AGcIISXg7-V12I7cLyjE18"
            "GeRPIYAmHLb1boSpLIuIXZ\",\"y\":\"qPDyHOM2ocxVJ4fz9mNiqpN3NXoABdVW9MYb6ifoyvgGg8rKENN"
            "-KuyX15dSY3to\"}",
        .algorithm = JOSE_ES384,
        .message = "eyJhbGciOiJFUzM4NCJ9." PAYLOAD,
        .signature =
            "wNz7J3TOaG1XhuBjCNNLDZQGJ7Q8xX_11PdhI3ctHie582FSrhj5MBK3d7dlfMrDw48mg7EvSnwL85-YW3OO"
            "nGDVA6p531Acq4N465G0czWSN5Jl1kLnvI0o1Tcls-G2",
    },
    {
        .name = "ES512",
        .jwk =
            "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"ASAQKtqMqXsp1EkpHcnKw0fM_W--srYEfaf_xLgpni"
            "uHZJaGSeTqOtG4-3Tj1XUk6RqxgyBpKS3zzB5nEtC__BsH\",\"y\":\"ABqJE0tjtfDME44EHCdTi71jcIA"
            "oajQy2NDF0aN1y7DGkPq6-7mVdgeAt_xjgfWpm5qwhr9OxRwiiMRbMVpzZfVl\"}",
        .algorithm = JOSE_ES512,
        .message = "eyJhbGciOiJFUzUxMiJ9." PAYLOAD,
        .signature =
            "Abe72ckU2kZrm0ytKgzGZhUhYp3xAbmZQgmXq7CQep8sgfpfw6IZqOmUuYHVwNN7Nb8eE3fFtv3hQG09qoyS"
            "9YTRASWUmSvhq2YlTaTbdaBFxQqE_-maje5QDgza9Lnl2k00gwvetBYJbSB_dA7YYlJxMyS8E_HwUMzLU3AE"
            "R96x9CvB",
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

    if (!verifier_new(jwk, JOSE_ANY, &verifier, &error))
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
    struct keys_options options = { .directory = folder,
                                    .issuer_algorithm = algorithm,
                                    .rotate_every_s = TEST_MONTH_S };
    struct error error = { 0 };
    struct keys *keys = NULL;

    if (!keys_open(&options, now_s, &keys, &error))
        fail_msg("%s", error.cause);
    return keys;
}

enum error_code keys_refused(const char *folder, enum key_algorithm algorithm)
{
    struct keys_options options = { .directory = folder,
                                    .issuer_algorithm = algorithm,
                                    .rotate_every_s = TEST_MONTH_S };
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

struct str kid_of(struct keys *keys, struct arena *arena)
{
    JSON_OWNED json_t *claims = json_object();
    JSON_OWNED json_t *header = NULL;
    uint8_t bytes[BASE64_DECODED_MAX(KEYS_TOKEN_MAX)];
    struct error error = { 0 };
    struct str token;
    struct str rest;
    size_t len;

    assert_true(keys_sign_jwt(keys, "JWT", claims, arena, &token, &error));
    assert_true(str_cut(token, '.', &token, &rest));
    assert_true(base64url_decode(token, bytes, &len));
    header = json_loadb((const char *)bytes, len, 0, NULL);
    assert_non_null(header);
    return arena_copy(arena, json_str(json_object_get(header, "kid")));
}
