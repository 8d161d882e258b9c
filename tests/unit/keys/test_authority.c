/* Certificate authorities: what they sign, how they rotate, and their lists, looked at by OpenSSL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "help.h"
#include "keys/authority.h"
#include "keys/authority_internal.h"
#include "keys/certificate_request.h"
#include "tests/test.h"

#define QUARTER_S (90 * TEST_DAY_S)
#define HOUR_S ((int64_t)3600)
#define CRL_URL "https://broker.example/crl/mesh"

static const struct certificate_name permitted[] = {
    { CERTIFICATE_DNS, STR_INIT("acme.example") },
    { CERTIFICATE_URI, STR_INIT("mesh.example") },
};

struct fixture {
    char *folder;
    struct arena *arena;
    struct keys *keys;
    struct certificate_request *request;
};

static struct certificate_request *request_of_a_job(void)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509_REQ *asked = X509_REQ_new();
    BIO *output = BIO_new(BIO_s_mem());
    struct certificate_request *request = NULL;
    struct error error = { 0 };
    const char *data = NULL;
    long len;

    assert_int_equal(X509_REQ_set_pubkey(asked, pkey), 1);
    assert_true(X509_REQ_sign(asked, pkey, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509_REQ(output, asked), 1);
    len = BIO_get_mem_data(output, &data);
    assert_true(certificate_request_parse((struct str){ data, (size_t)len }, &request, &error));
    BIO_free(output);
    X509_REQ_free(asked);
    EVP_PKEY_free(pkey);
    return request;
}

static int start(void **state)
{
    static struct fixture fixture;

    fixture.folder = temporary_folder();
    fixture.arena = arena_new((size_t)16 * 1024 * 1024);
    fixture.keys = keys_of(fixture.folder, KEY_ES256, TEST_START_S);
    fixture.request = request_of_a_job();
    *state = &fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    certificate_request_free(fixture->request);
    keys_close(fixture->keys);
    arena_free(fixture->arena);
    remove_folder(fixture->folder);
    return 0;
}

static struct authority_options options_of(bool has_own_root)
{
    return (struct authority_options){
        .name = STR("mesh"),
        .user = STR("mesh-target"),
        .has_own_root = has_own_root,
        .rotate_every_s = QUARTER_S,
        .permitted = permitted,
        .permitted_count = has_own_root ? COUNT(permitted) : 0,
    };
}

static struct authority *authority_of(struct fixture *fixture, bool has_own_root, int64_t now_s)
{
    const struct authority_options options = options_of(has_own_root);
    struct authority *authority = NULL;
    struct error error = { 0 };

    if (!keys_authority(fixture->keys, &options, now_s, &authority, &error))
        fail_msg("%s", error.cause);
    return authority;
}

static void rotate(struct fixture *fixture, int64_t now_s)
{
    struct error error = { 0 };
    bool has_rotated;

    if (!keys_rotate(fixture->keys, now_s, &has_rotated, &error))
        fail_msg("%s", error.cause);
}

static struct certificate_plan plan_of(const struct certificate_name *name, int64_t now_s)
{
    return (struct certificate_plan){
        .names = name,
        .name_count = 1,
        .uses = CERTIFICATE_CLIENT | CERTIFICATE_SERVER,
        .now_s = now_s,
        .valid_before_s = now_s + HOUR_S,
        .crl_url = STR(CRL_URL),
    };
}

static struct certificate issue(struct fixture *fixture, struct authority *authority,
                                const struct certificate_plan *plan)
{
    struct certificate certificate = { 0 };
    struct error error = { 0 };

    if (!authority_issue(authority, plan, fixture->request, fixture->arena, &certificate, &error))
        fail_msg("%s", error.cause);
    return certificate;
}

static struct certificate issue_web(struct fixture *fixture, struct authority *authority,
                                    int64_t now_s)
{
    static const struct certificate_name web = { CERTIFICATE_DNS, STR_INIT("web.acme.example") };
    const struct certificate_plan plan = plan_of(&web, now_s);

    return issue(fixture, authority, &plan);
}

static X509 *parse(struct str pem)
{
    BIO *input = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *certificate = PEM_read_bio_X509(input, NULL, NULL, NULL);

    BIO_free(input);
    assert_non_null(certificate);
    return certificate;
}

/* ---- as OpenSSL sees it ---- */

static struct str lists_pem(struct fixture *fixture, struct authority *authority,
                            const struct authority_revoked *revoked, size_t count, int64_t now_s)
{
    const struct authority_list_plan plan = {
        .revoked = revoked,
        .count = count,
        .size = 7,
        .now_s = now_s,
        .next_s = now_s + HOUR_S,
    };
    struct authority_list *lists = NULL;
    struct error error = { 0 };
    struct str all = STR("");
    size_t list_count = 0;

    if (!authority_sign_lists(authority, &plan, fixture->arena, &lists, &list_count, &error))
        fail_msg("%s", error.cause);
    for (size_t i = 0; i < list_count; i++)
        all = arena_printf(fixture->arena, STR_FMT STR_FMT, STR_ARG(all), STR_ARG(lists[i].pem));
    assert_non_null(all.data);
    return all;
}

/* What `openssl verify` says with everything strict, and lists of the whole chain demanded. */
static int verify(struct fixture *fixture, const struct certificate *certificate, struct str lists,
                  int64_t at_s)
{
    char command[1024];
    char at[32];
    int status;

    (void)snprintf(at, sizeof(at), "%lld", (long long)at_s);
    write_text(fixture->folder, "leaf", certificate->pem);
    write_text(fixture->folder, "chain", certificate->chain);
    write_text(fixture->folder, "root", certificate->root);
    write_text(fixture->folder, "lists", lists);
    (void)snprintf(command, sizeof(command),
                   "cd %s && openssl verify -x509_strict -crl_check_all -attime %s -CAfile root "
                   "-untrusted chain -CRLfile lists leaf >out 2>&1",
                   fixture->folder, at);
    status = system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a test's own words */
    return status;
}

static void openssl_takes_what_is_signed_and_nothing_revoked(void **state)
{
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    struct certificate good = issue_web(fixture, authority, TEST_START_S);
    struct certificate bad = issue_web(fixture, authority, TEST_START_S);
    const struct authority_revoked revoked[] = {
        { bad.issuer, bad.serial, TEST_START_S },
        { STR("00ff"), good.serial, TEST_START_S }, /* of another authority */
    };
    struct str lists = lists_pem(fixture, authority, revoked, COUNT(revoked), TEST_START_S);

    assert_int_equal(verify(fixture, &good, lists, TEST_START_S), 0);
    assert_int_not_equal(verify(fixture, &bad, lists, TEST_START_S), 0);
    assert_true(str_contains(read_text(fixture->arena, fixture->folder, "out"), STR("revoked")));
    assert_int_not_equal(verify(fixture, &good, lists, TEST_START_S + HOUR_S), 0); /* ended */
}

static void a_certificate_says_what_the_plan_says(void **state)
{
    static const struct certificate_name id = { CERTIFICATE_URI,
                                                STR_INIT("spiffe://mesh.example/a/b") };
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    const struct certificate_plan plan = plan_of(&id, TEST_START_S);
    struct certificate made = issue(fixture, authority, &plan);
    X509 *certificate = parse(made.pem);
    GENERAL_NAMES *names;
    int is_critical = 0;
    int64_t begins_s = 0;
    int64_t ends_s = 0;

    names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &is_critical, NULL);
    assert_int_equal(is_critical, 1); /* there is no subject */
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(certificate)), 0);
    assert_int_equal(X509_check_ca(certificate), 0);
    assert_int_equal(X509_get_key_usage(certificate), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(certificate), XKU_SSL_CLIENT | XKU_SSL_SERVER);
    assert_true(certificate_times(certificate, &begins_s, &ends_s));
    assert_int_equal(begins_s, TEST_START_S - CERTIFICATE_BACKDATED_S);
    assert_int_equal(ends_s, TEST_START_S + HOUR_S);
    assert_int_equal(made.expires_s, ends_s);
    assert_int_equal(made.serial.len, CERTIFICATE_SERIAL_LEN);
    assert_int_equal(X509_get_ext_by_NID(certificate, NID_name_constraints, -1), -1);
    assert_true(X509_get_ext_by_NID(certificate, NID_crl_distribution_points, -1) >= 0);
    GENERAL_NAMES_free(names);
    X509_free(certificate);
}

static void names_outside_the_constraints_are_not_signed(void **state)
{
    static const struct certificate_name names[] = {
        { CERTIFICATE_DNS, STR_INIT("web.other.example") },
        { CERTIFICATE_DNS, STR_INIT("notacme.example") },
        { CERTIFICATE_URI, STR_INIT("spiffe://other.example/a") },
        { CERTIFICATE_URI, STR_INIT("spiffe://sub.mesh.example/a") },
    };
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);

    for (size_t i = 0; i < COUNT(names); i++) {
        const struct certificate_plan plan = plan_of(&names[i], TEST_START_S);
        struct certificate certificate = { 0 };
        struct error error = { 0 };

        if (authority_issue(authority, &plan, fixture->request, fixture->arena, &certificate,
                            &error))
            fail_msg(STR_FMT " was signed", STR_ARG(names[i].text));
        assert_int_equal(error.code, ERROR_INVALID);
    }
}

static void a_plan_that_makes_no_sense_is_refused(void **state)
{
    static const struct certificate_name good = { CERTIFICATE_DNS, STR_INIT("a.acme.example") };
    static const struct certificate_name spaced = { CERTIFICATE_DNS, STR_INIT("a.acme example") };
    static const struct certificate_name nul = { CERTIFICATE_DNS, STR_INIT("a\0.acme.example") };
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    struct certificate_plan plans[5];

    for (size_t i = 0; i < COUNT(plans); i++)
        plans[i] = plan_of(&good, TEST_START_S);
    plans[0].name_count = 0;
    plans[1].names = &spaced;
    plans[2].names = &nul;
    plans[3].uses = 0;
    plans[4].valid_before_s = TEST_START_S;
    for (size_t i = 0; i < COUNT(plans); i++) {
        struct certificate certificate = { 0 };
        struct error error = { 0 };

        if (authority_issue(authority, &plans[i], fixture->request, fixture->arena, &certificate,
                            &error))
            fail_msg("plan %zu was signed", i);
        assert_int_equal(error.code, ERROR_INVALID);
    }
}

/* ---- rotation ---- */

static void the_next_intermediate_signs_a_day_after_it_is_made(void **state)
{
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    int64_t due_s = TEST_START_S + QUARTER_S;
    struct certificate first = issue_web(fixture, authority, TEST_START_S);

    rotate(fixture, due_s - 1);
    assert_int_equal(count_files(fixture->folder, "mesh-1", ".key"), 1);
    rotate(fixture, due_s);
    assert_int_equal(count_files(fixture->folder, "mesh-1", ".key"), 2);
    assert_true(
        str_eq(issue_web(fixture, authority, due_s + KEYS_LEAD_S - 1).issuer, first.issuer));
    assert_false(str_eq(issue_web(fixture, authority, due_s + KEYS_LEAD_S).issuer, first.issuer));
}

static void what_the_last_one_signed_is_still_listed(void **state)
{
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    int64_t signs_s = TEST_START_S + QUARTER_S + KEYS_LEAD_S;
    struct certificate old;
    struct authority_revoked revoked;

    rotate(fixture, TEST_START_S + QUARTER_S);
    old = issue_web(fixture, authority, signs_s - 1);
    rotate(fixture, signs_s);
    assert_int_equal(
        verify(fixture, &old, lists_pem(fixture, authority, NULL, 0, signs_s), signs_s), 0);
    revoked = (struct authority_revoked){ old.issuer, old.serial, signs_s };
    assert_int_not_equal(
        verify(fixture, &old, lists_pem(fixture, authority, &revoked, 1, signs_s), signs_s), 0);
}

static void an_intermediate_goes_once_all_that_it_signed_has_ended(void **state)
{
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    int64_t third_s = TEST_START_S + 2 * QUARTER_S;

    (void)authority;
    rotate(fixture, TEST_START_S + QUARTER_S);
    rotate(fixture, third_s);
    rotate(fixture, third_s + KEYS_LEAD_S + AUTHORITY_LIFE_MAX_S - 1);
    assert_int_equal(count_files(fixture->folder, "mesh-1", ".crt"), 3);
    rotate(fixture, third_s + KEYS_LEAD_S + AUTHORITY_LIFE_MAX_S);
    assert_int_equal(count_files(fixture->folder, "mesh-1", ".crt"), 2);
    assert_int_equal(count_files(fixture->folder, "mesh-1", ".key"), 2);
}

static void a_certificate_ends_with_its_signer(void **state)
{
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    int64_t end_s = TEST_START_S + 2 * QUARTER_S + KEYS_LEAD_S + AUTHORITY_LIFE_MAX_S;

    assert_int_equal(issue_web(fixture, authority, end_s - HOUR_S).expires_s, end_s);
    assert_int_equal(issue_web(fixture, authority, end_s - 60).expires_s, end_s);
}

static void other_names_make_an_intermediate_that_signs_at_once(void **state)
{
    static const struct certificate_name other = { CERTIFICATE_DNS, STR_INIT("other.example") };
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    struct certificate before = issue_web(fixture, authority, TEST_START_S);
    struct authority_options options = options_of(true);
    struct certificate_plan plan = plan_of(&other, TEST_START_S + 1);
    struct error error = { 0 };

    options.permitted = &other;
    options.permitted_count = 1;
    assert_true(keys_authority(fixture->keys, &options, TEST_START_S + 1, &authority, &error));
    assert_false(str_eq(issue(fixture, authority, &plan).issuer, before.issuer));
    assert_int_equal(verify(fixture, &before,
                            lists_pem(fixture, authority, NULL, 0, TEST_START_S + 1),
                            TEST_START_S + 1),
                     0); /* its list goes on */
}

static void brokers_that_share_the_folder_agree(void **state)
{
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    struct certificate here = issue_web(fixture, authority, TEST_START_S);
    struct keys *own = fixture->keys;

    fixture->keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    assert_true(
        str_eq(issue_web(fixture, authority_of(fixture, true, TEST_START_S), TEST_START_S).issuer,
               here.issuer));
    keys_close(fixture->keys);
    fixture->keys = own;
}

static void an_authority_is_one_targets(void **state)
{
    struct fixture *fixture = *state;
    struct authority_options options = options_of(true);
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    struct error error = { 0 };

    options.user = STR("another");
    assert_false(keys_authority(fixture->keys, &options, TEST_START_S, &authority, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
}

static void names_and_periods_have_bounds(void **state)
{
    struct fixture *fixture = *state;
    struct authority *authority = NULL;
    static const struct {
        struct str name;
        int64_t rotate_every_s;
        bool is_taken;
    } cases[] = {
        { STR_INIT("a23456789012345678901234"), QUARTER_S, true },
        { STR_INIT("a234567890123456789012345"), QUARTER_S, false },
        { STR_INIT("Mesh"), QUARTER_S, false },
        { STR_INIT("issuer-x"), QUARTER_S, false },
        { STR_INIT(""), QUARTER_S, false },
        { STR_INIT("b"), AUTHORITY_ROTATE_MIN_S, true },
        { STR_INIT("c"), AUTHORITY_ROTATE_MIN_S - 1, false },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct authority_options options = options_of(true);
        struct error error = { 0 };

        options.name = cases[i].name;
        options.rotate_every_s = cases[i].rotate_every_s;
        if (keys_authority(fixture->keys, &options, TEST_START_S, &authority, &error) !=
            cases[i].is_taken)
            fail_msg("case %zu: %s", i, error.cause);
    }
}

/* ---- a root elsewhere ---- */

static void run(struct fixture *fixture, const char *command)
{
    char text[1024];

    (void)snprintf(text, sizeof(text), "cd %s && %s >out 2>&1", fixture->folder, command);
    if (system(text) != 0) /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a test's own words */
        fail_msg("%s: " STR_FMT, command,
                 STR_ARG(read_text(fixture->arena, fixture->folder, "out")));
}

static void make_outer_root(struct fixture *fixture)
{
    run(fixture, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 "
                 "-subj '/CN=Acme root' -keyout outer.key -out outer.crt -addext "
                 "keyUsage=critical,keyCertSign,cRLSign");
}

/* What the customer does with a request. */
static void sign_outside(struct fixture *fixture, int64_t created_s, const char *extensions)
{
    char command[512];

    write_text(fixture->folder, "extensions", str_from(extensions));
    (void)snprintf(command, sizeof(command),
                   "openssl x509 -req -in mesh-%lld.csr -CA outer.crt -CAkey outer.key "
                   "-days 36500 -extfile extensions -out mesh-%lld.crt",
                   (long long)created_s, (long long)created_s);
    run(fixture, command);
}

#define CA_EXTENSIONS                                                                              \
    "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"         \
    "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"

static bool can_issue(struct fixture *fixture, struct authority *authority, int64_t now_s,
                      struct error *error)
{
    static const struct certificate_name web = { CERTIFICATE_DNS, STR_INIT("web.acme.example") };
    const struct certificate_plan plan = plan_of(&web, now_s);
    struct certificate certificate = { 0 };

    return authority_issue(authority, &plan, fixture->request, fixture->arena, &certificate, error);
}

static void a_root_elsewhere_signs_our_request(void **state)
{
    struct fixture *fixture = *state;
    int64_t now_s = (int64_t)time(NULL) + HOUR_S; /* openssl signs from now on */
    struct authority *authority = authority_of(fixture, false, now_s);
    struct certificate made;
    struct error error = { 0 };

    assert_int_equal(count_files(fixture->folder, "mesh-1", ".csr"), 1);
    assert_int_equal(count_files(fixture->folder, "mesh-root", ""), 0);
    assert_false(can_issue(fixture, authority, now_s, &error));
    assert_int_equal(error.code, ERROR_MINT);
    make_outer_root(fixture);
    sign_outside(fixture, now_s, CA_EXTENSIONS);
    rotate(fixture, now_s);
    made = issue_web(fixture, authority, now_s);
    assert_int_equal(made.root.len, 0);
    write_text(fixture->folder, "leaf", made.pem);
    write_text(fixture->folder, "chain", made.chain);
    run(fixture, "openssl verify -x509_strict -no_check_time -CAfile outer.crt -untrusted chain "
                 "leaf");
    rotate(fixture, now_s + QUARTER_S);
    rotate(fixture, now_s + QUARTER_S + 1); /* one request waits: no second one */
    assert_int_equal(count_files(fixture->folder, "mesh-1", ".csr"), 2);
    assert_true(str_eq(issue_web(fixture, authority, now_s + QUARTER_S + 2 * TEST_DAY_S).issuer,
                       made.issuer)); /* and the old one goes on meanwhile */
}

static void what_comes_back_must_be_an_authoritys(void **state)
{
    static const char *const cases[] = {
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        "subjectKeyIdentifier=hash\n",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
        "subjectKeyIdentifier=hash\n",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
        "subjectKeyIdentifier=none\n",
    };
    struct fixture *fixture = *state;
    int64_t now_s = (int64_t)time(NULL) + HOUR_S;
    struct authority *authority = authority_of(fixture, false, now_s);

    make_outer_root(fixture);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };
        bool has_rotated;

        sign_outside(fixture, now_s, cases[i]);
        if (keys_rotate(fixture->keys, now_s, &has_rotated, &error))
            fail_msg("case %zu was taken", i);
        assert_int_equal(error.code, ERROR_CONFIG);
        assert_false(can_issue(fixture, authority, now_s, &error));
    }
}

static void one_with_a_bad_file_holds_up_no_other(void **state)
{
    struct fixture *fixture = *state;
    struct authority_options outer = options_of(false);
    struct authority *authority = NULL;
    struct error error = { 0 };
    bool has_rotated;

    outer.name = STR("outer");
    assert_true(keys_authority(fixture->keys, &outer, TEST_START_S, &authority, &error));
    (void)authority_of(fixture, true, TEST_START_S);
    run(fixture, "f=$(ls outer-1*.key) && echo x >${f%.key}.crt");
    assert_false(keys_rotate(fixture->keys, TEST_START_S + QUARTER_S, &has_rotated, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
    assert_true(has_rotated == false); /* the issuer's next key is only published yet */
    assert_int_equal(count_files(fixture->folder, "mesh-1", ".key"), 2);
}

static void the_certificate_of_another_key_is_refused(void **state)
{
    struct fixture *fixture = *state;
    int64_t now_s = (int64_t)time(NULL) + HOUR_S;
    struct authority *authority = authority_of(fixture, false, now_s);
    struct error error = { 0 };
    char command[128];
    bool has_rotated;

    (void)authority;
    make_outer_root(fixture);
    (void)snprintf(command, sizeof(command), "cp outer.crt mesh-%lld.crt", (long long)now_s);
    run(fixture, command);
    assert_false(keys_rotate(fixture->keys, now_s, &has_rotated, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
}

static struct authority_health health_at(struct fixture *fixture, int64_t now_s)
{
    struct authority_health health;

    keys_authority_health(fixture->keys, now_s, &health);
    return health;
}

static void how_authorities_stand_is_told(void **state)
{
    struct fixture *fixture = *state;
    int64_t end_s = TEST_START_S + 2 * QUARTER_S + KEYS_LEAD_S + AUTHORITY_LIFE_MAX_S;
    struct authority_options outer = options_of(false);
    struct authority *authority = NULL;
    struct error error = { 0 };

    assert_int_equal(health_at(fixture, TEST_START_S).ends_s, 0);
    assert_int_equal(health_at(fixture, TEST_START_S).lacking, 0);
    (void)authority_of(fixture, true, TEST_START_S);
    assert_int_equal(health_at(fixture, TEST_START_S).ends_s, end_s);
    assert_int_equal(health_at(fixture, end_s - 1).lacking, 0);
    assert_int_equal(health_at(fixture, end_s).lacking, 1);
    assert_int_equal(health_at(fixture, TEST_START_S).waiting, 0);
    outer.name = STR("outer");
    assert_true(keys_authority(fixture->keys, &outer, TEST_START_S, &authority, &error));
    assert_int_equal(health_at(fixture, TEST_START_S).ends_s, end_s);
    assert_int_equal(health_at(fixture, TEST_START_S).lacking, 1);
    assert_int_equal(health_at(fixture, TEST_START_S).waiting, 1);
}

/* ---- lists ---- */

static X509_CRL *parse_list(const struct authority_list *list)
{
    const unsigned char *at = (const unsigned char *)list->der.data;
    X509_CRL *parsed = d2i_X509_CRL(NULL, &at, (long)list->der.len);

    assert_non_null(parsed);
    return parsed;
}

static int compare_numbers(struct fixture *fixture, struct authority *authority,
                           const struct authority_list_plan *first,
                           const struct authority_list_plan *second)
{
    const struct authority_list_plan *plans[] = { first, second };
    ASN1_INTEGER *numbers[2];
    int order;

    for (size_t i = 0; i < 2; i++) {
        struct authority_list *lists = NULL;
        struct error error = { 0 };
        size_t count = 0;
        X509_CRL *parsed;

        assert_true(
            authority_sign_lists(authority, plans[i], fixture->arena, &lists, &count, &error));
        parsed = parse_list(&lists[0]);
        numbers[i] = X509_CRL_get_ext_d2i(parsed, NID_crl_number, NULL, NULL);
        assert_non_null(numbers[i]);
        X509_CRL_free(parsed);
    }
    order = ASN1_INTEGER_cmp(numbers[0], numbers[1]);
    ASN1_INTEGER_free(numbers[0]);
    ASN1_INTEGER_free(numbers[1]);
    return order;
}

static void numbers_of_lists_grow_with_the_log_and_with_time(void **state)
{
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    struct authority_list_plan first = { .size = 9,
                                         .now_s = TEST_START_S,
                                         .next_s = TEST_START_S + HOUR_S };
    struct authority_list_plan later = first;
    struct authority_list_plan longer = first;

    later.now_s++;
    longer.size++;
    longer.now_s -= 5; /* another broker's clock is behind */
    assert_true(compare_numbers(fixture, authority, &first, &later) < 0);
    assert_true(compare_numbers(fixture, authority, &later, &longer) < 0);
}

static void a_serial_that_is_not_ours_is_refused(void **state)
{
    static const char *const cases[] = { "", "12", "0123456789abcdef0123456789abcdeF",
                                         "0123456789abcdef0123456789abcdef0" };
    struct fixture *fixture = *state;
    struct authority *authority = authority_of(fixture, true, TEST_START_S);
    struct certificate made = issue_web(fixture, authority, TEST_START_S);

    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct authority_revoked revoked = { made.issuer, str_from(cases[i]), TEST_START_S };
        const struct authority_list_plan plan = { &revoked, 1, 1, TEST_START_S, TEST_START_S + 1 };
        struct authority_list *lists = NULL;
        struct error error = { 0 };
        size_t count = 0;

        assert_false(
            authority_sign_lists(authority, &plan, fixture->arena, &lists, &count, &error));
        assert_int_equal(error.code, ERROR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(openssl_takes_what_is_signed_and_nothing_revoked, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_certificate_says_what_the_plan_says, start, stop),
        cmocka_unit_test_setup_teardown(names_outside_the_constraints_are_not_signed, start, stop),
        cmocka_unit_test_setup_teardown(a_plan_that_makes_no_sense_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(the_next_intermediate_signs_a_day_after_it_is_made, start,
                                        stop),
        cmocka_unit_test_setup_teardown(what_the_last_one_signed_is_still_listed, start, stop),
        cmocka_unit_test_setup_teardown(an_intermediate_goes_once_all_that_it_signed_has_ended,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_certificate_ends_with_its_signer, start, stop),
        cmocka_unit_test_setup_teardown(other_names_make_an_intermediate_that_signs_at_once, start,
                                        stop),
        cmocka_unit_test_setup_teardown(brokers_that_share_the_folder_agree, start, stop),
        cmocka_unit_test_setup_teardown(an_authority_is_one_targets, start, stop),
        cmocka_unit_test_setup_teardown(names_and_periods_have_bounds, start, stop),
        cmocka_unit_test_setup_teardown(a_root_elsewhere_signs_our_request, start, stop),
        cmocka_unit_test_setup_teardown(what_comes_back_must_be_an_authoritys, start, stop),
        cmocka_unit_test_setup_teardown(one_with_a_bad_file_holds_up_no_other, start, stop),
        cmocka_unit_test_setup_teardown(the_certificate_of_another_key_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(how_authorities_stand_is_told, start, stop),
        cmocka_unit_test_setup_teardown(numbers_of_lists_grow_with_the_log_and_with_time, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_serial_that_is_not_ours_is_refused, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
