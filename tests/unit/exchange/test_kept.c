#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "exchange/exchange_internal.h"
#include "exchange/kept.h"
#include "exchange/rules.h"
#include "identity/people.h"
#include "identity/profile.h"
#include "keys/keys.h"
#include "tests/assert_str.h"
#include "tests/test.h"
#include "tests/unit/keys/help.h"

/* An exchange that was decided, what is kept of it, and who goes on with that. */

#define LEASE STR("01JD0000000000000000000000")
#define OTHER_LEASE STR("01JD0000000000000000000001")
#define CI "https://ci.example"
#define IDP "https://idp.example"
#define KEY "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
#define OTHER_KEY "1ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

struct fixture {
    char *folder;
    struct keys *keys;
    struct arena *arena;
    struct issuer_options issuer;
    struct people_options people;
    struct exchange_service service;
    struct rules rules;
    struct dpop_proof dpop;
    struct policy_grant grants[3];
    struct policy_stage stage;
    struct exchange_actor actor;
    struct exchange asked;    /* what is kept */
    struct exchange exchange; /* who goes on */
};

static struct identity *identity_of(const struct issuer_options *issuer)
{
    struct identity_options options = { .issuers = issuer, .issuer_count = 1 };
    struct identity *identity = NULL;
    struct error error = { 0 };

    if (!identity_new(&options, NULL, NULL, &identity, &error))
        fail_msg("%s", error.cause);
    return identity;
}

static json_t *claims_of(struct fixture *fixture, const char *text)
{
    struct error error = { 0 };
    json_t *claims = json_of(text);

    assert_true(json_keep(fixture->arena, claims, &error));
    return claims;
}

static void make_token(struct fixture *fixture)
{
    struct verified_token *token = &fixture->asked.token;

    token->issuer = &fixture->issuer;
    token->claims = claims_of(fixture, "{\"iss\":\"" CI "\",\"sub\":\"job 7\",\"aud\":\"broker\","
                                       "\"exp\":1763800900,\"iat\":1763800000,\"project\":\"7\","
                                       "\"run_id\":\"12\",\"sha\":\"abc\","
                                       "\"event_name\":\"pull_request_target\"}");
    token->kid = STR("key-1");
    token->is_key_bound = true;
    memset(token->mark, 0x5a, sizeof(token->mark));
    memset(token->sha256, 0xa5, sizeof(token->sha256));
}

static void make_actor(struct fixture *fixture)
{
    struct verified_token *token = &fixture->actor.token;

    token->issuer = &fixture->people.issuer;
    token->claims = claims_of(fixture, "{\"iss\":\"" IDP "\",\"sub\":\"eve\",\"aud\":\"stagepass\","
                                       "\"exp\":1763800900,\"iat\":1763800000}");
    fixture->actor.facts = token->claims;
    fixture->actor.is_person = true;
    fixture->asked.actor = &fixture->actor;
}

static void make_request(struct fixture *fixture)
{
    struct exchange *asked = &fixture->asked;

    (void)snprintf(fixture->dpop.thumbprint, sizeof(fixture->dpop.thumbprint), "%s", KEY);
    asked->request = (struct exchange_request){
        .stage = STR("deploy"),
        .scope = STR("site"),
        .ttl_s = 600,
        .reason = STR("because"),
        .details = claims_of(fixture, "[{\"type\":\"stagepass_grant\",\"grant\":\"site\"}]"),
        .proof = { .dpop = &fixture->dpop },
    };
    assert_true(address_parse(STR("192.0.2.7"), &asked->request.address));
    fixture->grants[0].name = STR("site");
    fixture->grants[1].name = STR("images");
    fixture->grants[2].name = STR("newcomer");
    fixture->stage.id = STR("acme/payments:deploy");
    asked->decision.stage = &fixture->stage;
    asked->decision.grant_count = 2;
    asked->decision.grants[0].grant = &fixture->grants[0];
    asked->decision.grants[1].grant = &fixture->grants[1];
}

static const struct claim own_claims[] = {
    { "iss", CLAIM_STRING, 0 },  { "sub", CLAIM_STRING, 0 },  { "aud", CLAIM_STRINGS, 0 },
    { "exp", CLAIM_INTEGER, 0 }, { "iat", CLAIM_INTEGER, 0 }, { "project", CLAIM_STRING, CLAIM_ID },
};

static int start(void **state)
{
    static struct fixture fixture;

    memset(&fixture, 0, sizeof(fixture));
    fixture.folder = temporary_folder();
    fixture.keys = keys_of(fixture.folder, KEY_ES256, TEST_START_S);
    fixture.arena = arena_new(ARENA_REQUEST_MAX);
    fixture.issuer = (struct issuer_options){
        .name = STR("ci"),
        .profile = profile_find(STR("generic")),
        .url = STR(CI),
        .audience = STR("broker"),
        .claims = { own_claims, COUNT(own_claims) },
    };
    fixture.people = (struct people_options){
        .issuer = { .name = STR(PEOPLE_ISSUER),
                    .profile = &profile_person,
                    .url = STR(IDP),
                    .audience = STR("stagepass"),
                    .claims = profile_person.claims },
        .client_id = STR("stagepass"),
    };
    fixture.service.tools.keys = fixture.keys;
    fixture.asked.service = &fixture.service;
    fixture.rules.identity = identity_of(&fixture.issuer);
    fixture.rules.people_identity = identity_of(&fixture.people.issuer);
    fixture.rules.people = &fixture.people;
    make_token(&fixture);
    make_request(&fixture);
    fixture.exchange.service = &fixture.service;
    fixture.exchange.arena = fixture.arena;
    fixture.exchange.rules = &fixture.rules;
    *state = &fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    identity_unref(fixture->rules.identity);
    identity_unref(fixture->rules.people_identity);
    arena_free(fixture->arena);
    keys_close(fixture->keys);
    remove_folder(fixture->folder);
    return 0;
}

/* The private part of an entry as the ledger gives it, with something personal in it besides. */
static struct str keep(struct fixture *fixture)
{
    JSON_OWNED json_t *part = json_of("{\"subject\":{\"salt\":\"c2FsdA\",\"value\":\"job 7\"}}");
    struct error error = { 0 };
    struct str text;

    if (!kept_put(&fixture->asked, LEASE, part, &error))
        fail_msg("%s", error.cause);
    text = json_text(fixture->arena, part);
    assert_non_null(text.data);
    return text;
}

static enum error_code open_code(struct fixture *fixture, struct str part, struct str id)
{
    const struct kept *kept = NULL;
    struct error error = { 0 };
    bool is_open = kept_open(fixture->keys, part, id, fixture->arena, &kept, &error);

    assert_int_equal(is_open, error.code == ERROR_NONE);
    assert_int_equal(is_open, kept != NULL);
    return error.code;
}

static const struct kept *restore(struct fixture *fixture)
{
    const struct kept *kept = NULL;
    struct error error = { 0 };

    if (!kept_open(fixture->keys, keep(fixture), LEASE, fixture->arena, &kept, &error))
        fail_msg("%s", error.cause);
    fixture->exchange.request = kept->request;
    fixture->exchange.request.proof = fixture->asked.request.proof;
    return kept;
}

static enum error_code enter_code(struct fixture *fixture)
{
    struct error error = { 0 };
    bool is_good = kept_enter(&fixture->exchange, &error);

    assert_int_equal(is_good, error.code == ERROR_NONE);
    return error.code;
}

/* The identity room of who goes on, with another configuration of the issuer. */
static enum error_code enter_code_with(struct fixture *fixture, const struct issuer_options *issuer)
{
    enum error_code code;

    (void)restore(fixture);
    identity_unref(fixture->rules.identity);
    fixture->rules.identity = identity_of(issuer);
    code = enter_code(fixture);
    return code;
}

static void what_was_asked_and_from_where_comes_back(void **state)
{
    struct fixture *fixture = *state;
    const struct kept *kept = restore(fixture);
    const struct exchange_request *request = &kept->request;
    char address[ADDRESS_TEXT_MAX];

    assert_ptr_equal(request->kept, kept);
    assert_str(request->stage, "acme/payments:deploy"); /* the one that was decided on */
    assert_str(request->scope, "site");
    assert_str(request->audience, "");
    assert_str(request->reason, "because");
    assert_int_equal(request->ttl_s, 600);
    assert_true(json_equal(request->details, fixture->asked.request.details));
    assert_int_equal(request->subject_token.len, 0);
    assert_null(request->proof.dpop);
    assert_int_equal(request->address.len, 0);
    assert_int_equal(kept->grant_count, 2);
    assert_str(kept->grants[0], "site");
    assert_str(kept->grants[1], "images");
    assert_string_equal(kept->thumbprint, KEY);
    assert_null(kept->certificate);
    address_text(&kept->address, address);
    assert_string_equal(address, "192.0.2.7");
}

static void who_goes_on_is_who_was_verified(void **state)
{
    struct fixture *fixture = *state;
    const struct verified_token *token = &fixture->exchange.token;
    struct verified_token *asked = &fixture->asked.token;

    (void)restore(fixture);
    assert_int_equal(enter_code(fixture), ERROR_NONE);
    assert_ptr_equal(token->issuer, &fixture->issuer);
    assert_true(json_equal(token->claims, asked->claims));
    assert_str(token->subject, "job 7");
    assert_str(token->kid, "key-1");
    assert_true(token->is_key_bound);
    assert_int_equal(token->expires_s, 1763800900);
    assert_int_equal(token->issued_s, 1763800000);
    assert_memory_equal(token->mark, asked->mark, SHA256_LEN);
    assert_memory_equal(token->sha256, asked->sha256, SHA256_LEN);
}

static void facts_and_dangers_are_read_anew(void **state)
{
    struct fixture *fixture = *state;
    const struct verified_token *token = &fixture->exchange.token;

    (void)restore(fixture);
    assert_int_equal(enter_code(fixture), ERROR_NONE);
    assert_str(json_str(json_object_get(token->ci, "run")), "12");
    assert_str(json_str(json_object_get(token->ci, "commit")), "abc");
    assert_true(token->danger_count >= 1);
    assert_string_equal(token->dangers[0]->value, "pull_request_target");
}

static void nothing_that_was_kept_can_be_read_in_the_private_part(void **state)
{
    struct fixture *fixture = *state;
    struct str part = keep(fixture);

    assert_true(str_contains(part, STR("\"" KEPT_MEMBER "\":")));
    assert_false(str_contains(part, STR("because")));
    assert_false(str_contains(part, STR(CI)));
    assert_false(str_contains(part, STR(KEY)));
}

static void it_opens_for_its_own_lease_only(void **state)
{
    struct fixture *fixture = *state;
    struct str part = keep(fixture);

    assert_int_equal(open_code(fixture, part, LEASE), ERROR_NONE);
    assert_int_equal(open_code(fixture, part, OTHER_LEASE), ERROR_INVALID);
    assert_int_equal(open_code(fixture, part, STR("")), ERROR_INVALID);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(open_code(fixture, (struct str){ 0 }, LEASE), ERROR_NOT_FOUND);
    assert_int_equal(open_code(fixture, STR(""), LEASE), ERROR_NOT_FOUND);
    assert_int_equal(open_code(fixture, STR("{}"), LEASE), ERROR_NOT_FOUND);
    assert_int_equal(open_code(fixture, STR("{\"kept\":7}"), LEASE), ERROR_NOT_FOUND);
    assert_int_equal(open_code(fixture, STR("not JSON"), LEASE), ERROR_NOT_FOUND);
}

static void what_we_did_not_seal_for_this_does_not_open(void **state)
{
    static const char *const texts[] = {
        "{\"kept\":\"\"}",
        "{\"kept\":\"=\"}",
        "{\"kept\":\"not base64url!\"}",
        "{\"kept\":\"AAAA\"}",
        "{\"kept\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(open_code(fixture, str_from(texts[i]), LEASE), ERROR_INVALID);
}

/* Sealed by us for this very lease, but by somebody who keeps something else. */
static void assert_no_sense(struct fixture *fixture, const char *plain, const char *context)
{
    OWNED(buf_release) struct buf sealed = { 0 };
    OWNED(buf_release) struct buf part = { 0 };
    struct error error = { 0 };

    buf_init(&sealed, 4096);
    buf_init(&part, 8192);
    assert_true(keys_seal(fixture->keys, str_from(plain), str_from(context), &sealed, &error));
    buf_add_text(&part, "{\"kept\":\"");
    buf_add_base64url(&part, buf_str(&sealed));
    buf_add_text(&part, "\"}");
    if (open_code(fixture, buf_str(&part), LEASE) != ERROR_INVALID)
        fail_msg("opened: %s", plain);
}

#define TOKEN_PART                                                                                 \
    "\"token\":{\"issuer\":\"ci\",\"claims\":{},\"mark\":"                                         \
    "\"0000000000000000000000000000000000000000000000000000000000000000\",\"sha256\":"             \
    "\"0000000000000000000000000000000000000000000000000000000000000000\"}"

static void what_makes_no_sense_does_not_open(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{" TOKEN_PART "}",
        "{" TOKEN_PART ",\"grants\":[]}",
        "{" TOKEN_PART ",\"request\":{\"stage\":\"a:b\"}}",
        "{\"grants\":[],\"request\":{\"stage\":\"a:b\"}}",
        "{" TOKEN_PART ",\"request\":{\"stage\":7},\"grants\":[]}",
        "{" TOKEN_PART ",\"request\":{\"stage\":\"a:b\"},\"grants\":{}}",
        "{" TOKEN_PART ",\"request\":{\"stage\":\"a:b\"},\"grants\":[],\"address\":\"here\"}",
        "{" TOKEN_PART ",\"request\":{\"stage\":\"a:b\"},\"grants\":[],\"actor\":{}}",
        "{" TOKEN_PART ",\"request\":{\"stage\":\"a:b\"},\"grants\":[0,1,2,3,4,5,6,7,8,9,10,11,12,"
        "13,14,15,16]}",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(texts); i++)
        assert_no_sense(fixture, texts[i], "kept 01JD0000000000000000000000");
    assert_no_sense(fixture, "{}", "01JD0000000000000000000000");
}

/* How long a reason may be where nothing but claims and reason is kept; -1: none fits. */
static bool fits_with(struct fixture *fixture, size_t filler_len, size_t *part_len,
                      struct error *error)
{
    JSON_OWNED json_t *part = json_object();
    OWNED(buf_release) struct buf filler = { 0 };
    char *room;
    bool is_kept;

    buf_init(&filler, STORE_PRIVATE_MAX);
    room = buf_extend(&filler, filler_len);
    assert_non_null(room);
    memset(room, 'a', filler_len);
    assert_true(json_put(part, "filler", json_from_str(buf_str(&filler))));
    is_kept = kept_put(&fixture->asked, LEASE, part, error);
    if (is_kept)
        *part_len = json_text(fixture->arena, part).len;
    return is_kept;
}

static void a_private_part_may_be_just_as_long_as_the_store_takes(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };
    size_t empty_len = 0;
    size_t len = 0;

    assert_true(fits_with(fixture, 0, &empty_len, &error));
    assert_true(fits_with(fixture, STORE_PRIVATE_MAX - empty_len, &len, &error));
    assert_int_equal(len, STORE_PRIVATE_MAX);
    assert_false(fits_with(fixture, STORE_PRIVATE_MAX - empty_len + 1, &len, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_int_equal(error_kind(error.code)->http_status, 400);
}

static void claims_that_alone_are_too_many_are_refused(void **state)
{
    static char text[STORE_PRIVATE_MAX];
    struct fixture *fixture = *state;
    json_t *claims = json_deep_copy(fixture->asked.token.claims);
    JSON_OWNED json_t *part = json_object();
    struct error error = { 0 };

    memset(text, 'a', sizeof(text) - 1);
    assert_true(json_keep(fixture->arena, claims, &error));
    assert_true(json_put(claims, "long", json_string(text)));
    fixture->asked.token.claims = claims;
    assert_false(kept_put(&fixture->asked, LEASE, part, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void an_issuer_that_is_not_there_any_more_is_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct issuer_options issuer = fixture->issuer;

    issuer.name = STR("other");
    assert_int_equal(enter_code_with(fixture, &issuer), ERROR_TOKEN);
    issuer = fixture->issuer;
    issuer.url = STR("https://elsewhere.example");
    assert_int_equal(enter_code_with(fixture, &issuer), ERROR_TOKEN);
    assert_int_equal(enter_code_with(fixture, &fixture->issuer), ERROR_NONE);
}

static void only_must_hold_still(void **state)
{
    struct fixture *fixture = *state;
    struct issuer_options issuer = fixture->issuer;

    issuer.only = claims_of(fixture, "{\"project\":\"7\"}");
    assert_int_equal(enter_code_with(fixture, &issuer), ERROR_NONE);
    issuer.only = claims_of(fixture, "{\"project\":\"8\"}");
    assert_int_equal(enter_code_with(fixture, &issuer), ERROR_TOKEN);
}

static void claims_are_held_against_the_table_in_force(void **state)
{
    static const struct claim changed[] = {
        { "iss", CLAIM_STRING, 0 },  { "sub", CLAIM_STRING, 0 },
        { "aud", CLAIM_STRINGS, 0 }, { "exp", CLAIM_INTEGER, 0 },
        { "iat", CLAIM_INTEGER, 0 }, { "project", CLAIM_INTEGER, CLAIM_ID },
    };
    struct fixture *fixture = *state;
    struct issuer_options issuer = fixture->issuer;

    issuer.claims = (struct claim_table){ changed, COUNT(changed) };
    assert_int_equal(enter_code_with(fixture, &issuer), ERROR_TOKEN);
}

static void a_binding_that_is_asked_for_by_now_must_be_there(void **state)
{
    struct fixture *fixture = *state;
    struct issuer_options issuer = fixture->issuer;

    issuer.binding = IDENTITY_BIND_DPOP;
    assert_int_equal(enter_code_with(fixture, &issuer), ERROR_NONE);
    issuer.binding = IDENTITY_BIND_MTLS;
    assert_int_equal(enter_code_with(fixture, &issuer), ERROR_TOKEN);
}

static void only_who_has_the_keys_of_then_goes_on(void **state)
{
    struct dpop_proof same = { .thumbprint = KEY };
    struct dpop_proof other = { .thumbprint = OTHER_KEY };
    const struct {
        const char *thumbprint; /* kept */
        const char *certificate;
        struct exchange_proof shown;
        bool is_held;
    } cases[] = {
        { NULL, NULL, { NULL, NULL }, true },
        { NULL, NULL, { &same, NULL }, false },
        { NULL, NULL, { NULL, KEY }, false },
        { KEY, NULL, { &same, NULL }, true },
        { KEY, NULL, { &other, NULL }, false },
        { KEY, NULL, { NULL, NULL }, false },
        { KEY, NULL, { NULL, KEY }, false },
        { KEY, NULL, { &same, OTHER_KEY }, false },
        { NULL, KEY, { NULL, KEY }, true },
        { NULL, KEY, { NULL, OTHER_KEY }, false },
        { NULL, KEY, { NULL, NULL }, false },
        { NULL, KEY, { &same, NULL }, false },
        { KEY, OTHER_KEY, { &same, OTHER_KEY }, true },
        { KEY, OTHER_KEY, { &same, NULL }, false },
        { KEY, OTHER_KEY, { &same, KEY }, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct kept kept = { .thumbprint = cases[i].thumbprint,
                             .certificate = cases[i].certificate };

        if (kept_is_held(&kept, &cases[i].shown) != cases[i].is_held)
            fail_msg("case %zu", i);
    }
}

static void without_the_key_the_identity_room_does_not_open(void **state)
{
    struct fixture *fixture = *state;
    struct dpop_proof other = { .thumbprint = OTHER_KEY };

    (void)restore(fixture);
    fixture->exchange.request.proof.dpop = NULL;
    assert_int_equal(enter_code(fixture), ERROR_TOKEN);
    fixture->exchange.request.proof.dpop = &other;
    assert_int_equal(enter_code(fixture), ERROR_TOKEN);
}

static void who_acted_for_the_job_still_does(void **state)
{
    struct fixture *fixture = *state;
    const struct exchange_actor *actor;
    struct error error = { 0 };

    make_actor(fixture);
    (void)restore(fixture);
    assert_int_equal(actor_enter(&fixture->exchange, &error), PROGRESS_DONE);
    actor = fixture->exchange.actor;
    assert_non_null(actor);
    assert_str(actor->token.subject, "eve");
    assert_str(json_str(json_object_get(actor->facts, "issuer")), PEOPLE_ISSUER);
}

static void where_nobody_acted_nobody_does(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };

    (void)restore(fixture);
    assert_int_equal(actor_enter(&fixture->exchange, &error), PROGRESS_DONE);
    assert_null(fixture->exchange.actor);
}

static void an_actor_whose_provider_is_gone_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct identity *people = fixture->rules.people_identity;
    struct error error = { 0 };

    make_actor(fixture);
    (void)restore(fixture);
    fixture->rules.people_identity = NULL;
    assert_int_equal(actor_enter(&fixture->exchange, &error), PROGRESS_FAILED);
    assert_int_equal(error.code, ERROR_ACTOR);
    assert_false(exchange_abandon(&fixture->exchange));
    fixture->rules.people_identity = people;
}

static void a_grant_that_was_not_given_then_is_not_given_now(void **state)
{
    struct fixture *fixture = *state;
    const struct kept *kept = restore(fixture);
    struct policy_decision decision = fixture->asked.decision;
    struct error error = { 0 };

    assert_true(kept_covers(kept, &decision, &error));
    decision.grant_count = 1;
    assert_true(kept_covers(kept, &decision, &error));
    decision.grants[1].grant = &fixture->grants[2];
    decision.grant_count = 2;
    assert_false(kept_covers(kept, &decision, &error));
    assert_int_equal(error.code, ERROR_SCOPE);
}

static void a_stage_without_grants_stays_one(void **state)
{
    struct fixture *fixture = *state;
    struct policy_decision decision = fixture->asked.decision;
    struct error error = { 0 };

    fixture->asked.decision.grant_count = 0;
    assert_false(kept_covers(restore(fixture), &decision, &error));
    decision.grant_count = 0;
    error = (struct error){ 0 };
    assert_true(kept_covers(restore(fixture), &decision, &error));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_asked_and_from_where_comes_back),
        CASE(who_goes_on_is_who_was_verified),
        CASE(facts_and_dangers_are_read_anew),
        CASE(nothing_that_was_kept_can_be_read_in_the_private_part),
        CASE(it_opens_for_its_own_lease_only),
        CASE(what_is_not_there_is_not_found),
        CASE(what_we_did_not_seal_for_this_does_not_open),
        CASE(what_makes_no_sense_does_not_open),
        CASE(a_private_part_may_be_just_as_long_as_the_store_takes),
        CASE(claims_that_alone_are_too_many_are_refused),
        CASE(an_issuer_that_is_not_there_any_more_is_nobody),
        CASE(only_must_hold_still),
        CASE(claims_are_held_against_the_table_in_force),
        CASE(a_binding_that_is_asked_for_by_now_must_be_there),
        CASE(only_who_has_the_keys_of_then_goes_on),
        CASE(without_the_key_the_identity_room_does_not_open),
        CASE(who_acted_for_the_job_still_does),
        CASE(where_nobody_acted_nobody_does),
        CASE(an_actor_whose_provider_is_gone_is_refused),
        CASE(a_grant_that_was_not_given_then_is_not_given_now),
        CASE(a_stage_without_grants_stays_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
