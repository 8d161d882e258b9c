#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "clients/broker.h"

struct error;

/** What an operator asks of the broker, by their login. */
struct operator_request {
    const char *method;
    const char *path;  /* with its query */
    struct str form;   /* of a POST */
    const char *takes; /* what it takes; NULL: the role operator, of all tenants */
    const char *what;  /* "blocking": what takes the role, for who does not have it */
};

/**
 * Ask, and read the answer, an object that lives as long as `arena`.
 *
 * Errors: ERROR_REFUSED (no login, or not the role), ERROR_NOT_FOUND, ERROR_REQUEST (the broker
 * says what is wrong), ERROR_LATER, ERROR_UNREACHABLE, ERROR_IO, ERROR_MEMORY, ERROR_USAGE
 */
bool operator_ask(const struct broker_options *options, const struct operator_request *request,
                  struct arena *arena, const json_t **answer, struct error *error) MUST_USE;

/** A list that the broker gives page by page, each with the cursor of the one behind it. */
struct operator_pages {
    struct operator_request
        request; /* of the first page: the cursor joins its query, or its form */
    /** Take a page. It lives until this returns. */
    bool (*take)(void *context, const json_t *page, struct error *error);
    void *context;
};

/**
 * Ask for all pages, in order.
 *
 * Errors: those of operator_ask() and of `take`, ERROR_INVALID, ERROR_LIMIT (the list does not end)
 */
bool operator_ask_pages(const struct broker_options *options, const struct operator_pages *pages,
                        struct error *error) MUST_USE;
