/* Certificates of x509 grants, made and looked at with OpenSSL's program, as a job would. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "fixture.h"
#include "tests/assert_str.h"
#include "tests/test.h"
#include "tests/unit/keys/help.h"

#define MESH                                                                                       \
    "{ key: mesh, trust_domain: acme.example, domains: [payments.acme.example],"                   \
    "  crl_url: \"https://broker.acme.example/crl/mesh\" }"
#define ID "spiffe://acme.example/payments/web"
#define COMMIT "8f1d0a5e9c3b7a6f2e4d1c0b9a8f7e6d5c4b3a21"

static const struct target_kind *kind(void)
{
    return target_kind_find(STR("x509"));
}

static int set_up(void **state)
{
    static struct fixture fixture;

    clock_test_step(FIXTURE_NOW_S - clock_wall_s()); /* the CA is made "now" */
    fixture_init(&fixture);
    assert_null(fixture_configure(&fixture, "x509", MESH));
    if (!kind()->start(&fixture.target, &fixture.tools, &fixture.error))
        fail_msg("%s", fixture.error.cause);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    return 0;
}

/* A shell's line in the fixture's folder; what it prints is in "out". */
static const char *run(struct fixture *fixture, const char *line)
{
    char script[2048];

    (void)snprintf(script, sizeof(script), "cd '%s' && { %s; } >out 2>&1", fixture->folder, line);
    run_program((const char *[]){ "sh", "-c", script, NULL });
    return read_text(fixture->arena, fixture->folder, "out").data;
}

static void ask_with(struct fixture *fixture, struct str csr)
{
    JSON_OWNED json_t *object = json_pack("{s:s, s:s, s:i, s:s%}", "type", "stagepass_grant",
                                          "grant", "site", "ttl", 900, "csr", csr.data, csr.len);

    fixture_details(fixture, json_text(fixture->arena, object).data);
}

/* A request that asks for all that a certificate can say. */
static void ask(struct fixture *fixture)
{
    (void)run(fixture,
              "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key "
              "-out csr -subj '/O=Acme/CN=root.acme.example' "
              "-addext basicConstraints=critical,CA:TRUE "
              "-addext keyUsage=critical,keyCertSign,cRLSign "
              "-addext subjectAltName=DNS:victim.payments.acme.example,URI:spiffe://acme.example/"
              "admin "
              "-addext extendedKeyUsage=codeSigning,OCSPSigning "
              "-addext nsComment=mine -addext 1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:forged");
    ask_with(fixture, read_text(fixture->arena, fixture->folder, "csr"));
}

static bool mint(struct fixture *fixture, const char *fields)
{
    fixture_fields(fixture, fields);
    return kind()->check_details(&fixture->mint, &fixture->error) &&
           kind()->mint(&fixture->mint, &fixture->error) == PROGRESS_DONE;
}

static void write_answer(struct fixture *fixture)
{
    static const char *const members[] = { "certificate", "chain", "root" };

    for (size_t i = 0; i < COUNT(members); i++)
        write_text(fixture->folder, members[i],
                   fixture_text(fixture->mint.credential, "x509", members[i]));
}

static const char *printed(struct fixture *fixture, const char *fields)
{
    ask(fixture);
    if (!mint(fixture, fields))
        fail_msg("%s", fixture->error.cause);
    write_answer(fixture);
    return run(fixture, "openssl x509 -in certificate -noout -text");
}

static void assert_says(const char *text, const char *expected)
{
    if (!strstr(text, expected))
        fail_msg("'%s' is not in:\n%s", expected, text);
}

static void assert_silent(const char *text, const char *unwanted)
{
    if (strstr(text, unwanted))
        fail_msg("'%s' is in:\n%s", unwanted, text);
}

static void an_svid_says_what_the_policy_says(void **state)
{
    struct fixture *fixture = *state;
    const char *text = printed(fixture, "{ target: prod, spiffe_id: \"" ID "\" }");

    assert_says(text, "Subject: \n");
    assert_says(text, "X509v3 Subject Alternative Name: critical\n                URI:" ID "\n");
    assert_says(text, "X509v3 Basic Constraints: critical\n                CA:FALSE");
    assert_says(text, "X509v3 Key Usage: critical\n                Digital Signature\n");
    assert_says(text, "TLS Web Server Authentication, TLS Web Client Authentication\n");
    assert_says(text, "Not Before: Jan 15 07:59:00 2027 GMT");
    assert_says(text, "Not After : Jan 15 08:14:59 2027 GMT");
    assert_says(text, "URI:https://broker.acme.example/crl/mesh/1800000000.crl");
    assert_int_equal(fixture->mint.expires_s, FIXTURE_NOW_S + 900);
}

static void nothing_of_the_request_but_its_key_gets_through(void **state)
{
    static const char *const unwanted[] = {
        "O = Acme",     "root.acme.example", "victim", "admin", "CA:TRUE",  "Certificate Sign",
        "OCSP Signing", "Code Signing",      "mine",   "57264", "Netscape",
    };
    struct fixture *fixture = *state;
    const char *text =
        printed(fixture, "{ target: prod, san: web.payments.acme.example, usage: client }");

    for (size_t i = 0; i < COUNT(unwanted); i++)
        assert_silent(text, unwanted[i]);
    assert_says(text, "DNS:web.payments.acme.example\n");
    assert_says(text, "TLS Web Client Authentication\n");
    assert_silent(text, "TLS Web Server Authentication");
    (void)run(fixture, "openssl req -in csr -noout -pubkey >asked && "
                       "openssl x509 -in certificate -noout -pubkey >given && cmp asked given");
}

static void openssl_verifies_it_strictly(void **state)
{
    struct fixture *fixture = *state;

    (void)printed(fixture, "{ target: prod, san: [a.payments.acme.example, "
                           "payments.acme.example], usage: [client, server] }");
    assert_says(run(fixture, "openssl verify -x509_strict -attime 1800000000 -purpose sslserver "
                             "-verify_hostname a.payments.acme.example -CAfile root "
                             "-untrusted chain certificate"),
                "certificate: OK");
}

static void the_record_names_certificate_and_authority(void **state)
{
    struct fixture *fixture = *state;
    struct str serial;
    struct str ca;

    (void)printed(fixture, "{ target: prod, spiffe_id: \"" ID "\" }");
    serial = fixture_text(fixture->mint.record, NULL, "id");
    ca = fixture_text(fixture->mint.record, NULL, "ca");
    assert_says(run(fixture, "openssl x509 -in certificate -noout -serial | tr A-F a-f"),
                arena_printf(fixture->arena, "serial=" STR_FMT "\n", STR_ARG(serial)).data);
    assert_says(run(fixture, "openssl x509 -in certificate -outform DER | sha256sum"),
                fixture_text(fixture->mint.record, NULL, "fingerprint").data);
    assert_says(run(fixture, "openssl x509 -in chain -noout -ext subjectKeyIdentifier | "
                             "tr -d : | tr A-F a-f"),
                ca.data);
}

static void serials_are_not_told_ahead(void **state)
{
    struct fixture *fixture = *state;
    struct str first;

    (void)printed(fixture, "{ target: prod, spiffe_id: \"" ID "\" }");
    first = arena_copy(fixture->arena, fixture_text(fixture->mint.record, NULL, "id"));
    fixture_again(fixture);
    (void)printed(fixture, "{ target: prod, spiffe_id: \"" ID "\" }");
    assert_false(str_eq(first, fixture_text(fixture->mint.record, NULL, "id")));
    assert_int_equal(first.len, 32);
}

/* ---- signing code ---- */

static void code_is_signed_by_whom_the_policy_says_for_a_job(void **state)
{
    struct fixture *fixture = *state;
    JSON_OWNED json_t *ci = json_pack("{s:s, s:s, s:s, s:s, s:n, s:s}", "commit", COMMIT, "ref",
                                      "refs/tags/v1", "repository", "acme/payments",
                                      "repository_id", "4242", "environment", "actor", "alice");
    const char *text;

    fixture->mint.ci = ci;
    fixture->mint.ci_issuer = STR("https://token.actions.githubusercontent.com");
    fixture->mint.ci_subject = STR("repo:acme/payments:ref:refs/tags/v1");
    text = printed(fixture, "{ target: prod, spiffe_id: \"" ID "\", usage: code_signing }");
    assert_says(text, "Code Signing\n");
    assert_silent(text, "TLS Web");
    assert_says(text, "URI:" ID "\n");
    assert_silent(text, "alice");
    text = run(fixture, "openssl asn1parse -in certificate");
    assert_says(text, "1.3.6.1.4.1.57264.1.8\n");
    assert_says(text, "1.3.6.1.4.1.57264.1.13\n");
    assert_says(text, "1.3.6.1.4.1.57264.1.14\n");
    assert_says(text, "1.3.6.1.4.1.57264.1.15\n");
    assert_says(text, "1.3.6.1.4.1.57264.1.24\n");
    assert_silent(text, "1.3.6.1.4.1.57264.1.12\n"); /* a name is no URL */
    assert_silent(text, "1.3.6.1.4.1.57264.1.23\n"); /* there is none */
    assert_says(run(fixture, "openssl x509 -in certificate -noout -text"),
                "1.3.6.1.4.1.57264.1.8: \n                .+https://token.actions."
                "githubusercontent.com");
}

/* Signed while the certificate lives, verified long after, at the time of signing. */
static void what_was_signed_verifies_at_the_time_of_signing(void **state)
{
    struct fixture *fixture = *state;

    fixture->mint.ci_issuer = STR("https://ci.acme.example");
    (void)printed(fixture, "{ target: prod, spiffe_id: \"" ID "\", usage: code_signing }");
    (void)run(fixture, "printf artifact >artifact && "
                       "openssl cms -sign -binary -in artifact -signer certificate -inkey key "
                       "-certfile chain -outform DER -out signature && "
                       "openssl dgst -sha256 -sign key -out raw artifact && "
                       "openssl x509 -in certificate -noout -pubkey >public");
    assert_says(run(fixture, "openssl cms -verify -binary -inform DER -in signature "
                             "-content artifact -CAfile root -purpose any -attime 1800000100 "
                             "-out /dev/null"),
                "erification successful");
    assert_says(run(fixture, "openssl dgst -sha256 -verify public -signature raw artifact"),
                "Verified OK");
    (void)run(fixture, "! openssl cms -verify -binary -inform DER -in signature -content artifact "
                       "-CAfile root -purpose any -attime 1800000900 -out /dev/null");
    (void)run(fixture, "printf other >artifact && ! openssl cms -verify -binary -inform DER -in "
                       "signature -content artifact -CAfile root -purpose any -attime 1800000100 "
                       "-out /dev/null");
}

static void overlong_facts_are_left_out(void **state)
{
    struct fixture *fixture = *state;
    char text[2049];
    JSON_OWNED json_t *ci = NULL;

    memset(text, 'a', sizeof(text));
    ci = json_pack("{s:s%, s:s%}", "ref", text, sizeof(text) - 1, "event", text, sizeof(text));
    fixture->mint.ci = ci;
    fixture->mint.ci_issuer = STR("https://ci.acme.example");
    (void)printed(fixture, "{ target: prod, spiffe_id: \"" ID "\", usage: code_signing }");
    assert_says(run(fixture, "openssl asn1parse -in certificate"), "1.3.6.1.4.1.57264.1.14\n");
    assert_silent(run(fixture, "openssl asn1parse -in certificate"), "1.3.6.1.4.1.57264.1.20\n");
}

/* ---- refusals ---- */

static void assert_refused(struct fixture *fixture, enum error_code code)
{
    if (mint(fixture, "{ target: prod, spiffe_id: \"" ID "\" }"))
        fail_msg("it was minted");
    if (fixture->error.code != code)
        fail_msg("%d: %s", (int)fixture->error.code, fixture->error.cause);
    fixture->error = (struct error){ 0 };
}

static void requests_that_prove_nothing_are_refused(void **state)
{
    static const char *const lines[] = {
        /* the signature of another key */
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout a -out a.csr "
        "-subj /CN=x -outform DER && openssl asn1parse -inform DER -in a.csr >/dev/null && "
        "python3 -c \"d=bytearray(open('a.csr','rb').read());d[-1]^=1;open('a.csr','wb').write(d)\""
        " && openssl base64 -in a.csr >a.b64 && { echo '-----BEGIN CERTIFICATE REQUEST-----'; cat "
        "a.b64; echo '-----END CERTIFICATE REQUEST-----'; } >csr",
        "openssl req -new -newkey rsa:1024 -nodes -keyout a -out csr -subj /CN=x",
        "openssl req -new -newkey rsa:2048 -nodes -keyout a -out csr -subj /CN=x -sha1",
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:secp521r1 -nodes -keyout a -out "
        "csr -subj /CN=x",
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout a -out csr "
        "-subj /CN=x",
        "openssl genpkey -algorithm ed25519 -out csr",
        "python3 -c \"print('-----BEGIN CERTIFICATE REQUEST-----\\n'+'A'*9000+'\\n-----END "
        "CERTIFICATE REQUEST-----')\" >csr",
        "printf '' >csr",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(lines); i++) {
        (void)run(fixture, lines[i]);
        ask_with(fixture, read_text(fixture->arena, fixture->folder, "csr"));
        assert_refused(fixture, ERROR_DETAILS);
        assert_null(fixture->mint.state);
    }
}

static void a_grant_needs_a_request_and_nothing_else(void **state)
{
    static const char *const details[] = {
        "{\"type\":\"stagepass_grant\",\"grant\":\"site\"}",
        "{\"type\":\"stagepass_grant\",\"grant\":\"site\",\"csr\":1}",
        "{\"type\":\"stagepass_grant\",\"grant\":\"site\",\"csr\":\"\",\"san\":\"x\"}",
        "{\"type\":\"stagepass_grant\",\"grant\":\"site\",\"public_key\":\"x\"}",
    };
    struct fixture *fixture = *state;

    assert_refused(fixture, ERROR_DETAILS);
    for (size_t i = 0; i < COUNT(details); i++) {
        fixture_details(fixture, details[i]);
        assert_refused(fixture, ERROR_DETAILS);
    }
}

/* A policy that was loaded with other settings of the target: the CA does not follow it. */
static void what_the_target_does_not_have_is_not_signed(void **state)
{
    struct fixture *fixture = *state;

    ask(fixture);
    assert_false(mint(fixture, "{ target: prod, spiffe_id: \"spiffe://other.example/a\" }"));
    assert_int_equal(fixture->error.code, ERROR_MINT);
    fixture->error = (struct error){ 0 };
    fixture_again(fixture);
    assert_false(mint(fixture, "{ target: prod, spiffe_id: \"" ID "-${open}\" }"));
    assert_int_equal(fixture->error.code, ERROR_MINT);
}

static void without_a_certificate_of_the_ca_nothing_is_signed(void **state)
{
    struct fixture *fixture = *state;

    assert_null(fixture_configure(fixture, "x509",
                                  "{ key: outer, root: external, trust_domain: acme.example }"));
    assert_true(kind()->start(&fixture->target, &fixture->tools, &fixture->error));
    ask(fixture);
    assert_refused(fixture, ERROR_MINT);
}

/* ---- lists ---- */

static const struct target_list *find(const struct target_listing *listing, const char *path)
{
    for (size_t i = 0; i < listing->list_count; i++)
        if (str_eq(listing->lists[i].path, str_from(path)))
            return &listing->lists[i];
    fail_msg("no %s", path);
    return NULL;
}

static struct target_listing list_of(struct fixture *fixture, const struct target_revoked *revoked,
                                     size_t count)
{
    struct target_listing listing = {
        .target = &fixture->target,
        .revoked = revoked,
        .revoked_count = count,
        .size = 9,
        .now_s = FIXTURE_NOW_S,
        .arena = fixture->arena,
    };

    if (!kind()->list(&listing, &fixture->error))
        fail_msg("%s", fixture->error.cause);
    return listing;
}

static void lists_are_where_certificates_say_they_are(void **state)
{
    struct fixture *fixture = *state;
    struct target_listing listing = list_of(fixture, NULL, 0);
    const struct target_list *current = find(&listing, "/crl/prod.crl");
    const struct target_list *own = find(&listing, "/crl/prod/1800000000.crl");

    assert_int_equal(listing.list_count, 4);
    assert_true(str_eq(current->bytes, own->bytes));
    assert_string_equal(current->content_type, "application/pkix-crl");
    assert_string_equal(find(&listing, "/crl/prod.pem")->content_type, "application/x-pem-file");
    write_text(fixture->folder, "crl", own->bytes);
    assert_says(run(fixture, "openssl crl -inform DER -in crl -noout -lastupdate -nextupdate "
                             "-crlnumber"),
                "lastUpdate=Jan 15 08:00:00 2027 GMT\nnextUpdate=Jan 16 08:00:00 2027 GMT\n"
                "crlNumber=0x09000000006B49D200");
    write_text(fixture->folder, "crl", find(&listing, "/crl/prod/root.crl")->bytes);
    assert_says(run(fixture, "openssl crl -inform DER -in crl -noout -text"),
                "No Revoked Certificates.");
}

static void a_listed_certificate_is_refused_by_openssl(void **state)
{
    struct fixture *fixture = *state;
    struct target_revoked revoked[2] = { { .revoked_s = FIXTURE_NOW_S },
                                         { STR("SHA256:an-ssh-ca"), STR("12"), FIXTURE_NOW_S } };
    struct target_listing listing;
    const char *verify = "openssl verify -x509_strict -crl_check_all -attime 1800000000 -CAfile "
                         "root -untrusted chain -CRLfile lists certificate";
    char refuse[256];

    (void)printed(fixture, "{ target: prod, spiffe_id: \"" ID "\" }");
    revoked[0].ca = fixture_text(fixture->mint.record, NULL, "ca");
    revoked[0].id = fixture_text(fixture->mint.record, NULL, "id");
    listing = list_of(fixture, &revoked[1], 1);
    write_text(fixture->folder, "lists", find(&listing, "/crl/prod.pem")->bytes);
    (void)run(fixture, verify);
    listing = list_of(fixture, revoked, 2);
    write_text(fixture->folder, "lists", find(&listing, "/crl/prod.pem")->bytes);
    (void)snprintf(refuse, sizeof(refuse), "! %s && grep -q revoked out", verify);
    (void)run(fixture, refuse);
}

static void an_authority_without_a_certificate_has_no_list(void **state)
{
    struct fixture *fixture = *state;

    assert_null(fixture_configure(fixture, "x509",
                                  "{ key: outer, root: external, trust_domain: acme.example }"));
    assert_true(kind()->start(&fixture->target, &fixture->tools, &fixture->error));
    assert_int_equal(list_of(fixture, NULL, 0).list_count, 0);
}

static void revoking_asks_nobody(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_int_equal(kind()->revoke(&(struct revocation){ 0 }, &error), PROGRESS_DONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_svid_says_what_the_policy_says),
        TEST(nothing_of_the_request_but_its_key_gets_through),
        TEST(openssl_verifies_it_strictly),
        TEST(the_record_names_certificate_and_authority),
        TEST(serials_are_not_told_ahead),
        TEST(code_is_signed_by_whom_the_policy_says_for_a_job),
        TEST(what_was_signed_verifies_at_the_time_of_signing),
        TEST(overlong_facts_are_left_out),
        TEST(requests_that_prove_nothing_are_refused),
        TEST(a_grant_needs_a_request_and_nothing_else),
        TEST(what_the_target_does_not_have_is_not_signed),
        TEST(without_a_certificate_of_the_ca_nothing_is_signed),
        TEST(lists_are_where_certificates_say_they_are),
        TEST(a_listed_certificate_is_refused_by_openssl),
        TEST(an_authority_without_a_certificate_has_no_list),
        TEST(revoking_asks_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
