#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "identity/identity.h"

struct error;

/**
 * The name of people's provider among the issuers: no issuer of runners may have it, or its URL.
 */
#define PEOPLE_ISSUER "people"

/** What people may do: bits, as routes and `struct person` have them. */
enum person_role {
    PERSON_VERIFIED = 1 << 0, /* anybody of the provider */
    PERSON_READER = 1 << 1,   /* has groups, or a verified address: may own pipelines */
    PERSON_AUDITOR = 1 << 2,
    PERSON_OPERATOR = 1 << 3,
    PERSON_APPROVER = 1 << 4,
};

#define PEOPLE_RULES_MAX 64      /* of all roles together */
#define PEOPLE_CONDITIONS_MAX 16 /* of a rule */
#define PEOPLE_VALUES_MAX 1000   /* of a condition, and tenants of a rule */
#define PEOPLE_SAME_MAX 8        /* claims of an issuer in `same_as` */

/** A claim, or where it starts with '/' a JSON Pointer to one, and the texts of which it must be
 * one. */
struct people_condition {
    struct str claim;
    const struct str *values;
    size_t value_count;
};

/** Who has a role: all conditions must hold. */
struct people_rule {
    enum person_role role; /* one of those that are given by rules */
    const struct people_condition *conditions;
    size_t condition_count;
    const struct str *tenants; /* for which the role is; none: for all */
    size_t tenant_count;
};

/** A claim of a person that says the same as a fact of a run. */
struct people_same {
    struct str issuer; /* of the run */
    struct str claim;  /* of the person; a name or a JSON Pointer */
    struct str fact;   /* without "ci." */
};

/** The provider of people and what follows from its tokens. Threads: immutable */
struct people_options {
    struct issuer_options issuer; /* named PEOPLE_ISSUER, of `profile_person` */
    struct str client_id;
    struct str console_client_id; /* of the console, which may be `client_id`; empty: no console */
    struct str console_origins;   /* where the console asks the provider, with spaces between */
    struct str scopes; /* what a person's client asks the provider for, "openid" among them */
    struct people_rule *rules;
    size_t rule_count;
    struct people_same *same;
    size_t same_count;
};

/** A person who showed a token, with what it lets them do. In the arena of the verification. */
struct person {
    struct verified_token token;
    struct str subject;
    struct str email; /* empty unless the provider says that it is verified */
    const struct str *groups;
    size_t group_count;
    unsigned roles;                   /* enum person_role bits; some may be for a few tenants */
    const struct people_rule **rules; /* those that hold */
    size_t rule_count;
};

/**
 * What a verified token of the provider says of its bearer.
 *
 * A claim of another type than text fits nothing; an array of texts fits by one of them. An
 * `email` that the provider has not verified is not there at all.
 *
 * Errors: ERROR_TOKEN (issued to another client of the provider), ERROR_MEMORY
 * Owns:   `*person` borrows from `people` and `token`
 * Source: OpenID Connect Core 3.1.3.7
 */
bool person_from_token(const struct people_options *people, const struct verified_token *token,
                       struct arena *arena, struct person *person, struct error *error) MUST_USE;

/** Whether a person has a role for a tenant; an empty `tenant` asks for all of them. */
bool person_may(const struct person *person, enum person_role role, struct str tenant);

/** Whether a pipeline's owner is a group of this person, or their verified address. */
bool person_is_owner(const struct person *person, struct str owner);

/** The word for a role: "auditor". */
const char *person_role_name(enum person_role role);

enum people_match {
    PEOPLE_UNKNOWN, /* no `same_as` for this issuer, or one side does not say */
    PEOPLE_SAME,
    PEOPLE_OTHER,
};

/**
 * Whether a person started a run of `issuer` with the facts `ci`.
 *
 * One pair that is equal makes them the same. Who must not be the same has to ask for
 * PEOPLE_OTHER: what cannot be compared is unknown.
 *
 * Source: design.md 3.3 `same_as`
 */
enum people_match person_match_run(const struct people_options *people, const struct person *person,
                                   struct str issuer, const json_t *ci);

/** The same by claims of a person, all of them or those that person_keep_claims() kept. */
enum people_match person_match_claims(const struct people_options *people, const json_t *claims,
                                      struct str issuer, const json_t *ci);

/**
 * Put the claims of a person that say which runs are theirs, and where there are two clients those
 * that people_are_two() looks at, into an object, and no others: for who has to compare later.
 */
bool person_keep_claims(const struct people_options *people, const struct person *person,
                        json_t *kept) MUST_USE;

/** Whether people come by two clients of their provider. */
bool people_have_two_clients(const struct people_options *people);

/**
 * Whether those whose claims these are, and whose subjects differ, are two people.
 *
 * Where there are two clients a provider may tell each another subject of the same person. Then
 * they must have come by the same client, or their verified addresses differ: who does not say is
 * not known to be another.
 *
 * Source: OpenID Connect Core 8.1
 */
bool people_are_two(const struct people_options *people, const json_t *one, const json_t *other);

/** Whether runs of an issuer can be compared with people at all. */
bool people_tell_who_started(const struct people_options *people, struct str issuer);
