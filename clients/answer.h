#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

#define ANSWER_BYTES_MAX ((size_t)256 * 1024)
#define ANSWER_CREDENTIALS_MAX 16
#define ANSWER_NAMES_MAX 32

enum credential_type {
    CREDENTIAL_JWT,
    CREDENTIAL_AWS,
    CREDENTIAL_SSH,
    CREDENTIAL_X509,
    CREDENTIAL_GCP,
    CREDENTIAL_AZURE,
    CREDENTIAL_POSTGRES,
    CREDENTIAL_VAULT,
    CREDENTIAL_REGISTRY,
    CREDENTIAL_KUBERNETES,
    CREDENTIAL_GITHUB,
    CREDENTIAL_GITLAB,
    CREDENTIAL_OTHER, /* a kind that this client does not know */
};

/**
 * One credential. Texts are printable ASCII without space (an ssh certificate's apart); PEM has
 * lines besides.
 */
struct credential {
    struct str grant; /* [a-z0-9_-]{1,40} */
    enum credential_type type;
    struct str type_name;
    struct str expires_at; /* as the broker wrote it */
    int64_t expires_s;

    struct str token;         /* of all kinds that have one; ssh: the certificate's line */
    struct str access_key_id; /* aws, to the end */
    struct str secret_access_key;
    struct str session_token;
    struct str region;     /* or empty */
    struct str account_id; /* or empty */

    struct str address; /* vault, kubernetes: a URL */
    struct str space;   /* the namespace, or empty */

    struct str host; /* postgres, to the end, registry's with user and password, and github's; and
                        certificate and chain, or else: */
    struct str password;
    struct str port;
    struct str database;
    struct str user;
    struct str sslmode; /* or empty */
    struct str ca;      /* PEM, or empty */

    struct str certificate; /* x509, to the end; PEM */
    struct str chain;       /* PEM, or empty */
    struct str root;        /* PEM, or empty */

    struct str service_account; /* gcp; or empty */
    struct str project;         /* gcp; or empty */
    struct str client_id;       /* azure */
    struct str tenant_id;       /* azure */

    struct str token_kind; /* gitlab: "project", "deploy", "group"; with host and user */
    struct str registry;   /* gitlab: host of its registry that takes the token; or empty */
};

/** The broker's 200 of POST /token. In the arena of its reading. */
struct answer {
    struct str access_token;
    struct str token_type;
    struct str lease;
    struct str handle;
    struct str stage;
    struct str expires_at;
    int64_t expires_s;
    struct str refresh_token; /* empty: the lease does not go on */
    int64_t heartbeat_s;      /* 0: none is asked for */
    uint64_t ledger_index;
    uint8_t leaf_hash[SHA256_LEN];
    struct credential credentials[ANSWER_CREDENTIALS_MAX];
    size_t credential_count;
    const json_t *json; /* all of it */
};

/** Why the broker refused. In the arena of its reading; texts are foreign: print them clean. */
struct refusal {
    int status;
    struct str code; /* RFC 6749's `error` */
    struct str description;
    struct str reason;
    struct str decision;
    struct str owner;
    struct str help;
    struct str failed[ANSWER_NAMES_MAX];
    size_t failed_count;
    struct str grants_needing_keys[ANSWER_CREDENTIALS_MAX];
    size_t grants_needing_keys_count;
    struct str grants_needing_csrs[ANSWER_CREDENTIALS_MAX];
    size_t grants_needing_csrs_count;
    struct str approval;      /* id of what people have to approve; empty: nothing */
    struct str approval_code; /* secret: what to ask with; empty: nothing to wait for */
    int64_t approval_interval_s;
    int64_t approval_wait_s;
};

/**
 * Read the answer to an exchange.
 *
 * The broker is trusted with what it gives, but not with where it lands: environment, files and
 * terminal. So every text is checked for what it may hold. Members that are not known are ignored.
 * Where it fails, `answer->handle` is set all the same if it could be read, so that the lease can
 * be released.
 *
 * Errors: ERROR_SYNTAX, ERROR_LIMIT, ERROR_MEMORY
 */
bool answer_read(struct str body, struct arena *arena, struct answer *answer, struct error *error)
    MUST_USE;

/** The same of the answer to a renewal, which has no handle. Errors: the same */
bool answer_read_renewal(struct str body, struct arena *arena, struct answer *answer,
                         struct error *error) MUST_USE;

/** Read an error's body as far as it goes: what is missing or of another type stays empty. */
void refusal_read(int status, struct str body, struct arena *arena, struct refusal *refusal);
