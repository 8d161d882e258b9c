#include "ledger/audit_bundle.h"

#include <stdlib.h>
#include <string.h>

#include "ledger/entry.h"

void audit_bundle_init(struct audit_bundle *bundle)
{
    *bundle = (struct audit_bundle){ .is_built = true };
    buf_init(&bundle->built, BUNDLE_MAX);
}

void audit_bundle_release(struct audit_bundle *bundle)
{
    buf_release(&bundle->built);
    free(bundle->file);
}

bool audit_bundle_begin(struct audit_bundle *bundle, uint64_t first, bool is_built,
                        struct error *error)
{
    if (!is_built && bundle->file == NULL)
        bundle->file = malloc(BUNDLE_MAX + 1);
    if (!is_built && bundle->file == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an audit");
    bundle->first = first;
    bundle->count = 0;
    bundle->file_len = 0;
    buf_clear(&bundle->built);
    bundle->is_built = is_built;
    bundle->is_other = false;
    bundle->ends[0] = 0;
    return true;
}

/* Whether the bundle's file has the entry at `at`, which is within it. */
static bool file_has_entry(const struct audit_bundle *bundle, size_t at, struct str entry)
{
    const char *there = bundle->file + at;
    char head[BUNDLE_HEAD_LEN];

    bundle_head(entry, head);
    return bundle->file_len - at >= BUNDLE_HEAD_LEN + entry.len &&
           memcmp(there, head, BUNDLE_HEAD_LEN) == 0 &&
           memcmp(there + BUNDLE_HEAD_LEN, entry.data, entry.len) == 0;
}

bool audit_bundle_add(struct audit_bundle *bundle, struct str entry, struct error *error)
{
    size_t at = bundle->ends[bundle->count];

    if (!bundle->is_built && !file_has_entry(bundle, at, entry)) {
        bundle->is_other = true;
        bundle->is_built = true;
        buf_add(&bundle->built, (struct str){ bundle->file, at });
    }
    if (bundle->is_built)
        bundle_add(&bundle->built, entry);
    bundle->count++;
    bundle->ends[bundle->count] = at + BUNDLE_HEAD_LEN + entry.len;
    return buf_is_ok(&bundle->built) || error_set(error, ERROR_MEMORY, "no memory for an audit");
}

struct str audit_bundle_content(const struct audit_bundle *bundle, unsigned width)
{
    return (struct str){ bundle->is_built ? bundle->built.data : bundle->file,
                         bundle->ends[width] };
}

void audit_bundle_look(struct audit_bundle *bundle)
{
    const char *bytes = audit_bundle_content(bundle, bundle->count).data;
    struct entry_form form = { 0 };

    bundle->error = (struct error){ 0 };
    bundle->sound_count = 0;
    for (unsigned i = 0; i < bundle->count; i++) {
        size_t start = bundle->ends[i] + BUNDLE_HEAD_LEN;
        struct str entry = { bytes + start, bundle->ends[i + 1] - start };

        if (!entry_form_check(entry, &form, &bundle->error))
            return;
        bundle->leaves[i] = entry_leaf(entry);
        bundle->forms[i] = form;
        bundle->sound_count++;
    }
}
