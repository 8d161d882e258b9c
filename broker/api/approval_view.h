#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "ledger/ledger.h"

struct error;
struct form;
struct keys;
struct person;

/**
 * An approval as people see it: its row, and the entry by which it began. What is asked stands
 * there as it was asked, and its digest with it.
 */
struct approval_view {
    struct store_approval row;
    const json_t *entry;
    const json_t *private_part; /* NULL: none, or erased */

    /* of the entry; what it lacks is empty */
    struct str stage;
    struct str tenant;
    struct str owner;
    struct str issuer; /* of the run; empty: none asked yet */
    struct str by;
    int64_t count;
    int64_t within_s;
    bool self_is_unchecked;
};

/** Fill in a view from the texts of its entry. Errors: ERROR_INVALID, ERROR_MEMORY */
bool approval_view_read(const struct store_approval *row, struct str entry, struct str private_part,
                        struct arena *arena, struct approval_view *view, struct error *error)
    MUST_USE;

/** Look one up by its id. Errors: ERROR_NOT_FOUND, ERROR_LEDGER, ERROR_IO, as above */
bool approval_view_find(struct ledger *ledger, struct str id, struct arena *arena,
                        struct approval_view *view, struct error *error) MUST_USE;

/** Whether a person is of the group that is asked. */
bool approval_asks(const struct approval_view *view, const struct person *person);

/** Whether a person may know of it: asked, the owner, or with a role for its tenant. */
bool approval_may_see(const struct approval_view *view, const struct person *person);

/** The facts of the run, with who stands behind their digests; a new object, NULL without memory */
json_t *approval_view_ci(const struct approval_view *view) MUST_USE;

/** Whether it was asked for on a person's behalf: their token came as that of the actor. */
bool approval_view_is_for(const struct approval_view *view, const struct person *person);

/** How many people are still to grant it. */
int64_t approval_view_left(const struct approval_view *view);

/** Put a time in whole seconds. False without memory. */
bool approval_put_time(json_t *object, const char *name, int64_t wall_s) MUST_USE;

/** Put who somebody is among those who grant it (granters_name()) as `person`. False without
 * memory. */
bool approval_put_person(json_t *entry, const uint8_t who[STORE_PERSON_LEN]) MUST_USE;

/* What forms say. Errors: ERROR_REQUEST, told to whoever asks */

/** Wrong in a way that whoever asks should know; false. */
bool approval_refuse(struct error *error, const char *why);
bool approval_read_reason(const struct form *form, struct str *reason, struct error *error)
    MUST_USE;
/** `true`, `false`, or absent, which leaves it as it is. */
bool approval_read_flag(const struct form *form, const char *name, bool *flag, struct error *error)
    MUST_USE;

/** Put all that an approver has to know. False without memory. */
bool approval_view_put(const struct approval_view *view, int64_t now_s, json_t *object) MUST_USE;
