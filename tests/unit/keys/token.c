#include "token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "help.h"
#include "tests/test.h"

#ifdef __SANITIZE_ADDRESS__
/* SoftHSM forgets the curve's name of each Ed25519 key; only whole stacks show that it is it. */
const char *__asan_default_options(void);      /* NOLINT(bugprone-reserved-identifier) */
const char *__lsan_default_suppressions(void); /* NOLINT(bugprone-reserved-identifier) */

const char *__asan_default_options(void) /* NOLINT(bugprone-reserved-identifier) */
{
    return "fast_unwind_on_malloc=0";
}

const char *__lsan_default_suppressions(void) /* NOLINT(bugprone-reserved-identifier) */
{
    return "leak:libsofthsm2.so\n";
}
#endif

static void write_softhsm(const struct token *token)
{
    char text[512];
    char path[256];
    struct error error = { 0 };

    join_path(token->folder, "tokens", path);
    assert_true(file_make_folder(path, 0700, &error));
    (void)snprintf(text, sizeof(text),
                   "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
                   path);
    write_text(token->folder, "softhsm2.conf", str_from(text));
    join_path(token->folder, "softhsm2.conf", path);
    assert_int_equal(setenv("SOFTHSM2_CONF", path, 1), 0);
    join_path(token->folder, "says", path);
    assert_int_equal(setenv("UNSTEADY_PKCS11", path, 1), 0);
}

void token_start(struct token *token)
{
    const char *const init[] = { "softhsm2-util", "--init-token", "--free", "--label", "stagepass",
                                 "--so-pin",      "12345678",     "--pin",  "1234",    NULL };

    token->folder = temporary_folder();
    write_softhsm(token);
    run_program(init);
    token_pin(token, "1234");
    token_says(token, "");
    (void)snprintf(token->uri, sizeof(token->uri),
                   "pkcs11:token=stagepass?module-path=%s&pin-source=file:%s/pin", UNSTEADY_MODULE,
                   token->folder);
}

void token_stop(struct token *token)
{
    struct error error = { 0 };

    assert_true(file_remove_folder(token->folder, &error));
    free(token->folder);
}

void token_says(const struct token *token, const char *words)
{
    write_text(token->folder, "says", str_from(words));
}

void token_pin(const struct token *token, const char *pin)
{
    char line[64];

    (void)snprintf(line, sizeof(line), "%s\n", pin);
    write_text(token->folder, "pin", str_from(line));
}

size_t token_logins(const struct token *token)
{
    size_t count = 0;
    char path[256];
    FILE *file;
    int byte;

    join_path(token->folder, "says.logins", path);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while ((byte = fgetc(file)) != EOF)
        count += byte == '\n';
    (void)fclose(file);
    return count;
}

void token_tool(const struct token *token, const char *const *arguments)
{
    const char *all[16] = { "pkcs11-tool", "--module", "/usr/lib/softhsm/libsofthsm2.so",
                            "--login",     "--pin",    "1234" };

    (void)token;
    for (size_t i = 0; arguments[i] != NULL; i++) {
        assert_in_range(i, 0, 8);
        all[6 + i] = arguments[i];
    }
    run_program(all);
}
