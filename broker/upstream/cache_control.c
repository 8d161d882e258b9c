#include "upstream/cache_control_internal.h"

/* -1 where the directive says nothing of an answer's life. */
static int64_t directive_max_age_s(struct str directive)
{
    struct str name;
    struct str value;
    int64_t seconds = -1;

    str_cut(directive, '=', &name, &value);
    name = str_trim(name);
    value = str_trim(value);
    if (str_eq_ignore_case(name, STR("no-store")) || str_eq_ignore_case(name, STR("no-cache")))
        return 0;
    if (!str_eq_ignore_case(name, STR("max-age")))
        return -1;
    if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"')
        value = str_slice(value, 1, value.len - 2);
    return str_to_int64(value, &seconds) && seconds >= 0 ? seconds : -1;
}

int64_t cache_control_max_age_s(struct str value)
{
    int64_t least_s = -1;

    while (value.len > 0) {
        struct str directive;
        int64_t seconds;

        str_cut(value, ',', &directive, &value);
        seconds = directive_max_age_s(directive);
        if (seconds >= 0 && (least_s < 0 || seconds < least_s))
            least_s = seconds;
    }
    return least_s;
}
