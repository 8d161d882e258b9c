#include <stdlib.h>
#include <string.h>

#include "upstream/host_internal.h"

static struct upstream_host *host_new(struct str name)
{
    struct upstream_host *host = calloc(1, sizeof(*host) + name.len);

    if (host == NULL)
        return NULL;
    host->name_len = name.len;
    memcpy(host->name, name.data, name.len);
    return host;
}

struct upstream_host *upstream_host_take(struct upstream_host **hosts, struct str name)
{
    struct upstream_host *host = *hosts;

    while (host != NULL && !str_eq(name, (struct str){ host->name, host->name_len }))
        host = host->next;
    if (host != NULL)
        return host;
    host = host_new(name);
    if (host != NULL) {
        host->next = *hosts;
        *hosts = host;
    }
    return host;
}

void upstream_host_drop(struct upstream_host **hosts, struct upstream_host *host)
{
    struct upstream_host **at = hosts;

    if (host->request_count > 0)
        return;
    while (*at != host)
        at = &(*at)->next;
    *at = host->next;
    free(host);
}

void upstream_host_wait(struct transfer *transfer)
{
    struct upstream_host *host = transfer->host;

    transfer->waiting_next = NULL;
    transfer->waiting_previous = host->waiting_last;
    if (host->waiting_last != NULL)
        host->waiting_last->waiting_next = transfer;
    else
        host->waiting = transfer;
    host->waiting_last = transfer;
}

void upstream_host_unwait(struct transfer *transfer)
{
    struct upstream_host *host = transfer->host;

    if (transfer->waiting_next != NULL)
        transfer->waiting_next->waiting_previous = transfer->waiting_previous;
    else
        host->waiting_last = transfer->waiting_previous;
    if (transfer->waiting_previous != NULL)
        transfer->waiting_previous->waiting_next = transfer->waiting_next;
    else
        host->waiting = transfer->waiting_next;
}
