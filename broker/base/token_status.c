#include "base/token_status.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"

#define LIST_DIGITS_MAX 16
#define URI_MAX (2048 + sizeof(TOKEN_STATUS_PATH) + LIST_DIGITS_MAX)
#define INDEX_MAX (TOKEN_STATUS_BYTES * 8 - 1)

struct token_status token_status_of(uint64_t entry_index, size_t place)
{
    uint64_t entry = entry_index % TOKEN_STATUS_ENTRIES;

    return (struct token_status){
        .list = entry_index / TOKEN_STATUS_ENTRIES,
        .index = (uint32_t)(entry * TOKEN_STATUS_PLACES + place),
    };
}

json_t *token_status_claim(const struct token_status *status, struct str issuer)
{
    char uri[URI_MAX];
    int len = snprintf(uri, sizeof(uri), STR_FMT TOKEN_STATUS_PATH "%" PRIu64, STR_ARG(issuer),
                       status->list);

    if (len < 0 || (size_t)len >= sizeof(uri))
        return NULL;
    return json_pack("{s:{s:I, s:s}}", "status_list", "idx", (json_int_t)status->index, "uri", uri);
}

bool token_status_list_of(struct str text, uint64_t *list)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > LIST_DIGITS_MAX || (text.data[0] == '0' && text.len > 1))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *list = value;
    return value <= TOKEN_STATUS_LIST_MAX;
}

static bool read_index(const json_t *value, uint32_t *index)
{
    json_int_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < 0 || number > (json_int_t)INDEX_MAX)
        return false;
    *index = (uint32_t)number;
    return true;
}

bool token_status_of_claims(const json_t *claims, struct str issuer, struct token_status *status)
{
    const json_t *reference = json_object_get(json_object_get(claims, "status"), "status_list");
    struct str uri = json_str(json_object_get(reference, "uri"));
    struct str rest = { 0 };

    if (!str_starts_with(uri, issuer))
        return false;
    rest = str_slice(uri, issuer.len, uri.len);
    if (!str_starts_with(rest, STR(TOKEN_STATUS_PATH)))
        return false;
    rest = str_slice(rest, sizeof(TOKEN_STATUS_PATH) - 1, rest.len);
    return token_status_list_of(rest, &status->list) &&
           read_index(json_object_get(reference, "idx"), &status->index);
}

json_t *token_status_record(const struct token_status *status)
{
    return json_pack("{s:I, s:I}", "index", (json_int_t)status->index, "list",
                     (json_int_t)status->list);
}

bool token_status_of_record(const json_t *record, struct token_status *status)
{
    const json_t *list = json_object_get(record, "list");
    json_int_t number = json_integer_value(list);

    if (!json_is_integer(list) || number < 0 || number > (json_int_t)TOKEN_STATUS_LIST_MAX)
        return false;
    status->list = (uint64_t)number;
    return read_index(json_object_get(record, "index"), &status->index);
}
