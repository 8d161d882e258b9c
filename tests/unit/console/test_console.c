#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "console/console.h"
#include "console/console_internal.h"
#include "tests/test.h"

/* The pages that are in the program, and whether a browser has them. */

static void each_file_is_found_by_its_name(void **state)
{
    struct console_file file;

    (void)state;
    for (size_t i = 0; i < console_row_count; i++) {
        assert_true(console_find(str_from(console_rows[i].name), &file));
        assert_true(str_eq(file.name, str_from(console_rows[i].name)));
        assert_true(file.bytes.len > 0 && str_is_utf8(file.bytes));
    }
    assert_true(console_find(STR(CONSOLE_INDEX), &file));
    assert_true(console_find(STR(CONSOLE_CLOSED), &file));
}

static void other_names_are_none(void **state)
{
    static const char *const names[] = {
        "",         "main",           "MAIN.JS",       "main.js ",
        "main.js/", "../console.css", "pages/main.js", "console.h"
    };
    struct console_file file;

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        if (console_find(str_from(names[i]), &file))
            fail_msg("%s", names[i]);
}

static void a_type_is_that_of_the_name(void **state)
{
    static const struct {
        const char *end;
        const char *type;
    } types[] = { { ".html", "text/html; charset=utf-8" },
                  { ".css", "text/css; charset=utf-8" },
                  { ".js", "text/javascript; charset=utf-8" },
                  { ".svg", "image/svg+xml" } };

    (void)state;
    for (size_t i = 0; i < console_row_count; i++) {
        const char *type = NULL;

        for (size_t k = 0; k < COUNT(types); k++)
            if (str_ends_with(str_from(console_rows[i].name), str_from(types[k].end)))
                type = types[k].type;
        if (!type || strcmp(type, console_rows[i].content_type) != 0)
            fail_msg("%s is %s", console_rows[i].name, console_rows[i].content_type);
    }
}

static void a_tag_is_the_digest_of_the_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < console_row_count; i++) {
        struct console_file file = { 0 };
        uint8_t digest[SHA256_LEN];
        char text[2 * SHA256_LEN + 3] = "\"";

        assert_true(console_find(str_from(console_rows[i].name), &file));
        sha256(file.bytes, digest);
        for (size_t k = 0; k < SHA256_LEN; k++)
            (void)snprintf(text + 1 + 2 * k, 3, "%02x", digest[k]);
        text[sizeof(text) - 2] = '"';
        assert_true(str_eq(file.etag, str_from(text)));
    }
}

static void a_browser_has_what_it_names(void **state)
{
    static const struct {
        const char *value;
        bool is_known;
    } rows[] = {
        { "*", true },
        { " * ", true },
        { "\"t\"", true },
        { "W/\"t\"", true },
        { "\"a\", \"t\"", true },
        { "\"a\",W/\"t\" , \"b\"", true },
        { "\"a,b\", \"t\"", true },
        { "", false },
        { "t", false },
        { "\"T\"", false },
        { "\"t", false },
        { "\"", false },
        { "\"\"", false },
        { "\"a\"", false },
        { "\"a\" \"t\"", false },
        { "w/\"t\"", false },
        { "W/", false },
        { "**", false },
        { "x, \"t\"", false },
        { ",\"t\"", false },
        { "\"tt\"", false },
    };
    struct console_file file = { .etag = STR("\"t\"") };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (console_is_known(&file, str_from(rows[i].value)) != rows[i].is_known)
            fail_msg("'%s'", rows[i].value);
}

/* What would turn a text into markup or script; the content policy stops it too. */
static void no_page_makes_markup_of_text(void **state)
{
    static const char *const words[] = {
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "createContextualFragment",
        "setHTML",
        "srcdoc",
        "eval(",
        "Function(",
        "setAttribute(\"on",
        "javascript:",
        " style=",
        " onclick=",
        "localStorage",
        "document.cookie",
        "window.opener",
        "postMessage",
    };

    (void)state;
    for (size_t i = 0; i < console_row_count; i++) {
        struct str bytes = { (const char *)console_rows[i].bytes, *console_rows[i].len };

        for (size_t k = 0; k < COUNT(words); k++)
            if (str_contains(bytes, str_from(words[k])))
                fail_msg("%s has %s", console_rows[i].name, words[k]);
    }
}

static void the_pages_ask_nobody_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < console_row_count; i++) {
        struct str bytes = { (const char *)console_rows[i].bytes, *console_rows[i].len };

        if (str_contains(bytes, STR("https://")))
            fail_msg("%s names a host", console_rows[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_file_is_found_by_its_name),
        cmocka_unit_test(other_names_are_none),
        cmocka_unit_test(a_type_is_that_of_the_name),
        cmocka_unit_test(a_tag_is_the_digest_of_the_bytes),
        cmocka_unit_test(a_browser_has_what_it_names),
        cmocka_unit_test(no_page_makes_markup_of_text),
        cmocka_unit_test(the_pages_ask_nobody_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
