#include "ledger/bundle.h"

#include <stdint.h>

void bundle_head(struct str entry, char head[BUNDLE_HEAD_LEN])
{
    head[0] = (char)(entry.len >> 8);
    head[1] = (char)entry.len;
}

void bundle_add(struct buf *bundle, struct str entry)
{
    char head[BUNDLE_HEAD_LEN];

    bundle_head(entry, head);
    buf_add(bundle, (struct str){ head, sizeof(head) });
    buf_add(bundle, entry);
}

bool bundle_cut(struct str *bundle, struct str *entry)
{
    size_t len = 0;

    if (bundle->len < BUNDLE_HEAD_LEN)
        return false;
    len = (size_t)(uint8_t)bundle->data[0] << 8 | (uint8_t)bundle->data[1];
    if (len > STORE_ENTRY_MAX || len > bundle->len - BUNDLE_HEAD_LEN)
        return false;
    *entry = str_slice(*bundle, BUNDLE_HEAD_LEN, len);
    *bundle = str_slice(*bundle, BUNDLE_HEAD_LEN + len, bundle->len);
    return true;
}
