#include "stream/members.h"

static const char *const names[STREAM_MEMBER_COUNT] = {
    [MEMBER_TYPE] = "type",         [MEMBER_TIME] = "time",
    [MEMBER_BROKER] = "broker",     [MEMBER_DECISION] = "decision",
    [MEMBER_LEASE] = "lease",       [MEMBER_STAGE] = "stage",
    [MEMBER_PIPELINE] = "pipeline", [MEMBER_TENANT] = "tenant",
    [MEMBER_OWNER] = "owner",       [MEMBER_ENVIRONMENT] = "environment",
    [MEMBER_ISSUER] = "issuer",     [MEMBER_SUBJECT] = "subject",
    [MEMBER_REASON] = "reason",     [MEMBER_CODE] = "code",
};

const char *stream_member_name(enum stream_member member)
{
    return names[member];
}

static void advance(struct str *text, size_t count)
{
    *text = str_slice(*text, count, text->len);
}

static void skip_spaces(struct str *text)
{
    while (text->len > 0 && (text->data[0] == ' ' || text->data[0] == '\n' ||
                             text->data[0] == '\r' || text->data[0] == '\t'))
        advance(text, 1);
}

/* Over one character that must be there. */
static bool skip(struct str *text, char expected)
{
    skip_spaces(text);
    if (text->len == 0 || text->data[0] != expected)
        return false;
    advance(text, 1);
    return true;
}

/* Over a string; `*inside` is what is between its quotes. */
static bool skip_string(struct str *text, struct str *inside)
{
    for (size_t i = 1; i < text->len; i++) {
        if (text->data[i] == '\\') {
            i++; /* whatever it is, it does not end the string */
        } else if (text->data[i] == '"') {
            *inside = str_slice(*text, 1, i - 1);
            advance(text, i + 1);
            return true;
        }
    }
    return false;
}

/* Over a value, up to the ',' or '}' behind it. */
static bool skip_value(struct str *text)
{
    struct str ignored;
    size_t depth = 0;

    while (text->len > 0) {
        char next = text->data[0];

        if (depth == 0 && (next == ',' || next == '}'))
            return true;
        if (next == '"') {
            if (!skip_string(text, &ignored))
                return false;
            continue;
        }
        if (next == '{' || next == '[')
            depth++;
        if ((next == '}' || next == ']') && depth-- == 0)
            return false;
        advance(text, 1);
    }
    return false;
}

static void keep(struct str name, struct str value, struct str members[STREAM_MEMBER_COUNT])
{
    for (size_t i = 0; i < STREAM_MEMBER_COUNT; i++) {
        if (str_eq(name, str_from(names[i]))) {
            members[i] = value;
            return;
        }
    }
}

/* `"name": value`. */
static bool read_member(struct str *text, struct str members[STREAM_MEMBER_COUNT])
{
    struct str name;
    struct str value;

    skip_spaces(text);
    if (text->len == 0 || text->data[0] != '"' || !skip_string(text, &name) || !skip(text, ':'))
        return false;
    skip_spaces(text);
    if (text->len == 0 || text->data[0] != '"')
        return skip_value(text);
    if (!skip_string(text, &value))
        return false;
    keep(name, value, members);
    return true;
}

bool stream_members_find(struct str entry, struct str members[STREAM_MEMBER_COUNT])
{
    struct str text = entry;

    for (size_t i = 0; i < STREAM_MEMBER_COUNT; i++)
        members[i] = (struct str){ 0 };
    if (!skip(&text, '{'))
        return false;
    if (skip(&text, '}'))
        return true;
    do {
        if (!read_member(&text, members))
            return false;
    } while (skip(&text, ','));
    return skip(&text, '}');
}
