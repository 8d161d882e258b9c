#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "targets/aws_sigv4.h"
#include "targets/stage_token.h"
#include "targets/targets_internal.h"
#include "upstream/upstream.h"

struct error;

/** Limits of AWS. Source: STS service model 2011-06-15, AssumeRoleWithWebIdentity */
#define AWS_TTL_MIN_S 900
#define AWS_TTL_MAX_S 43200
#define AWS_CHAINED_TTL_MAX_S 3600 /* where a role's own keys ask */
#define AWS_POLICY_MAX 2048        /* characters of the session policy */
#define AWS_POLICY_ARNS_MAX 10
#define AWS_TAGS_MAX 50
#define AWS_TAG_KEY_MAX 128
#define AWS_TAG_VALUE_MAX 256
#define AWS_TAG_CHARSET LETTERS_AND_DIGITS " _.:/=+-@"
#define AWS_SESSION_NAME_MAX 64
#define AWS_NAME_CHARSET LETTERS_AND_DIGITS "_+=,.@-"
#define AWS_SUBJECT_MIN 6

/** Session tags of our own, which a policy cannot set. */
#define AWS_TAG_STAGE "stage"
#define AWS_TAG_PIPELINE "pipeline"
#define AWS_TAG_RUN "run"
#define AWS_OWN_TAGS 3

/** A target of this kind. Immutable. */
struct aws_settings {
    struct str region;
    struct texts accounts;
    struct str endpoint; /* a URL, NUL-terminated */
    struct str audience;
    enum stage_token_algorithm algorithm;
    struct upstream_peer peer;
    /* `revoke: role_policy`: the role, in each account, as which sessions are denied; empty: none
     * are. */
    struct str revoker_role;
    struct str iam_endpoint; /* empty: the partition's */
    /* NULL: we ask by web identity, and hold no keys. */
    const char *credentials_file;
    bool is_chained;        /* as far as is known: these keys are a role's own */
    struct str external_id; /* that goes with them; empty: none */
};

/** How STS is asked. */
enum aws_sts_action {
    AWS_STS_WEB_IDENTITY, /* AssumeRoleWithWebIdentity */
    AWS_STS_ROLE          /* AssumeRole, signed with the target's keys */
};

enum aws_sts_action aws_sts_action_of(const struct aws_settings *settings);

/** A grant as it is asked of STS. Its texts live in the reader's arena or in the policy. */
struct aws_grant {
    struct str role;      /* ARN */
    struct str partition; /* of the ARN: "aws" */
    struct str account;
    struct str role_name; /* the ARN's last part, without the path */
    struct str policy;    /* the session policy, minified; empty: none */
    struct texts policy_arns;
    const json_t *tags;           /* NULL: none */
    struct texts transitive_tags; /* names of tags, of ours too */
    bool pins_address;
};

/** Take a role's ARN apart: `role`, `partition`, `account` and `role_name`. False: it is none. */
bool aws_role_split(struct str role, struct aws_grant *grant) MUST_USE;

/**
 * Read the fields of a grant and build its session policy.
 *
 * `settings` may be NULL (a target that is itself in error): then accounts are not checked. With
 * `pin_address` each statement holds for `address` only; at load the longest address stands for it.
 */
bool aws_grant_read(struct grant_reader *reader, const json_t *fields,
                    const struct aws_settings *settings, const struct address *address,
                    struct aws_grant *grant) MUST_USE;

/** Report what is wrong with a grant's fields: unknown keys, then what aws_grant_read() finds. */
void aws_grant_check(const struct yaml_reader *yaml, const struct policy_grant_view *view);

/**
 * What a grant gives: the actions of `allow`, as its role in the role's account. Without `allow`,
 * and with managed policies, whose text is AWS's, it counts as everything.
 */
bool aws_grant_gives(const struct policy_grant_view *view, struct arena *arena,
                     struct policy_given *given) MUST_USE;

/** What came back, as text; what did not come is empty. */
struct aws_answer {
    struct str access_key_id;
    struct str secret_access_key;
    struct str session_token;
    struct str expiration;
    struct str subject;
    struct str audience;
    struct str assumed_role; /* the session's ARN */
    struct str source_identity;
    struct str packed_policy_size;
    struct str error_code;
    struct str error_message;
    struct str policy_names; /* of IAM, each with a space behind it */
};

/**
 * Read the XML of an answer to one of STS's actions or of an error.
 *
 * Refused: a document type, entities beyond the five of XML, processing instructions, elements
 * deeper or texts longer than any STS sends, a wanted element twice or with elements inside,
 * another namespace or root; none at all is read, as object stores answer. Unknown elements are
 * passed over. The text is hostile; errors never quote it.
 *
 * Errors: ERROR_SYNTAX, ERROR_LIMIT, ERROR_MEMORY
 * Owns:   `*answer` lives in `arena`
 */
bool aws_xml_parse(struct str xml, enum aws_sts_action action, struct arena *arena,
                   struct aws_answer *answer, struct error *error) MUST_USE;

/** The same of an IAM answer to one of the requests of aws_iam.h. */
bool aws_xml_parse_iam(struct str xml, struct arena *arena, struct aws_answer *answer,
                       struct error *error) MUST_USE;

/** What was asked, for holding the answer against it. */
struct aws_request {
    enum aws_sts_action action;
    struct str session;         /* RoleSessionName */
    struct str assumed_role;    /* the ARN that must come back */
    struct str audience;        /* of a token */
    struct str subject;         /* of a token */
    struct str source_identity; /* empty: none is set */
    struct str external_id;     /* likewise */
    const json_t *tags;         /* as a token's claim says them; NULL: none */
    int64_t now_s;
    int64_t ttl_s;
};

/** Room for clocks and the way there, seconds that a credential may outlive what was asked. */
#define AWS_EXPIRY_LEEWAY_S 60

/** Whether a text is what AWS calls a key: 16 to 128 letters, digits and '_'. */
bool aws_is_access_key_id(struct str text);

/**
 * Hold an answer with credentials against the request: theirs for the role and session that were
 * asked for, for no longer, in a form that can be handed on.
 *
 * Errors: ERROR_MINT
 */
bool aws_answer_check(const struct aws_answer *answer, const struct aws_request *request,
                      int64_t *expires_s, struct error *error) MUST_USE;

/** What of keys is not in a form that can be handed on: "access key id"; NULL: all is. */
const char *aws_keys_fault(const struct aws_keys *keys);

/** The source identity of a lease's sessions: the lease, and which of its mints where not the
 * first.
 */
struct str aws_source_identity(struct str lease, struct str attempt, struct arena *arena);

/** The ARN of a session of a role; `data` NULL: no memory. */
struct str aws_session_arn(const struct aws_grant *grant, struct str session, struct arena *arena);

/** The session's name: "REPOSITORY-RUN-LEASE" in 64 characters that AWS takes, the lease whole. */
bool aws_session_name(struct str repository, struct str run, struct str lease, struct arena *arena,
                      struct str *name) MUST_USE;

/**
 * Put together what is asked of STS, and what an assertion says besides: it is for this role,
 * stage and lease alone.
 *
 * Errors: ERROR_MINT, ERROR_MEMORY
 * Owns:   `request`'s texts and `*claims` live in the mint's arena, or in what the mint and
 *         `settings` borrow
 */
bool aws_request_build(const struct mint *mint, const struct aws_settings *settings,
                       const struct aws_grant *grant, struct aws_request *request, json_t **claims,
                       struct error *error) MUST_USE;

/**
 * Write the form of a request's action: with the assertion, or with what that would say. Whoever
 * sends it asks the buffer whether it fits.
 */
void aws_form_write(const struct aws_grant *grant, const struct aws_request *request,
                    struct str token, struct buf *form);

/** `revoke` and `is_revocable` of the kind: sessions are denied by a policy of their role. */
enum progress aws_revoke(struct revocation *revocation, struct error *error);
bool aws_is_revocable(const struct mint *mint);
