#include "clients/joined.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "ledger/entry.h"

#define DEPTH_MAX 32 /* of entries, as their parser has it */

struct joining {
    const json_t *private_part;
    struct arena *arena;
    struct joined *joined;
    struct error *error;
};

/* What a digest at a path stands for; itself where that is not known. */
static const json_t *disclose(const struct joining *joining, struct str path, const char *name,
                              const json_t *digest)
{
    struct str member = path.len > 0
                            ? arena_printf(joining->arena, STR_FMT ".%s", STR_ARG(path), name)
                            : str_from(name);
    const json_t *found = json_object_get(joining->private_part, member.data);

    if (found && entry_discloses(digest, name, found)) {
        joining->joined->disclosed_count++;
        return json_object_get(found, "value");
    }
    joining->joined->hidden_count++;
    if (found)
        joining->joined->false_count++;
    return digest;
}

static bool join(const struct joining *joining, const json_t *from, struct str path, unsigned depth,
                 json_t *to);

static json_t *join_member(const struct joining *joining, struct str path, const char *name,
                           const json_t *value, unsigned depth)
{
    json_t *copy;

    if (json_is_string(value) && entry_is_digest(json_str(value)))
        return json_incref(json_iterable(disclose(joining, path, name, value)));
    if (!json_is_object(value) || depth == 0)
        return json_incref(json_iterable(value));
    copy = json_object();
    path = path.len > 0 ? arena_printf(joining->arena, STR_FMT ".%s", STR_ARG(path), name)
                        : str_from(name);
    if (copy && path.data && join(joining, value, path, depth - 1, copy))
        return copy;
    json_decref(copy);
    return NULL;
}

static bool join(const struct joining *joining, const json_t *from, struct str path, unsigned depth,
                 json_t *to)
{
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(from), name, value)
        if (!json_put(to, name, join_member(joining, path, name, value, depth)))
            return error_set(joining->error, ERROR_MEMORY, "no memory for an entry");
    return true;
}

bool joined_make(const json_t *entry, const json_t *private_part, struct arena *arena,
                 struct joined *joined, struct error *error)
{
    const struct joining joining = { private_part, arena, joined, error };
    json_t *copy = json_object();

    *joined = (struct joined){ .entry = copy };
    if (!copy)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    return json_keep(arena, copy, error) && join(&joining, entry, STR(""), DEPTH_MAX, copy);
}
