#include "ledger/revoked_tokens.h"

#include <stdlib.h>
#include <string.h>

struct revoked_tokens {
    struct revoked_token_list **lists; /* by number */
    size_t count;
    size_t capacity;
    size_t token_count;
};

struct revoked_tokens *revoked_tokens_new(void)
{
    return calloc(1, sizeof(struct revoked_tokens));
}

void revoked_tokens_free(struct revoked_tokens *tokens)
{
    if (tokens == NULL)
        return;
    for (size_t i = 0; i < tokens->count; i++)
        free(tokens->lists[i]);
    free(tokens->lists);
    free(tokens);
}

/* Where the first list is whose number is not below. */
static size_t find(const struct revoked_tokens *tokens, uint64_t number)
{
    size_t low = 0;
    size_t high = tokens->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (tokens->lists[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct revoked_tokens *tokens, size_t place, uint64_t number)
{
    return place < tokens->count && tokens->lists[place]->number == number;
}

static bool grow(struct revoked_tokens *tokens)
{
    size_t capacity = tokens->capacity == 0 ? 16 : 2 * tokens->capacity;
    struct revoked_token_list **lists;

    if (tokens->count < tokens->capacity)
        return true;
    lists =
        realloc(tokens->lists, capacity * sizeof(*lists)); /* NOLINT(bugprone-sizeof-expression) */
    if (lists == NULL)
        return false;
    tokens->lists = lists;
    tokens->capacity = capacity;
    return true;
}

static bool insert(struct revoked_tokens *tokens, size_t place, uint64_t number)
{
    struct revoked_token_list *list;

    if (!grow(tokens))
        return false;
    list = calloc(1, sizeof(*list));
    if (list == NULL)
        return false;
    list->number = number;
    for (size_t i = tokens->count; i > place; i--)
        tokens->lists[i] = tokens->lists[i - 1];
    tokens->lists[place] = list;
    tokens->count++;
    return true;
}

bool revoked_tokens_add(struct revoked_tokens *tokens, const struct token_status *status)
{
    size_t place = find(tokens, status->list);
    uint8_t bit = (uint8_t)(1U << (status->index % 8));
    struct revoked_token_list *list;

    if (!is_at(tokens, place, status->list) && !insert(tokens, place, status->list))
        return false;
    list = tokens->lists[place];
    if ((list->bits[status->index / 8] & bit) != 0)
        return true;
    list->bits[status->index / 8] |= bit;
    list->count++;
    tokens->token_count++;
    return true;
}

const struct revoked_token_list *revoked_tokens_list(const struct revoked_tokens *tokens,
                                                     uint64_t number)
{
    size_t place = find(tokens, number);

    return is_at(tokens, place, number) ? tokens->lists[place] : NULL;
}

void revoked_tokens_forget(struct revoked_tokens *tokens, uint64_t number)
{
    size_t gone = find(tokens, number);

    for (size_t i = 0; i < gone; i++) {
        tokens->token_count -= tokens->lists[i]->count;
        free(tokens->lists[i]);
    }
    tokens->count -= gone;
    for (size_t i = 0; i < tokens->count; i++)
        tokens->lists[i] = tokens->lists[i + gone];
}

size_t revoked_tokens_count(const struct revoked_tokens *tokens)
{
    return tokens->token_count;
}
