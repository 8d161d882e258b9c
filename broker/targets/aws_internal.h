#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/network.h"
#include "base/str.h"
#include "targets/targets_internal.h"

struct error;

/** Limits of AWS. Source: STS service model 2011-06-15, AssumeRoleWithWebIdentity */
#define AWS_TTL_MIN_S 900
#define AWS_TTL_MAX_S 43200
#define AWS_POLICY_MAX 2048 /* characters of the session policy */
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
    const char *ca_file; /* NULL: the system's */
    const struct network *networks;
    size_t network_count;
    bool may_use_http;
};

/** A grant as it is asked of STS. Its texts live in the reader's arena or in the policy. */
struct aws_grant {
    struct str role;      /* ARN */
    struct str partition; /* of the ARN: "aws" */
    struct str account;
    struct str role_name; /* the ARN's last part, without the path */
    struct str policy;    /* the session policy, minified; empty: none */
    struct texts policy_arns;
    const json_t *tags; /* NULL: none */
    bool pins_address;
};

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
};

/**
 * Read the XML of an AssumeRoleWithWebIdentity answer or of an error.
 *
 * Refused: a document type, entities beyond the five of XML, processing instructions, elements
 * deeper or texts longer than any STS sends, a wanted element twice or with elements inside,
 * another namespace or root. Unknown elements are passed over. The text is hostile; errors never
 * quote it.
 *
 * Errors: ERROR_SYNTAX, ERROR_LIMIT, ERROR_MEMORY
 * Owns:   `*answer` lives in `arena`
 */
bool aws_xml_parse(struct str xml, struct arena *arena, struct aws_answer *answer,
                   struct error *error) MUST_USE;

/** What was asked, for holding the answer against it. */
struct aws_request {
    struct str session;      /* RoleSessionName */
    struct str assumed_role; /* the ARN that must come back */
    struct str audience;
    struct str subject;
    struct str source_identity;
    int64_t now_s;
    int64_t ttl_s;
};

/** Room for clocks and the way there, seconds that a credential may outlive what was asked. */
#define AWS_EXPIRY_LEEWAY_S 60

/**
 * Hold an answer with credentials against the request: theirs for the role and session that were
 * asked for, for no longer, in a form that can be handed on.
 *
 * Errors: ERROR_MINT
 */
bool aws_answer_check(const struct aws_answer *answer, const struct aws_request *request,
                      int64_t *expires_s, struct error *error) MUST_USE;

/** The session's name: "REPOSITORY-RUN-LEASE" in 64 characters that AWS takes, the lease whole. */
bool aws_session_name(struct str repository, struct str run, struct str lease, struct arena *arena,
                      struct str *name) MUST_USE;

/**
 * Build what is asked of STS: an assertion signed for this role, stage and lease alone, and the
 * form that carries it.
 *
 * Errors: ERROR_MINT, ERROR_MEMORY, ERROR_CRYPTO, ERROR_LIMIT
 * Owns:   `request`'s texts live in the mint's arena, or in what the mint and `settings` borrow
 */
bool aws_request_build(const struct mint *mint, const struct aws_settings *settings,
                       const struct aws_grant *grant, struct buf *form, struct aws_request *request,
                       struct error *error) MUST_USE;
