#include "fixture.h"
#include "tests/test.h"

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    return 0;
}

#define TARGET                                                                                     \
    "{ key: mesh, trust_domain: acme.example, domains: [payments.acme.example, lb.acme.example] }"
#define ID "spiffe://acme.example/payments/web"

static int set_up_target(void **state)
{
    (void)set_up(state);
    assert_null(fixture_configure(*state, "x509", TARGET));
    return 0;
}

static void a_spiffe_id_is_of_the_targets_trust_domain(void **state)
{
    static const struct fixture_case cases[] = {
        { "{ target: prod, spiffe_id: \"" ID "\" }", NULL },
        { "{ spiffe_id: \"" ID "\", usage: [server, client] }", NULL },
        { "{ spiffe_id: \"spiffe://acme.example/preview/pr-${pr}\" }", NULL },
        { "{ spiffe_id: \"spiffe://acme.example/preview/${pr}\" }", NULL },
        { "{ target: prod }", "either 'spiffe_id' or 'san'" },
        { "{ spiffe_id: \"" ID "\", san: a.payments.acme.example }",
          "either 'spiffe_id' or 'san'" },
        { "{ spiffe_id: [\"" ID "\"] }", "'spiffe_id' must be text" },
        { "{ spiffe_id: \"spiffe://other.example/web\" }",
          "'other.example' is not the target's trust domain" },
        { "{ spiffe_id: \"spiffe://ACME.example/web\" }", "is not the target's trust domain" },
        { "{ spiffe_id: \"spiffe://acme.example:8443/web\" }", "is not the target's trust domain" },
        { "{ spiffe_id: \"spiffe://acme.example\" }", "expected a SPIFFE ID" },
        { "{ spiffe_id: \"spiffe://acme.example/\" }", "expected a SPIFFE ID" },
        { "{ spiffe_id: \"spiffe://acme.example//web\" }", "expected a SPIFFE ID" },
        { "{ spiffe_id: \"spiffe://acme.example/web/\" }", "expected a SPIFFE ID" },
        { "{ spiffe_id: \"spiffe://acme.example/a/../b\" }", "expected a SPIFFE ID" },
        { "{ spiffe_id: \"spiffe://acme.example/a/./b\" }", "expected a SPIFFE ID" },
        { "{ spiffe_id: \"SPIFFE://acme.example/web\" }", "expected a SPIFFE ID" },
        { "{ spiffe_id: \"https://acme.example/web\" }", "expected a SPIFFE ID" },
        { "{ spiffe_id: \"spiffe://acme.example/a%20b\" }", "holds a character" },
        { "{ spiffe_id: \"spiffe://acme.example/a?b\" }", "holds a character" },
        { "{ spiffe_id: \"spiffe://acme.example/${pr}\" }", "a hole in front" },
        { "{ spiffe_id: \"spiffe://${domain}/web\" }", "is not the target's trust domain" },
        { "{ spiffe_id: \"" ID "\", usage: client }", "a SPIFFE ID serves both sides" },
        { "{ spiffe_id: \"" ID "\", usage: code_signing }", NULL },
        { "{ spiffe_id: \"" ID "\", usage: [code_signing, client] }", "goes with no other usage" },
        { "{ spiffe_id: \"" ID "\", usage: [client, server, code_signing] }",
          "goes with no other usage" },
        { "{ san: lb.acme.example, usage: code_signing }", "needs a 'spiffe_id'" },
        { "{ spiffe_id: \"" ID "\", usage: [] }", "'usage' must not be empty" },
    };

    fixture_check_all(*state, "x509", cases, COUNT(cases));
}

#define SAN(name) "{ san: " name ", usage: server }"

static void names_are_in_the_targets_domains(void **state)
{
    static const struct fixture_case cases[] = {
        { SAN("web.payments.acme.example"), NULL },
        { SAN("[web.payments.acme.example, lb.acme.example]"), NULL },
        { "{ san: payments.acme.example, usage: [client, server] }", NULL },
        { SAN("acme.example"), "is in none of the target's domains" },
        { SAN("xpayments.acme.example"), "is in none of the target's domains" },
        { SAN("payments.acme.example.evil.example"), "is in none of the target's domains" },
        { SAN("\"*.payments.acme.example\""), "holds a character" },
        { SAN("Web.payments.acme.example"), "holds a character" },
        { SAN("-a.payments.acme.example"), "expected a DNS name" },
        { SAN("a-.payments.acme.example"), "expected a DNS name" },
        { SAN("a..payments.acme.example"), "expected a DNS name" },
        { SAN("payments.acme.example."), "expected a DNS name" },
        { SAN("\"\""), "must not be empty" },
        { SAN("[]"), "must not be empty" },
        { SAN("[lb.acme.example, lb.acme.example]"), "is there twice" },
        { "{ san: lb.acme.example }", "'usage' is missing here" },
        { "{ san: lb.acme.example, usage: severs }", "did you mean 'server'?" },
        { "{ san: lb.acme.example, usage: signing }", "'signing' is no usage" },
        { "{ san: lb.acme.example, usage: [client, client] }", "is there twice" },
    };

    fixture_check_all(*state, "x509", cases, COUNT(cases));
}

static void there_is_a_limit_to_each_size(void **state)
{
    struct fixture *fixture = *state;

    fixture_check_limit(fixture, "x509", "{ spiffe_id: \"spiffe://acme.example/%s\" }", "a",
                        2048 - 22);
    fixture_check_limit(fixture, "x509", "{ san: %s.lb.acme.example, usage: server }", "a", 63);
    fixture_check_limit(fixture, "x509", "{ san: [%s], usage: server }", "a%zu.lb.acme.example, ",
                        16);
}

static void a_target_has_a_trust_domain_or_domains(void **state)
{
    struct fixture *fixture = *state;

    static const struct {
        const char *settings;
        bool is_good;
    } cases[] = {
        { "{ key: ca, trust_domain: a_b.example }", true },
        { "{ key: ca, domains: a.example }", true },
        { "{ key: ca }", false },
        { "{ key: ca, trust_domain: \"spiffe://a\" }", false },
        { "{ key: ca, domains: [] }", false },
        { "{ key: ca, domains: [.example] }", false },
        { "{ key: A, domains: [a.example] }", false },
        { "{ domains: [a.example] }", false },
        { "{ key: a23456789012345678901234, domains: [a.example] }", true },
        { "{ key: a234567890123456789012345, domains: [a.example] }", false },
        { "{ key: ca, domains: a.example, root: own }", true },
        { "{ key: ca, domains: a.example, root: external }", true },
        { "{ key: ca, domains: a.example, root: theirs }", false },
        { "{ key: ca, domains: a.example, rotate_every: 2d }", true },
        { "{ key: ca, domains: a.example, rotate_every: 47h }", false },
        { "{ key: ca, domains: a.example, rotate_every: 730d }", true },
        { "{ key: ca, domains: a.example, rotate_every: 731d }", false },
        { "{ key: ca, domains: a.example, list_lives: 10m }", true },
        { "{ key: ca, domains: a.example, list_lives: 9m }", false },
        { "{ key: ca, domains: a.example, list_lives: 30d }", true },
        { "{ key: ca, domains: a.example, list_lives: 31d }", false },
        { "{ key: ca, domains: a.example, crl_url: \"https://a.example/crl/ca\" }", true },
        { "{ key: ca, domains: a.example, crl_url: \"ftp://a.example/crl/ca\" }", false },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *message = fixture_configure(fixture, "x509", cases[i].settings);

        if ((message == NULL) != cases[i].is_good)
            fail_msg("%s: %s", cases[i].settings, message ? message : "taken");
    }
}

/* What a target does not say is not to be had from it. */
static void a_target_without_a_trust_domain_has_no_spiffe_ids(void **state)
{
    struct fixture *fixture = *state;

    assert_null(fixture_configure(fixture, "x509", "{ key: ca, domains: [lb.acme.example] }"));
    assert_non_null(fixture_check(fixture, "x509", "{ spiffe_id: \"" ID "\" }"));
    assert_null(fixture_configure(fixture, "x509", "{ key: ca, trust_domain: acme.example }"));
    assert_non_null(fixture_check(fixture, "x509", SAN("lb.acme.example")));
}

static void it_gives_its_names_as_themselves(void **state)
{
    assert_string_equal(fixture_gives(*state, "x509", "{ spiffe_id: \"" ID "\" }", NULL),
                        ID " as " ID);
    assert_string_equal(fixture_gives(*state, "x509", "{ san: [a.example, b.example] }", NULL),
                        "a.example, b.example as a.example, b.example");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_target, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_spiffe_id_is_of_the_targets_trust_domain),
        TEST(names_are_in_the_targets_domains),
        TEST(there_is_a_limit_to_each_size),
        TEST(a_target_has_a_trust_domain_or_domains),
        TEST(a_target_without_a_trust_domain_has_no_spiffe_ids),
        TEST(it_gives_its_names_as_themselves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
