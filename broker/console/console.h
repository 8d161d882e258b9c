#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "base/str.h"

/**
 * The auditors' pages: files that are part of the program, and what a browser is told beside them.
 *
 * They hold no secret and give nobody a right: what they show, they ask the API for, with the
 * token of who looks at them.
 *
 * Threads: any; everything is immutable
 */
struct console_file {
    struct str name;          /* "main.js"; unique */
    const char *content_type; /* static */
    struct str bytes;
    struct str etag; /* with its quotes, as it stands in a header field */
};

/** The page that all begins with. */
#define CONSOLE_INDEX "index.html"

/** What is shown instead where there is no console. It needs no other file. */
#define CONSOLE_CLOSED "closed.html"

/** Find a file by its name; false where there is none. */
bool console_find(struct str name, struct console_file *file) MUST_USE;

/**
 * Whether a browser that has what `if_none_match` names has this file as it is.
 *
 * The value of an If-None-Match field: `*`, or tags of which weak ones fit too. What is malformed
 * fits nothing.
 *
 * Source: RFC 9110 8.8.3.2 and 13.1.2
 */
bool console_is_known(const struct console_file *file, struct str if_none_match) MUST_USE;

/**
 * The Content-Security-Policy, in two pieces with the origins between them that the provider of
 * people is asked at.
 *
 * Scripts and styles are these files alone, nothing of them is inline, and no text ever becomes
 * markup or script.
 *
 * Source: Content Security Policy Level 3; Trusted Types
 */
#define CONSOLE_POLICY_BEGIN                                                                       \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "                    \
    "connect-src 'self' "
#define CONSOLE_POLICY_END                                                                         \
    "; worker-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "           \
    "require-trusted-types-for 'script'; trusted-types 'none'"

/** The same of CONSOLE_CLOSED, which asks for nothing. */
#define CONSOLE_POLICY_CLOSED                                                                      \
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
