#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/progress.h"
#include "base/str.h"
#include "keys/authority.h"
#include "keys/certificate.h"
#include "targets/targets_internal.h"

struct error;

/** How long a list of revoked certificates is good, by default. */
#define X509_LIST_LIVES_S ((int64_t)24 * 3600)

struct x509_settings {
    struct str trust_domain; /* empty: no SPIFFE IDs here */
    struct texts domains;    /* none: no DNS names here */
    struct str key;          /* the authority's name */
    bool has_own_root;
    int64_t rotate_every_s;
    int64_t list_lives_s;
    struct str crl_url;          /* below which lists are fetched; empty: certificates do not say */
    struct authority *authority; /* set at start */
};

/** A grant with its holes filled, or at load with holes in its texts. */
struct x509_grant {
    struct str id;      /* SPIFFE ID; empty: `names` */
    struct texts names; /* DNS names */
    unsigned uses;      /* of enum certificate_use */
};

/** Read a grant; `own` may be NULL where the target is not known. */
bool x509_read_grant(struct grant_reader *reader, const json_t *fields,
                     const struct x509_settings *own, struct x509_grant *grant) MUST_USE;

/** `check_details` of the kind: a request with its proof. */
bool x509_check_details(struct mint *mint, struct error *error) MUST_USE;

/** `mint` of the kind. */
enum progress x509_mint(struct mint *mint, struct error *error);

/** `list` of the kind. */
bool x509_list(struct target_listing *listing, struct error *error) MUST_USE;

#define CODE_SIGNING_EXTENSIONS_MAX 16

/**
 * What a certificate for signing code says of the job, as Fulcio's certificates do: its issuer and
 * what that says of it. Facts that are not there are left out; none says who a person is.
 *
 * Owns: values are in the mint's arena
 * Source: Fulcio docs/oid-info.md (1.3.6.1.4.1.57264.1)
 */
bool code_signing_extensions(const struct mint *mint,
                             struct certificate_extension rows[CODE_SIGNING_EXTENSIONS_MAX],
                             size_t *count, struct error *error) MUST_USE;
