/*
 * Work goes by chunks of entries, from the newest to the oldest, and in a chunk entry by entry:
 * each is read, looked at without parsing, parsed, and held against the query.
 */
#include "ledger/search.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/network.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "ledger/projection.h"
#include "store/index.h"
#include "store/store.h"

static const struct json_limits private_limits = { (size_t)64 * 1024, 32, 4096 };

#define SCOPES_MAX (SEARCH_NAMES_MAX / INDEX_TERM_KEYS_MAX + LEDGER_FIELD_COUNT)

/* Some names of one field, of which an entry has one that may be seen; and how far they are. */
struct scope {
    struct index_term term;
    uint64_t keys[INDEX_TERM_KEYS_MAX];
    struct index_search at;
};

/* One page under way. */
struct page {
    struct ledger_search *search;
    struct error *error;
    size_t found;
    size_t reads;
    size_t skips; /* entries whose bytes showed already that they do not fit */
    bool is_hinted;
    uint64_t hinted; /* the place that the reader was told last */
    uint64_t oldest; /* entries below it are too old, or not asked for */

    struct index_term terms[LEDGER_FIELD_COUNT];
    uint64_t keys[LEDGER_FIELD_COUNT][QUERY_VALUES_MAX];
    size_t term_count;
    struct index_search lookup;

    struct scope scopes[SCOPES_MAX];
    size_t scope_count;
    size_t lookups; /* as they are charged, in scopes */
};

/* ---- one entry ---- */

/* An entry that is held against the query: parsed when its bytes may fit. */
struct candidate {
    struct str bytes;
    struct str private_part;
    json_t *entry;
    json_t *private_json;
};

static void candidate_release(struct candidate *candidate)
{
    json_decref(candidate->entry);
    json_decref(candidate->private_json);
}

OWNED_VALUE(candidate_release, struct candidate)

static bool read_entry(const struct page *page, uint64_t index, struct candidate *candidate)
{
    return store_reader_get(page->search->reader, index, &candidate->bytes,
                            &candidate->private_part, page->error);
}

/* Without memory it is an error; what does not parse fits nothing. */
static bool parse(const struct page *page, struct candidate *candidate)
{
    const struct ledger_search *search = page->search;
    enum search_access access = SEARCH_ALL;
    struct error why = { 0 };

    if (!entry_parse(candidate->bytes, &candidate->entry, &why))
        return why.code != ERROR_MEMORY || error_set(page->error, ERROR_MEMORY, "search");
    if (search->access)
        access = search->access(candidate->entry, search->context);
    if (access == SEARCH_HIDDEN) {
        json_decref(candidate->entry);
        candidate->entry = NULL;
    }
    if (access != SEARCH_ALL)
        candidate->private_part = (struct str){ 0 };
    if (candidate->private_part.len == 0)
        return true;
    why = (struct error){ 0 };
    return json_parse_object(candidate->private_part, private_limits, &candidate->private_json,
                             &why) ||
           why.code != ERROR_MEMORY || error_set(page->error, ERROR_MEMORY, "search");
}

static bool show(struct page *page, uint64_t index, const struct candidate *candidate)
{
    const struct search_hit hit = { index, candidate->bytes, candidate->entry,
                                    candidate->private_part };

    page->found++;
    return page->search->visit(&hit, page->search->context, page->error);
}

/* Whoever may not see everything is not told by a page's end, or by how long it took, whether what
 * they look for stands in what is hidden from them: of each entry it is asked first what they may
 * see. */
static bool can_skip(const struct page *page, const struct candidate *candidate)
{
    return page->search->access == NULL &&
           !query_may_match(page->search->query, candidate->bytes, candidate->private_part);
}

static bool look_at(struct page *page, uint64_t index)
{
    OWNED(candidate_release) struct candidate candidate = { 0 };
    const struct ledger_query *query = page->search->query;

    page->search->before = index;
    if (!read_entry(page, index, &candidate))
        return false;
    if (can_skip(page, &candidate)) {
        page->skips++;
        return true;
    }
    page->reads++;
    if (!parse(page, &candidate))
        return false;
    return !candidate.entry || !query_matches(query, candidate.entry, candidate.private_json) ||
           show(page, index, &candidate);
}

/* ---- a chunk ---- */

static bool has_bit(const struct index_bits *bits, unsigned at)
{
    return (bits->bytes[at / 8] & 1U << at % 8) != 0;
}

/* Tell the reader where an entry is, unless it was told of one near to it. */
static bool hint_place(struct page *page, uint64_t index)
{
    struct index_place place;
    bool is_known = false;

    if (!page->search->index ||
        (page->is_hinted && index >= page->hinted && index - page->hinted < INDEX_PLACE_ENTRIES))
        return true;
    if (!store_index_place(page->search->index, index, &place, &is_known, page->error))
        return false;
    page->is_hinted = true;
    page->hinted = index - index % INDEX_PLACE_ENTRIES;
    if (is_known)
        store_reader_hint(page->search->reader,
                          &(struct store_place){ place.first_index, place.segment, place.offset });
    return true;
}

static bool is_full(const struct page *page)
{
    return page->found >= page->search->limit;
}

static bool is_spent(const struct page *page)
{
    return is_full(page) ||
           page->reads + page->skips / SEARCH_SKIPS_A_READ >= page->search->reads_max;
}

/* Its candidates from new to old, as far as the page goes. */
static bool do_chunk(struct page *page, uint64_t chunk, const struct index_bits *bits)
{
    uint64_t first = chunk * INDEX_CHUNK_ENTRIES;

    for (unsigned i = INDEX_CHUNK_ENTRIES; i-- > 0;) {
        if (!has_bit(bits, i) || first + i < page->oldest || first + i >= page->search->before)
            continue;
        if (is_spent(page))
            return true;
        if (!hint_place(page, first + i) || !look_at(page, first + i))
            return false;
    }
    if (page->search->before > first)
        page->search->before = first;
    return true;
}

/* ---- without an index ---- */

/* Down to entry `end`, chunk by chunk. */
static bool scan(struct page *page, uint64_t end)
{
    struct ledger_search *search = page->search;

    while (search->before > end && !is_spent(page)) {
        uint64_t chunk = (search->before - 1) / INDEX_CHUNK_ENTRIES;
        uint64_t first = chunk * INDEX_CHUNK_ENTRIES;
        struct index_bits bits;

        for (unsigned i = 0; i < INDEX_CHUNK_ENTRIES; i++) {
            if (i % 8 == 0)
                bits.bytes[i / 8] = 0;
            if (first + i >= end && first + i < search->before)
                bits.bytes[i / 8] |= (uint8_t)(1U << i % 8);
        }
        if (!do_chunk(page, chunk, &bits))
            return false;
        if (search->before < end)
            search->before = end;
    }
    return true;
}

/* ---- with an index ---- */

static bool is_range(struct str value)
{
    return str_find(value, '/') < value.len;
}

/* A range of addresses is no key: it is looked for among what else fits. */
static void add_term(struct page *page, enum ledger_field field)
{
    const struct query_values *wanted = &page->search->query->fields[field];
    uint64_t *keys = page->keys[page->term_count];

    for (size_t i = 0; i < wanted->count; i++) {
        struct address address;
        char text[ADDRESS_TEXT_MAX];
        struct str value = wanted->values[i];

        if (field == LEDGER_FIELD_ADDRESS && is_range(value))
            return;
        if (field == LEDGER_FIELD_ADDRESS && address_parse(value, &address)) {
            address_text(&address, text);
            value = str_from(text);
        }
        keys[i] = projection_key(value);
    }
    page->terms[page->term_count++] = (struct index_term){ (uint8_t)field, keys, wanted->count };
}

/* Where who a person is may be hidden, nobody is told by the index which entries are of whom. */
static void make_terms(struct page *page)
{
    const struct ledger_search *search = page->search;

    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++)
        if (search->query->fields[i].count > 0 && (!search->access || search->sees_persons ||
                                                   !query_field((enum ledger_field)i)->is_personal))
            add_term(page, (enum ledger_field)i);
}

static bool look_up(struct page *page)
{
    struct ledger_search *search = page->search;
    struct index_search *lookup = &page->lookup;

    *lookup = (struct index_search){
        .terms = page->terms,
        .term_count = page->term_count,
        .chunk = (search->before - 1) / INDEX_CHUNK_ENTRIES,
        .oldest = page->oldest / INDEX_CHUNK_ENTRIES,
        .budget = search->lookups_max,
    };
    while (!lookup->is_over && !is_spent(page)) {
        uint64_t reached;

        if (!store_index_search(search->index, lookup, page->error))
            return false;
        if (lookup->has_found && !do_chunk(page, lookup->found_chunk, &lookup->found))
            return false;
        reached = lookup->is_over ? page->oldest : (lookup->chunk + 1) * INDEX_CHUNK_ENTRIES;
        if (!is_spent(page) && reached < search->before)
            search->before = reached;
        if (!lookup->has_found && !lookup->is_over)
            return true; /* the budget is used up */
    }
    return true;
}

/* ---- with an index, for whoever may not see everything ---- */

/*
 * Chunks are visited as the names have them that make an entry visible, and only then is it asked
 * which of these entries fit. Each chunk is charged alike, whatever the index answers: so what is
 * not visible changes neither where a page ends nor, but for what a look-up takes, how long it
 * took.
 */

/* One of a field that has room. */
static struct scope *scope_for(struct page *page, enum ledger_field field)
{
    struct scope *scope = page->scopes;

    while (scope < page->scopes + page->scope_count &&
           (scope->term.space != field || scope->term.key_count == INDEX_TERM_KEYS_MAX))
        scope++;
    if (scope == page->scopes + page->scope_count) {
        page->scope_count++;
        scope->term = (struct index_term){ (uint8_t)field, scope->keys, 0 };
    }
    return scope;
}

static void make_scopes(struct page *page)
{
    const struct ledger_search *search = page->search;

    for (size_t i = 0; i < search->name_count; i++) {
        const struct search_name *name = &search->names[i];
        struct scope *scope = scope_for(page, name->field);

        scope->keys[scope->term.key_count++] = projection_key(name->value);
    }
    for (size_t i = 0; i < page->scope_count; i++)
        page->scopes[i].at = (struct index_search){
            .terms = &page->scopes[i].term,
            .term_count = 1,
            .chunk = (search->before - 1) / INDEX_CHUNK_ENTRIES,
            .oldest = page->oldest / INDEX_CHUNK_ENTRIES,
        };
}

static bool find_next(struct page *page, struct scope *scope)
{
    while (!scope->at.has_found && !scope->at.is_over) {
        scope->at.budget = scope->term.key_count;
        page->lookups += scope->term.key_count;
        if (!store_index_search(page->search->index, &scope->at, page->error))
            return false;
    }
    return true;
}

/* The newest chunk that a scope has, and what all of them have in it; none: no bit is set. */
static bool next_visible(struct page *page, uint64_t *chunk, struct index_bits *bits)
{
    *chunk = 0;
    *bits = (struct index_bits){ { 0 } };
    for (size_t i = 0; i < page->scope_count; i++) {
        const struct index_search *at = &page->scopes[i].at;

        if (!find_next(page, &page->scopes[i]))
            return false;
        if (at->has_found && at->found_chunk > *chunk)
            *chunk = at->found_chunk;
    }
    for (size_t i = 0; i < page->scope_count; i++) {
        struct index_search *at = &page->scopes[i].at;

        if (!at->has_found || at->found_chunk != *chunk)
            continue;
        for (size_t byte = 0; byte < INDEX_BITS_LEN; byte++)
            bits->bytes[byte] |= at->found.bytes[byte];
        at->has_found = false;
    }
    return true;
}

/* What of a chunk fits what is asked for, too. */
static bool narrow(struct page *page, uint64_t chunk, struct index_bits *bits)
{
    struct index_search fits = {
        .terms = page->terms,
        .term_count = page->term_count,
        .chunk = chunk,
        .oldest = chunk,
    };

    if (page->term_count == 0)
        return true;
    for (size_t i = 0; i < page->term_count; i++)
        fits.budget += page->terms[i].key_count;
    page->lookups += fits.budget;
    if (!store_index_search(page->search->index, &fits, page->error))
        return false;
    for (size_t i = 0; i < INDEX_BITS_LEN; i++)
        bits->bytes[i] &= fits.has_found ? fits.found.bytes[i] : 0;
    return true;
}

static bool has_any(const struct index_bits *bits)
{
    for (size_t i = 0; i < INDEX_BITS_LEN; i++)
        if (bits->bytes[i] != 0)
            return true;
    return false;
}

static bool look_up_visible(struct page *page)
{
    struct ledger_search *search = page->search;
    struct index_bits bits;
    uint64_t chunk;

    make_scopes(page);
    do {
        if (!next_visible(page, &chunk, &bits))
            return false;
        if (!has_any(&bits)) {
            search->before = page->oldest;
            return true;
        }
        if (!narrow(page, chunk, &bits) || !do_chunk(page, chunk, &bits))
            return false;
    } while (!is_spent(page) && page->lookups < search->lookups_max);
    return true;
}

/* ---- where it begins and ends ---- */

/* An entry that does not say when it was counts as new: nothing is left out by it. */
static bool is_older(struct str bytes, int64_t time_ms)
{
    JSON_OWNED json_t *entry = NULL;
    struct error ignored = { 0 };
    int64_t found_ms = 0;

    if (store_entry_is_pruned(bytes))
        return true; /* only the oldest are */
    return entry_parse(bytes, &entry, &ignored) &&
           time_text_parse(json_str(json_object_get(entry, "time")), &found_ms) &&
           found_ms < time_ms;
}

/* The first entry that is not older than a time: between two places that the index knows, or by
 * halving what it does not. */
static bool find_time(struct page *page, int64_t time_ms, uint64_t *found)
{
    uint64_t low = 0;
    uint64_t high = store_reader_size(page->search->reader);

    if (page->search->index) {
        if (!store_index_before_time(page->search->index, time_ms, &low, page->error))
            return false;
        if (low + (uint64_t)2 * INDEX_PLACE_ENTRIES < page->search->indexed)
            high = low + (uint64_t)2 * INDEX_PLACE_ENTRIES;
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct candidate candidate = { 0 };

        if (!hint_place(page, middle) || !read_entry(page, middle, &candidate))
            return false;
        if (is_older(candidate.bytes, time_ms))
            low = middle + 1;
        else
            high = middle;
    }
    *found = low;
    return true;
}

static bool set_bounds(struct page *page)
{
    struct ledger_search *search = page->search;
    const struct ledger_query *query = search->query;
    uint64_t end = store_reader_size(search->reader);
    uint64_t since = 0;

    if (search->before > end)
        search->before = end;
    if (query->until_ms != 0 && !find_time(page, query->until_ms, &end))
        return false;
    if (search->before > end)
        search->before = end;
    if (query->since_ms != 0 && !find_time(page, query->since_ms, &since))
        return false;
    page->oldest = since > search->from ? since : search->from;
    return true;
}

static bool run(struct page *page)
{
    struct ledger_search *search = page->search;
    uint64_t indexed = search->index ? search->indexed : 0;

    if (!set_bounds(page))
        return false;
    make_terms(page);
    if (!search->index || (search->access ? !search->names || search->name_count > SEARCH_NAMES_MAX
                                          : page->term_count == 0))
        indexed = 0;
    if (!scan(page, indexed > page->oldest ? indexed : page->oldest))
        return false;
    if (indexed > page->oldest && search->before > page->oldest && search->before <= indexed &&
        !is_spent(page) && !(search->access ? look_up_visible(page) : look_up(page)))
        return false;
    search->is_over = search->before <= page->oldest;
    return true;
}

bool ledger_search_next(struct ledger_search *search, struct error *error)
{
    struct page *page = calloc(1, sizeof(*page));
    bool is_good;

    if (!page)
        return error_set(error, ERROR_MEMORY, "search");
    page->search = search;
    page->error = error;
    is_good = run(page);
    free(page);
    return is_good;
}
