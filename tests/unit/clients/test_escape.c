#include <string.h>

#include "clients/escape.h"
#include "tests/test.h"

typedef void (*escape)(struct str text, struct buf *out);

static void expect(escape function, struct str text, const char *expected)
{
    OWNED(buf_release) struct buf out = { 0 };

    buf_init(&out, 4096);
    function(text, &out);
    assert_true(buf_is_ok(&out));
    assert_string_equal(out.data, expected);
}

static void html_has_no_markup_of_theirs(void **state)
{
    (void)state;
    expect(escape_html, STR("<script>a('b')</script>"),
           "&#60;script&#62;a(&#39;b&#39;)&#60;/script&#62;");
    expect(escape_html, STR("a\" onclick=\"b & `c`"),
           "a&#34; onclick&#61;&#34;b &#38; &#96;c&#96;");
    expect(escape_html, STR("\xC3\xA9 \xE2\x82\xAC"), "\xC3\xA9 \xE2\x82\xAC");
    expect(escape_html, STR("a\nb\x1B[31m\x7F\xE2\x80\xAE\xFFz"), "a?b?[31m???z");
}

static void markdown_has_no_markup_of_theirs(void **state)
{
    (void)state;
    expect(escape_markdown, STR("a|b *c* [d](e) @f #1"),
           "a&#124;b &#42;c&#42; &#91;d&#93;(e) &#64;f &#35;1");
    expect(escape_markdown, STR("https://x ftp://x a:/b"), "https&#58;//x ftp&#58;//x a&#58;/b");
    expect(escape_markdown, STR(":lock: a:+1:b :100: :1:"),
           "&#58;lock: a&#58;&#43;1:b &#58;100: &#58;1:");
    expect(escape_markdown, STR("a/b:c 2026-11-22T10:00:37Z sha256:ab owner: x:"),
           "a/b:c 2026-11-22T10:00:37Z sha256:ab owner: x:");
    expect(escape_markdown, STR("<b>\n| x |"), "&#60;b&#62;?&#124; x &#124;");
}

static void cells_are_quoted_and_no_formula(void **state)
{
    static const char *const formulas[] = { "=1+1",
                                            "+1",
                                            "-1",
                                            "@SUM(1)",
                                            " =1",
                                            "\t=1",
                                            "\r\n=1",
                                            "\xEF\xBC\x9D"
                                            "1",
                                            "\xEF\xBC\x8B"
                                            "1",
                                            "\xEF\xBC\x8D"
                                            "1",
                                            "\xEF\xBC\xA0"
                                            "1" };

    (void)state;
    expect(escape_csv_cell, STR(""), "\"\"");
    expect(escape_csv_cell, STR("plain, text"), "\"plain, text\"");
    expect(escape_csv_cell, STR("say \"x\"\";=1"), "\"say \"\"x\"\"\"\";=1\"");
    expect(escape_csv_cell, STR("a\r\n=b\x1B\xFF"), "\"a  =b  \"");
    for (size_t i = 0; i < sizeof(formulas) / sizeof(formulas[0]); i++) {
        OWNED(buf_release) struct buf out = { 0 };

        buf_init(&out, 4096);
        escape_csv_cell(str_from(formulas[i]), &out);
        assert_true(strncmp(out.data, "\"'", 2) == 0);
    }
}

static void what_does_not_fit_marks_the_buffer(void **state)
{
    OWNED(buf_release) struct buf out = { 0 };

    (void)state;
    buf_init(&out, 8);
    escape_html(STR("<<<<"), &out);
    assert_false(buf_is_ok(&out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(html_has_no_markup_of_theirs),
        cmocka_unit_test(markdown_has_no_markup_of_theirs),
        cmocka_unit_test(cells_are_quoted_and_no_formula),
        cmocka_unit_test(what_does_not_fit_marks_the_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
