#include <inttypes.h>

#include "base/json.h"
#include "base/time_text.h"
#include "policy/policy_internal.h"

/* What stands without quotes: no list, operator or number of values can be read into it. */
#define PLAIN_SET "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/:@*+%#=~{}$"

void policy_value_describe(struct str value, struct buf *out)
{
    if (value.len > 0 && str_is_made_of(value, PLAIN_SET)) {
        buf_add(out, value);
        return;
    }
    buf_add_byte(out, '"');
    buf_add_json_text(out, value);
    buf_add_byte(out, '"');
}

static void add_value(const struct policy_condition *condition, const struct policy_values *values,
                      size_t index, struct buf *out)
{
    if (values->texts != NULL)
        policy_value_describe(values->texts[index], out);
    else if (condition->type == POLICY_BOOLEAN)
        buf_add_text(out, values->integers[index] != 0 ? "true" : "false");
    else
        buf_printf(out, "%" PRId64, values->integers[index]);
}

static void add_values(const struct policy_condition *condition, const struct policy_values *values,
                       size_t max, struct buf *out)
{
    if (values->set != NULL) {
        buf_add_text(out, "in ");
        buf_add(out, *values->set);
        return;
    }
    if (values->count > 1)
        buf_add_text(out, "one of ");
    for (size_t i = 0; i < values->count && i < max; i++) {
        buf_add_text(out, i > 0 ? ", " : "");
        add_value(condition, values, i, out);
    }
    if (values->count > max)
        buf_printf(out, " ... (%zu in all)", values->count);
}

void policy_networks_describe(const struct network *list, size_t count, size_t max, struct buf *out)
{
    buf_add_text(out, "within ");
    for (size_t i = 0; i < count && i < max; i++) {
        char base[ADDRESS_TEXT_MAX];

        address_text(&list[i].base, base);
        buf_printf(out, "%s%s/%u", i > 0 ? ", " : "", base, (unsigned)list[i].bits);
    }
    if (count > max)
        buf_printf(out, " ... (%zu in all)", count);
}

static void add_time(const struct policy_test *test, struct buf *out)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(test->time_s, text);
    buf_printf(out, "%s %s", test->operation == POLICY_BEFORE ? "before" : "after", text);
}

static void add_test(const struct policy_condition *condition, const struct policy_test *test,
                     size_t max, struct buf *out)
{
    if (test->is_negated)
        buf_add_text(out, "not ");
    switch (test->operation) {
    case POLICY_ONE_OF:
        add_values(condition, &test->values, max, out);
        break;
    case POLICY_LIKE:
        buf_add_text(out, "like ");
        policy_value_describe(test->glob->text, out);
        break;
    case POLICY_EXISTS:
        buf_add_text(out, "present");
        break;
    case POLICY_ABSENT:
        buf_add_text(out, "absent");
        break;
    case POLICY_BEFORE:
    case POLICY_AFTER:
        add_time(test, out);
        break;
    case POLICY_WITHIN:
        policy_networks_describe(test->networks.list, test->networks.count, max, out);
        break;
    }
}

void policy_condition_describe(const struct policy_condition *condition, size_t values_max,
                               struct buf *out)
{
    for (size_t i = 0; i < condition->test_count; i++) {
        buf_add_text(out, i > 0 ? " and " : "");
        add_test(condition, &condition->tests[i], values_max, out);
    }
}

struct position policy_spot_position(struct policy_spot spot, struct str file,
                                     const struct policy_stage_rule *stage)
{
    struct position at = { file, spot.line, spot.column };

    if (spot.is_of_template)
        at.file = stage->template_at->file;
    return at;
}

struct position policy_stage_position(const struct policy_stage_rule *stage)
{
    return policy_spot_position(stage->spot, stage->pipeline->file, stage);
}
