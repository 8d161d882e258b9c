#include "ledger/proposals.h"

#include <stdlib.h>

bool proposals_init(struct proposals *proposals)
{
    *proposals = (struct proposals){ 0 };
    return pthread_mutex_init(&proposals->lock, NULL) == 0;
}

void proposals_release(struct proposals *proposals)
{
    while (proposals->first != NULL) {
        struct store_proposal *proposal = proposals->first;

        proposals->first = proposal->next;
        free(proposal);
    }
    (void)pthread_mutex_destroy(&proposals->lock);
}

static struct store_proposal *take_kept(struct proposals *proposals)
{
    struct store_proposal *proposal = NULL;

    (void)pthread_mutex_lock(&proposals->lock);
    proposal = proposals->first;
    if (proposal != NULL) {
        proposals->first = proposal->next;
        proposals->count--;
    }
    (void)pthread_mutex_unlock(&proposals->lock);
    return proposal;
}

/* Without the entries that it does not have. */
static struct store_proposal *make(size_t entry_count)
{
    return calloc(1, offsetof(struct store_proposal, entries) +
                         entry_count * sizeof(struct store_entry));
}

struct store_proposal *proposals_take(struct proposals *proposals, size_t entry_count)
{
    struct store_proposal *proposal = entry_count == 1 ? take_kept(proposals) : NULL;

    if (proposal == NULL)
        proposal = make(entry_count);
    if (proposal == NULL)
        return NULL;
    proposal->entry_count = entry_count;
    proposal->guard_count = 0;
    proposal->next = NULL;
    for (size_t i = 0; i < entry_count; i++) {
        proposal->entries[i].private_part = (struct str){ 0 };
        proposal->entries[i].change_count = 0;
    }
    return proposal;
}

void proposals_give(struct proposals *proposals, struct store_proposal *take_proposal)
{
    bool is_kept = false;

    if (take_proposal == NULL)
        return;
    if (take_proposal->entry_count == 1) {
        (void)pthread_mutex_lock(&proposals->lock);
        is_kept = proposals->count < PROPOSALS_KEPT;
        if (is_kept) {
            take_proposal->next = proposals->first;
            proposals->first = take_proposal;
            proposals->count++;
        }
        (void)pthread_mutex_unlock(&proposals->lock);
    }
    if (!is_kept)
        free(take_proposal);
}
