#include "exchange/rules.h"

#include <pthread.h>
#include <stdlib.h>

#include "identity/identity.h"
#include "policy/policy.h"
#include "targets/target.h"

struct rules_table {
    pthread_mutex_t lock;
    struct rules *current; /* guarded by lock; one reference */
    struct rules *ended;   /* guarded by lock; a list of those without any */
};

static void rules_free(struct rules *rules)
{
    identity_unref(rules->identity);
    identity_unref(rules->people_identity);
    policy_unref(rules->policy);
    policy_unref(rules->shadow);
    if (rules->release)
        rules->release(rules->owner);
    free(rules);
}

const struct target *rules_target(const struct rules *rules, struct str name)
{
    for (size_t i = 0; i < rules->target_count; i++)
        if (str_eq(rules->targets[i].name, name))
            return &rules->targets[i];
    return NULL;
}

struct rules_table *rules_table_new(struct rules *take_first)
{
    struct rules_table *table = calloc(1, sizeof(*table));

    if (!table)
        return NULL;
    if (pthread_mutex_init(&table->lock, NULL) != 0) {
        free(table);
        return NULL;
    }
    take_first->reference_count = 1;
    table->current = take_first;
    return table;
}

void rules_table_free(struct rules_table *table)
{
    if (!table)
        return;
    rules_put(table, table->current);
    rules_reap(table);
    (void)pthread_mutex_destroy(&table->lock); /* nobody holds it any more */
    free(table);
}

struct rules *rules_get(struct rules_table *table)
{
    struct rules *rules;

    pthread_mutex_lock(&table->lock);
    rules = table->current;
    rules->reference_count++;
    pthread_mutex_unlock(&table->lock);
    return rules;
}

void rules_put(struct rules_table *table, struct rules *rules)
{
    pthread_mutex_lock(&table->lock);
    if (--rules->reference_count == 0) {
        rules->next = table->ended;
        table->ended = rules;
    }
    pthread_mutex_unlock(&table->lock);
}

void rules_reap(struct rules_table *table)
{
    struct rules *ended;

    pthread_mutex_lock(&table->lock);
    ended = table->ended;
    table->ended = NULL;
    pthread_mutex_unlock(&table->lock);
    while (ended) {
        struct rules *next = ended->next;

        rules_free(ended);
        ended = next;
    }
}

void rules_swap(struct rules_table *table, struct rules *take_next)
{
    struct rules *previous;

    take_next->reference_count = 1;
    pthread_mutex_lock(&table->lock);
    previous = table->current;
    table->current = take_next;
    pthread_mutex_unlock(&table->lock);
    rules_put(table, previous);
}
