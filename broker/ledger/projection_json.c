#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/projection.h"

struct gathering {
    json_t *list;
    int64_t more;
    bool has_memory;
};

static bool put_seen(json_t *object, const struct ledger_seen *seen)
{
    char last[TIME_TEXT_S_LEN + 1];

    time_text_s(seen->last_ms / 1000, last);
    return json_put(object, "issuer", json_from_str(seen->issuer)) &&
           json_put_text(object, "name", seen->name) &&
           json_put(object, "used", json_integer(seen->count)) &&
           (seen->denied == 0 || json_put(object, "denied", json_integer(seen->denied))) &&
           json_put(object, "last_seen", json_string(last));
}

static bool gather(const struct ledger_seen *seen, void *context)
{
    struct gathering *gathering = context;
    json_t *object;

    if (json_array_size(gathering->list) == PROJECTION_IDENTITIES_MAX) {
        gathering->more++;
        return true;
    }
    object = json_object();
    gathering->has_memory =
        object && json_array_append_new(gathering->list, object) == 0 && put_seen(object, seen);
    return gathering->has_memory;
}

bool projection_put_identities(struct store_index *index, struct str stage, json_t *object,
                               struct error *error)
{
    struct gathering gathering = { .list = json_array(), .has_memory = true };

    if (!json_put(object, "identities", gathering.list))
        return error_set(error, ERROR_MEMORY, "inventory");
    if (!projection_each_seen(index, stage, gather, &gathering, error))
        return false;
    return (gathering.has_memory &&
            (gathering.more == 0 ||
             json_put(object, "identities_more", json_integer(gathering.more)))) ||
           error_set(error, ERROR_MEMORY, "inventory");
}
