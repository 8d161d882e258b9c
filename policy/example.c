#include "policy/example.h"

#include <inttypes.h>

#include "base/json.h"
#include "base/network.h"
#include "base/time_text.h"
#include "policy/policy_internal.h"
#include "policy/prove.h"

static const struct {
    enum policy_proof bit;
    const char *name;
} proofs[] = {
    { POLICY_PROOF_DPOP, "dpop" },
    { POLICY_PROOF_MTLS, "mtls" },
    { POLICY_PROOF_KEY, "key" },
};

/* ---- text ---- */

/* A text that would read as something else is in quotes. */
static void add_text(struct str text, struct buf *out)
{
    int64_t number;
    bool is_other = str_eq(text, STR("true")) || str_eq(text, STR("false")) ||
                    str_eq(text, STR("null")) || str_to_int64(text, &number);

    if (is_other)
        buf_printf(out, "\"" STR_FMT "\"", STR_ARG(text));
    else
        policy_value_describe(text, out);
}

static void add_value(const json_t *value, struct buf *out);

static void add_object(const json_t *object, struct buf *out)
{
    const char *before = "";
    const char *name;
    json_t *value;

    buf_add_text(out, "{");
    json_object_foreach (json_iterable(object), name, value) {
        buf_add_text(out, before);
        policy_value_describe(str_from(name), out);
        buf_add_text(out, ": ");
        add_value(value, out);
        before = ", ";
    }
    buf_add_text(out, "}");
}

static void add_array(const json_t *array, struct buf *out)
{
    buf_add_text(out, "[");
    for (size_t i = 0; i < json_array_size(array); i++) {
        buf_add_text(out, i > 0 ? ", " : "");
        add_value(json_array_get(array, i), out);
    }
    buf_add_text(out, "]");
}

/* Examples are no deeper than the conditions' pointers. */
static void add_value(const json_t *value, struct buf *out)
{
    if (json_is_object(value))
        add_object(value, out);
    else if (json_is_array(value))
        add_array(value, out);
    else if (json_is_string(value))
        add_text(json_str(value), out);
    else
        buf_add_json(out, value);
}

static void add_proofs(unsigned bits, struct buf *out)
{
    const char *before = ", proof ";

    for (size_t i = 0; i < COUNT(proofs); i++)
        if ((bits & proofs[i].bit) != 0) {
            buf_printf(out, "%s%s", before, proofs[i].name);
            before = " and ";
        }
}

void proof_example_write(const struct proof_example *example, struct buf *out)
{
    char address[ADDRESS_TEXT_MAX];
    char time[TIME_TEXT_S_LEN + 1];

    buf_add(out, example->issuer);
    buf_add_text(out, " ");
    add_object(example->claims, out);
    if (example->ci != NULL) {
        buf_add_text(out, ", ci ");
        add_object(example->ci, out);
    }
    if (example->actor != NULL) {
        buf_add_text(out, ", actor ");
        add_object(example->actor, out);
    }
    if (example->address.len > 0) {
        address_text(&example->address, address);
        buf_printf(out, ", from %s", address);
    }
    add_proofs(example->proofs, out);
    if (example->time_s != 0) {
        time_text_s(example->time_s, time);
        buf_printf(out, ", at %s", time);
    }
}

/* ---- JSON ---- */

static bool put_copy(json_t *json, const char *name, const json_t *value)
{
    return value == NULL || json_put(json, name, json_deep_copy(value));
}

static bool put_proofs(json_t *json, unsigned bits)
{
    json_t *list = json_array();

    if (!json_put(json, "proof", list))
        return false;
    for (size_t i = 0; i < COUNT(proofs); i++)
        if ((bits & proofs[i].bit) != 0 &&
            json_array_append_new(list, json_string(proofs[i].name)) != 0)
            return false;
    return true;
}

static bool fill(const struct proof_example *example, json_t *json)
{
    char address[ADDRESS_TEXT_MAX] = "";
    char time[TIME_TEXT_S_LEN + 1];

    if (example->address.len > 0)
        address_text(&example->address, address);
    time_text_s(example->time_s, time);
    return json_put(json, "issuer", json_from_str(example->issuer)) &&
           json_put(json, "claims", json_deep_copy(example->claims)) &&
           put_copy(json, "ci", example->ci) && put_copy(json, "actor", example->actor) &&
           (example->address.len == 0 || json_put(json, "address", json_string(address))) &&
           (example->proofs == 0 || put_proofs(json, example->proofs)) &&
           (example->time_s == 0 || json_put(json, "at", json_string(time)));
}

json_t *proof_example_json(const struct proof_example *example)
{
    json_t *json = json_object();

    if (fill(example, json))
        return json;
    json_decref(json);
    return NULL;
}
