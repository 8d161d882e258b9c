#include <pthread.h>
#include <stdlib.h>

#include "base/json_walk.h"
#include "base/time_text.h"
#include "ledger/entry_internal.h"

#define MEMBERS_MAX 64

/* The members by their names, as they follow each other in an entry. */
struct sorted_member {
    struct str name;
    uint64_t head; /* str_head() of it */
    entry_text_form fits;
    uint64_t bit;
};

static pthread_once_t sorted_once = PTHREAD_ONCE_INIT;
static struct sorted_member sorted[MEMBERS_MAX]; /* set under sorted_once, immutable afterwards */
static size_t sorted_count;

static int compare(const void *left, const void *right)
{
    const struct sorted_member *a = left;
    const struct sorted_member *b = right;

    return str_compare(a->name, b->name);
}

static void sort_members(void)
{
    sorted_count = entry_member_count();
    for (size_t i = 0; i < sorted_count && i < MEMBERS_MAX; i++) {
        struct str name = str_from(entry_member_name(i));

        sorted[i] = (struct sorted_member){ name, str_head(name, name.data + name.len),
                                            entry_member_form(i), UINT64_C(1) << i };
    }
    qsort(sorted, sorted_count, sizeof(*sorted), compare);
}

/* ---- forms ---- */

/* A string's text: what the walk gave is one, or something else as a whole. */
static bool inside(struct str value, struct str *text)
{
    if (value.len < 2 || value.data[0] != '"')
        return false;
    *text = (struct str){ value.data + 1, value.len - 2 };
    return true;
}

bool entry_text_is_text(struct str value)
{
    return value.len > 0 && value.data[0] == '"';
}

bool entry_text_is_object(struct str value)
{
    return value.len > 0 && value.data[0] == '{';
}

bool entry_text_is_list(struct str value)
{
    return value.len > 0 && value.data[0] == '[';
}

bool entry_text_is_count(struct str value)
{
    return value.len > 0 && value.data[0] >= '0' && value.data[0] <= '9';
}

bool entry_text_is_id(struct str value)
{
    struct str text;

    return inside(value, &text) && id_is_valid(text);
}

bool entry_text_is_time(struct str value)
{
    int64_t wall_ms = 0;
    struct str text;

    return inside(value, &text) && time_text_parse(text, &wall_ms);
}

bool entry_text_is_entry_time(struct str value)
{
    struct str text;

    return inside(value, &text) && text.len == TIME_TEXT_MS_LEN;
}

/* The high bit of each of eight ASCII bytes that is a digit of lower-case hex. */
static uint64_t hex_digits(uint64_t eight)
{
    uint64_t is_number = (eight + EACH_BYTE(0x80 - '0')) & ~(eight + EACH_BYTE(0x7f - '9'));
    uint64_t is_letter = (eight + EACH_BYTE(0x80 - 'a')) & ~(eight + EACH_BYTE(0x7f - 'f'));

    return is_number | is_letter;
}

/* By eight bytes, the last of which overlap; all are looked at, which is quicker than to stop. */
bool entry_is_hex(struct str text, size_t len)
{
    uint64_t good = EACH_BYTE(0x80);

    if (text.len != len || len < sizeof(good))
        return false;
    for (size_t i = 0; i < len; i += sizeof(good)) {
        uint64_t eight;

        memcpy(&eight, text.data + (len - i < sizeof(good) ? len - sizeof(good) : i),
               sizeof(eight));
        good &= hex_digits(eight & EACH_BYTE(0x7f)) & ~eight;
    }
    return (good & EACH_BYTE(0x80)) == EACH_BYTE(0x80);
}

bool entry_text_is_flag(struct str value)
{
    return str_eq(value, STR("true"));
}

bool entry_text_is_person(struct str value)
{
    struct str text;

    return inside(value, &text) && entry_is_hex(text, (size_t)2 * STORE_PERSON_LEN);
}

bool entry_text_is_sha256(struct str value)
{
    struct str text;

    return inside(value, &text) && str_starts_with(text, STR(SHA256_PREFIX)) &&
           entry_is_hex(str_slice(text, sizeof(SHA256_PREFIX) - 1, text.len), SHA256_HEX_LEN);
}

/* A mark, until when it is one, and what a token has besides. */
struct mark {
    bool has_mark;
    bool has_exp;
    bool is_token; /* may have holder and proof */
};

static bool is_mark(struct str value);

static bool take_mark_member(void *context, struct str name, struct str value)
{
    struct mark *mark = context;
    struct str text;

    if (str_eq(name, STR("mark"))) {
        mark->has_mark = inside(value, &text) && entry_is_hex(text, SHA256_HEX_LEN);
        return mark->has_mark;
    }
    if (str_eq(name, STR("exp"))) {
        mark->has_exp = entry_text_is_count(value) && value.data[0] != '0';
        return mark->has_exp;
    }
    if (mark->is_token && str_eq(name, STR("holder")))
        return inside(value, &text) && entry_is_hex(text, (size_t)2 * STORE_HOLDER_LEN);
    return !mark->is_token || !str_eq(name, STR("proof")) || is_mark(value);
}

static bool is_mark(struct str value)
{
    struct mark mark = { 0 };

    return json_walk(value, take_mark_member, &mark) && mark.has_mark && mark.has_exp;
}

bool entry_text_is_token(struct str value)
{
    struct mark mark = { .is_token = true };

    return json_walk(value, take_mark_member, &mark) && mark.has_mark && mark.has_exp;
}

/* ---- an entry ---- */

/* The walk over one; members come in the order of their names. */
struct reading {
    size_t next; /* in `sorted` */
    uint64_t seen;
    struct str type;
    struct str time;
};

/* Most names differ in their first eight bytes already; what is no longer is the same then. */
static int compare_names(const struct sorted_member *member, struct str name, uint64_t head)
{
    if (member->head != head)
        return member->head < head ? -1 : 1;
    if (member->name.len == name.len && name.len <= sizeof(head))
        return 0;
    return str_compare(member->name, name);
}

/* NULL: there is none of this name. `value` is behind the name. */
static const struct sorted_member *find_member(struct reading *reading, struct str name,
                                               struct str value)
{
    uint64_t head = str_head(name, value.data + value.len);
    int order = 1;

    for (; reading->next < sorted_count; reading->next++) {
        order = compare_names(&sorted[reading->next], name, head);
        if (order >= 0)
            break;
    }
    return order == 0 ? &sorted[reading->next] : NULL;
}

static bool take_member(void *context, struct str name, struct str value)
{
    struct reading *reading = context;
    const struct sorted_member *member = find_member(reading, name, value);

    if (member == NULL || member->fits == NULL || !member->fits(value))
        return false;
    reading->seen |= member->bit;
    if (member->bit == UINT64_C(1) << MEMBER_TIME)
        return inside(value, &reading->time);
    return member->bit != UINT64_C(1) << MEMBER_TYPE || inside(value, &reading->type);
}

bool entry_text_check(struct str entry, struct str *time)
{
    struct reading reading = { 0 };
    enum entry_type type = ENTRY_BROKER_STARTED;

    if (pthread_once(&sorted_once, sort_members) != 0 || sorted_count > MEMBERS_MAX ||
        entry.len > STORE_ENTRY_MAX || !json_walk(entry, take_member, &reading) ||
        !entry_type_from(reading.type, &type) || !entry_type_takes(type, reading.seen))
        return false;
    *time = reading.time;
    return true;
}
