#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "targets/aws_internal.h"
#include "tests/assert_str.h"
#include "tests/fail_memory.h"
#include "tests/test.h"

#define SPACE "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\""
#define OPEN "<AssumeRoleWithWebIdentityResponse " SPACE "><AssumeRoleWithWebIdentityResult>"
#define CLOSE "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
#define KEYS                                                                                       \
    "<Credentials><AccessKeyId>ASIAEXAMPLE000000001</AccessKeyId>"                                 \
    "<SecretAccessKey>secret/+1</SecretAccessKey><SessionToken>token==</SessionToken>"             \
    "<Expiration>2026-01-01T00:15:00Z</Expiration></Credentials>"

static struct arena *arena;
static struct aws_answer answer;
static struct error error;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new((size_t)1024 * 1024);
    error = (struct error){ 0 };
    return arena ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static bool parse(const char *xml)
{
    return aws_xml_parse(str_from(xml), AWS_STS_WEB_IDENTITY, arena, &answer, &error);
}

static void check_keys(void)
{
    assert_str(answer.access_key_id, "ASIAEXAMPLE000000001");
    assert_str(answer.secret_access_key, "secret/+1");
    assert_str(answer.session_token, "token==");
    assert_str(answer.expiration, "2026-01-01T00:15:00Z");
}

static void an_answer_is_read_whatever_its_order_and_spacing(void **state)
{
    (void)state;
    assert_true(parse("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a comment -->\n" OPEN
                      "\n <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/a/b</Arn>"
                      "<AssumedRoleId>AROA:b</AssumedRoleId></AssumedRoleUser>\n" KEYS
                      "<PackedPolicySize>23</PackedPolicySize><Provider>p</Provider>"
                      "<Audience>sts.amazonaws.com</Audience><SourceIdentity>l</SourceIdentity>"
                      "<SubjectFromWebIdentityToken>s</SubjectFromWebIdentityToken>"
                      "</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>6d1f"
                      "</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>\n"));
    check_keys();
    assert_str(answer.assumed_role, "arn:aws:sts::1:assumed-role/a/b");
    assert_str(answer.packed_policy_size, "23");
    assert_str(answer.audience, "sts.amazonaws.com");
    assert_str(answer.subject, "s");
    assert_str(answer.source_identity, "l");
    assert_null(answer.error_code.data);
}

static void each_action_has_its_own_answer(void **state)
{
    static const char signed_one[] = "<AssumeRoleResponse " SPACE "><AssumeRoleResult>" KEYS
                                     "</AssumeRoleResult></AssumeRoleResponse>";

    (void)state;
    assert_true(aws_xml_parse(str_from(signed_one), AWS_STS_ROLE, arena, &answer, &error));
    check_keys();
    assert_false(parse(signed_one));
    assert_int_equal(error.code, ERROR_SYNTAX);
    error = (struct error){ 0 };
    assert_false(aws_xml_parse(STR(OPEN KEYS CLOSE), AWS_STS_ROLE, arena, &answer, &error));
    assert_int_equal(error.code, ERROR_SYNTAX);
}

static void object_stores_answer_without_a_namespace(void **state)
{
    (void)state;
    assert_true(
        parse("<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>" KEYS CLOSE));
    check_keys();
    assert_true(parse("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>"
                      "<Message>no</Message><RequestId>tx0</RequestId></Error>"));
    assert_str(answer.error_code, "AccessDenied");
    assert_str(answer.error_message, "no");
}

static void a_document_has_one_namespace_or_none(void **state)
{
    (void)state;
    assert_true(parse("<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult " SPACE
                      ">" KEYS CLOSE));
    assert_null(answer.access_key_id.data);
    assert_true(parse("<AssumeRoleWithWebIdentityResponse " SPACE
                      "><AssumeRoleWithWebIdentityResult xmlns=\"\">" KEYS CLOSE));
    assert_null(answer.access_key_id.data);
}

static void iam_answers_in_its_namespace(void **state)
{
    (void)state;
    assert_false(aws_xml_parse_iam(STR("<PutRolePolicyResponse></PutRolePolicyResponse>"), arena,
                                   &answer, &error));
    assert_int_equal(error.code, ERROR_SYNTAX);
}

static void an_error_is_read_with_its_references(void **state)
{
    (void)state;
    assert_true(parse("<ErrorResponse " SPACE "><Error><Type>Sender</Type><Code>AccessDenied</Code>"
                      "<Message>Not &quot;you&quot;&#10;&amp; co</Message></Error>"
                      "<RequestId>1</RequestId></ErrorResponse>"));
    assert_str(answer.error_code, "AccessDenied");
    assert_str(answer.error_message, "Not \"you\"\n& co");
    assert_null(answer.access_key_id.data);
}

static void a_prefix_for_the_namespace_changes_nothing(void **state)
{
    (void)state;
    assert_true(parse("<s:ErrorResponse xmlns:s=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                      "<s:Error><s:Code>A</s:Code></s:Error></s:ErrorResponse>"));
    assert_str(answer.error_code, "A");
}

static void an_error_beside_credentials_is_seen(void **state)
{
    (void)state;
    assert_true(parse(OPEN KEYS "<Error><Code>AccessDenied</Code></Error>" CLOSE));
    assert_str(answer.error_code, "AccessDenied");
}

static void elements_elsewhere_are_passed_over(void **state)
{
    (void)state;
    assert_true(parse(OPEN "<AccessKeyId>a</AccessKeyId><Extra><Credentials><AccessKeyId>b"
                           "</AccessKeyId></Credentials></Extra>" CLOSE));
    assert_null(answer.access_key_id.data);
    assert_true(parse(OPEN "<Credentials xmlns=\"https://other.example/\"><AccessKeyId>c"
                           "</AccessKeyId></Credentials>" CLOSE));
    assert_null(answer.access_key_id.data);
}

#define IAM_SPACE "xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\""
#define IAM_LIST(names)                                                                            \
    "<ListRolePoliciesResponse " IAM_SPACE "><ListRolePoliciesResult><PolicyNames>" names          \
    "</PolicyNames></ListRolePoliciesResult></ListRolePoliciesResponse>"

static bool parse_iam(const char *xml)
{
    return aws_xml_parse_iam(str_from(xml), arena, &answer, &error);
}

static void names_of_policies_come_often(void **state)
{
    (void)state;
    assert_true(parse_iam(IAM_LIST("")));
    assert_null(answer.policy_names.data);
    assert_true(parse_iam(IAM_LIST("<member>a</member><other>b</other><member>c</member>")));
    assert_str(answer.policy_names, "a c ");
    assert_true(parse_iam("<PutRolePolicyResponse " IAM_SPACE "></PutRolePolicyResponse>"));
    assert_null(answer.error_code.data);
    assert_true(parse_iam("<ErrorResponse " IAM_SPACE "><Error><Code>LimitExceeded</Code></Error>"
                          "</ErrorResponse>"));
    assert_str(answer.error_code, "LimitExceeded");
}

static void each_service_answers_for_itself(void **state)
{
    static const char *const not_of_iam[] = {
        OPEN KEYS CLOSE,
        "<ErrorResponse " SPACE "><Error><Code>A</Code></Error></ErrorResponse>",
        "<PutRolePolicyResponse " SPACE "></PutRolePolicyResponse>",
        "<PutRolePolicyResponse></PutRolePolicyResponse>",
        "<PutUserPolicyResponse " IAM_SPACE "></PutUserPolicyResponse>",
        IAM_LIST("<member><a>b</a></member>"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(not_of_iam); i++) {
        if (parse_iam(not_of_iam[i]))
            fail_msg("%zu was taken", i);
        assert_int_equal(error.code, ERROR_SYNTAX);
        error = (struct error){ 0 };
    }
    assert_false(parse(IAM_LIST("")));
}

static void hostile_documents_are_refused(void **state)
{
    static const struct {
        const char *name;
        const char *xml;
    } cases[] = {
        { "nothing", "" },
        { "white space", "  \n" },
        { "text", "OK" },
        { "json", "{\"Credentials\": {}}" },
        { "html", "<html><body>gateway</body></html>" },
        { "cut short", OPEN KEYS },
        { "text behind", OPEN KEYS CLOSE "x" },
        { "a second root", OPEN KEYS CLOSE OPEN KEYS CLOSE },
        { "another root", "<AssumeRoleResponse " SPACE "/>" },
        { "an error of AWS's form without a namespace",
          "<ErrorResponse><Error><Code>A</Code></Error></ErrorResponse>" },
        { "an object store's error in the namespace", "<Error " SPACE "><Code>A</Code></Error>" },
        { "another action's root without a namespace", "<AssumeRoleResponse/>" },
        { "another namespace", "<ErrorResponse xmlns=\"https://sts.amazonaws.com/\"/>" },
        { "a namespace that only starts so",
          "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/x\"/>" },
        { "a key twice", OPEN "<Credentials><AccessKeyId>a</AccessKeyId><AccessKeyId>b"
                              "</AccessKeyId></Credentials>" CLOSE },
        { "credentials twice", OPEN KEYS KEYS CLOSE },
        { "two results", OPEN KEYS "</AssumeRoleWithWebIdentityResult>"
                                   "<AssumeRoleWithWebIdentityResult>" KEYS CLOSE },
        { "an element in a key", OPEN "<Credentials><AccessKeyId>a<b/>c</AccessKeyId>"
                                      "</Credentials>" CLOSE },
        { "a document type", "<!DOCTYPE a>" OPEN KEYS CLOSE },
        { "an internal subset", "<!DOCTYPE a [<!ENTITY x \"y\">]>" OPEN KEYS CLOSE },
        { "a file", "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>" OPEN
                    "<Audience>&x;</Audience>" CLOSE },
        { "a bomb",
          "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;\">"
          "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]>" OPEN "<Audience>&c;</Audience>" CLOSE },
        { "a parameter entity",
          "<!DOCTYPE a [<!ENTITY % x SYSTEM \"http://127.0.0.1/\"> %x;]>" OPEN CLOSE },
        { "an entity of html", OPEN "<Audience>&nbsp;</Audience>" CLOSE },
        { "an instruction", "<?xml-stylesheet href=\"a\"?>" OPEN KEYS CLOSE },
        { "an instruction inside", OPEN "<?a b?>" CLOSE },
        { "a null reference", OPEN "<Audience>&#0;</Audience>" CLOSE },
        { "a control reference", OPEN "<Audience>&#1;</Audience>" CLOSE },
        { "not utf-8", OPEN "<Audience>\xff</Audience>" CLOSE },
        { "an overlong form", OPEN "<Audience>\xc0\xaf</Audience>" CLOSE },
        { "an attribute twice", OPEN "<Audience a=\"1\" a=\"2\"/>" CLOSE },
        { "crossed elements", OPEN "<Audience></Provider></Audience>" CLOSE },
        { "nine levels", OPEN "<a><a><a><a><a><a><a/></a></a></a></a></a></a>" CLOSE },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        error = (struct error){ 0 };
        if (parse(cases[i].xml))
            fail_msg("%s was accepted", cases[i].name);
        assert_true(error.code == ERROR_SYNTAX || error.code == ERROR_LIMIT);
    }
}

static void eight_levels_are_read(void **state)
{
    (void)state;
    assert_true(parse(OPEN "<a><a><a><a><a><a/></a></a></a></a></a>" CLOSE));
}

static void a_declared_encoding_other_than_utf_8_has_no_effect(void **state)
{
    (void)state;
    assert_true(parse("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" OPEN
                      "<Audience>\xc3\xa9</Audience>" CLOSE));
    assert_str(answer.audience, "\xc3\xa9");
}

/* OPEN, a session token of `len` bytes, CLOSE. */
static bool parse_token_of(size_t len)
{
    static char xml[128 * 1024];
    static const char before[] = OPEN "<Credentials><SessionToken>";
    static const char after[] = "</SessionToken></Credentials>" CLOSE;

    memcpy(xml, before, sizeof(before) - 1);
    memset(xml + sizeof(before) - 1, 'x', len);
    memcpy(xml + sizeof(before) - 1 + len, after, sizeof(after));
    error = (struct error){ 0 };
    return parse(xml);
}

static void a_text_has_16_kib_and_not_one_byte_more(void **state)
{
    (void)state;
    assert_true(parse_token_of(16384));
    assert_int_equal(answer.session_token.len, 16384);
    assert_false(parse_token_of(16385));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void a_document_has_64_kib_and_not_one_byte_more(void **state)
{
    static char xml[65538];
    size_t len = strlen(OPEN CLOSE);

    (void)state;
    memcpy(xml, OPEN CLOSE, len);
    memset(xml + len, ' ', 65536 - len);
    assert_true(parse(xml));
    xml[65536] = ' ';
    assert_false(parse(xml));
    assert_int_equal(error.code, ERROR_LIMIT);
}

/* OPEN, as many empty elements, CLOSE. */
static bool parse_elements(size_t count)
{
    static char xml[4096];
    size_t len = (size_t)snprintf(xml, sizeof(xml), "%s", OPEN);

    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(xml + len, sizeof(xml) - len, "<a/>");
    (void)snprintf(xml + len, sizeof(xml) - len, "%s", CLOSE);
    error = (struct error){ 0 };
    return parse(xml);
}

static void a_document_has_200_elements_and_not_one_more(void **state)
{
    (void)state;
    assert_true(parse_elements(198)); /* root and result are two */
    assert_false(parse_elements(199));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void no_error_quotes_the_document(void **state)
{
    (void)state;
    assert_false(parse(OPEN "<Credentials><SecretAccessKey>hunter2<b/></SecretAccessKey>"));
    assert_null(strstr(error.cause, "hunter2"));
}

static void a_failed_allocation_is_an_error(void **state)
{
    bool is_done = false;

    (void)state;
    for (size_t nth = 1; !is_done; nth++) {
        struct arena *own = arena_new((size_t)1024 * 1024);

        assert_non_null(own);
        assert_true(nth < 1000);
        error = (struct error){ 0 };
        fail_memory_at(nth);
        is_done = aws_xml_parse(STR(OPEN KEYS CLOSE), AWS_STS_WEB_IDENTITY, own, &answer, &error);
        fail_memory_at(0);
        assert_true(is_done == (error.code == ERROR_NONE));
        arena_free(own);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_read_whatever_its_order_and_spacing),
        TEST(each_action_has_its_own_answer),
        TEST(object_stores_answer_without_a_namespace),
        TEST(a_document_has_one_namespace_or_none),
        TEST(iam_answers_in_its_namespace),
        TEST(an_error_is_read_with_its_references),
        TEST(a_prefix_for_the_namespace_changes_nothing),
        TEST(an_error_beside_credentials_is_seen),
        TEST(elements_elsewhere_are_passed_over),
        TEST(names_of_policies_come_often),
        TEST(each_service_answers_for_itself),
        TEST(hostile_documents_are_refused),
        TEST(eight_levels_are_read),
        TEST(a_declared_encoding_other_than_utf_8_has_no_effect),
        TEST(a_text_has_16_kib_and_not_one_byte_more),
        TEST(a_document_has_64_kib_and_not_one_byte_more),
        TEST(a_document_has_200_elements_and_not_one_more),
        TEST(no_error_quotes_the_document),
        TEST(a_failed_allocation_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
