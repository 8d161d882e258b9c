#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "config/config.h"
#include "identity/examination.h"
#include "identity/identity.h"
#include "upstream/upstream.h"

#define ARENA_MAX ((size_t)16 * 1024 * 1024)
#define EXIT_UNREACHABLE 5

struct values {
    const char *config;
    size_t output;
};

static const struct values defaults = { .config = POLICY_CONFIG_DEFAULT };

static const struct option_row rows[] = {
    { .name = "config",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CONFIG",
      .help = "broker.yaml; else " POLICY_CONFIG_DEFAULT,
      .offset = offsetof(struct values, config) },
    OUTPUT_ROW(struct values, "How the result is printed"),
};

static const char *const state_names[] = {
    [EXAMINATION_NOT_REACHED] = "not reached",
    [EXAMINATION_PASSED] = "ok",
    [EXAMINATION_FAILED] = "FAILED",
};

/* What becomes of a key, and why. */

static const char *key_state(const struct examined_key *key)
{
    if (key->why.len > 0)
        return "skipped";
    return key->is_ambiguous ? "refused" : "usable";
}

static struct str key_reason(const struct examined_key *key)
{
    if (key->why.len == 0 && key->is_ambiguous)
        return STR("another usable key has this kid: tokens that name it are refused");
    return key->why;
}

static void print_key(const struct examined_key *key)
{
    struct str reason = key_reason(key);

    (void)printf("  %-12s kid ", key_state(key));
    print_clean(stdout, key->has_kid ? key->kid : STR("(none)"));
    (void)fputs(", kty ", stdout);
    print_clean(stdout, key->kty);
    if (key->crv.len > 0)
        (void)fputs(" ", stdout);
    print_clean(stdout, key->crv);
    (void)fputs(", alg ", stdout);
    print_clean(stdout, key->alg.len > 0 ? key->alg : STR("(none)"));
    if (reason.len > 0)
        (void)fputs(": ", stdout);
    print_clean(stdout, reason);
    (void)fputs("\n", stdout);
}

static int print_text(const struct examination *examination, struct str name)
{
    (void)printf("issuer " STR_FMT "\n", STR_ARG(name));
    for (size_t i = 0; i < EXAMINATION_STEP_COUNT; i++) {
        const struct examined_step *step = &examination->steps[i];

        (void)printf("  %-12s %s", state_names[step->state], step->name);
        if (step->detail.len > 0)
            (void)fputs(": ", stdout);
        print_clean(stdout, step->detail);
        (void)fputs("\n", stdout);
    }
    if (examination->key_count > 0)
        (void)fputs("keys\n", stdout);
    for (size_t i = 0; i < examination->key_count; i++)
        print_key(&examination->keys[i]);
    return report_finish();
}

static bool put_step(json_t *list, const struct examined_step *step)
{
    static const char *const names[] = {
        [EXAMINATION_NOT_REACHED] = "not_reached",
        [EXAMINATION_PASSED] = "ok",
        [EXAMINATION_FAILED] = "failed",
    };
    json_t *object = json_object();

    return object != NULL && json_array_append_new(list, object) == 0 &&
           json_put(object, "step", json_string(step->name)) &&
           json_put(object, "state", json_string(names[step->state])) &&
           json_put(object, "detail", json_from_str(step->detail));
}

static bool put_key(json_t *list, const struct examined_key *key)
{
    json_t *object = json_object();

    return object != NULL && json_array_append_new(list, object) == 0 &&
           json_put(object, "state", json_string(key_state(key))) &&
           json_put(object, "kid", key->has_kid ? json_from_str(key->kid) : json_null()) &&
           json_put(object, "kty", json_from_str(key->kty)) &&
           json_put(object, "crv", json_from_str(key->crv)) &&
           json_put(object, "alg", json_from_str(key->alg)) &&
           json_put(object, "why", json_from_str(key_reason(key)));
}

static bool put_lists(json_t *json, const struct examination *examination)
{
    json_t *steps = json_array();
    json_t *keys = json_array();
    bool is_good = json_put(json, "steps", steps);

    is_good = json_put(json, "keys", keys) && is_good;
    for (size_t i = 0; i < EXAMINATION_STEP_COUNT && is_good; i++)
        is_good = put_step(steps, &examination->steps[i]);
    for (size_t i = 0; i < examination->key_count && is_good; i++)
        is_good = put_key(keys, &examination->keys[i]);
    return is_good;
}

static int print_json(const struct examination *examination, struct str name)
{
    JSON_OWNED json_t *json = json_object();

    if (!json_put(json, "issuer", json_from_str(name)) ||
        !json_put(json, "good", json_boolean(examination->is_good)) ||
        !put_lists(json, examination))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_json(json);
}

static bool find_issuer(const struct config *config, const char *name, struct arena *arena,
                        const struct issuer_options **issuer, struct error *error)
{
    struct str *names = arena_alloc_array(arena, config->issuer_count + 1, sizeof(*names));
    struct str nearest;

    if (!names)
        return error_set(error, ERROR_MEMORY, "no memory for names");
    if (config->people && str_eq(config->people->issuer.name, str_from(name))) {
        *issuer = &config->people->issuer;
        return true;
    }
    for (size_t i = 0; i < config->issuer_count; i++) {
        names[i] = config->issuers[i].name;
        *issuer = &config->issuers[i];
        if (str_eq(names[i], str_from(name)))
            return true;
    }
    nearest = str_nearest(str_from(name), names, config->issuer_count);
    if (nearest.len > 0)
        return error_set(error, ERROR_USAGE, "there is no issuer '%s': did you mean '" STR_FMT "'?",
                         name, STR_ARG(nearest));
    return error_set(error, ERROR_USAGE, "the configuration has no issuer '%s'", name);
}

static bool examine(const struct values *values, const char *name, struct arena *arena,
                    struct diagnostics *diagnostics, struct examination *examination,
                    struct error *error)
{
    OWNED(config_unref) struct config *config = NULL;
    const struct issuer_options *issuer = NULL;
    struct upstream *upstream = NULL;
    bool is_done;

    if (!config_load(values->config, diagnostics, &config, error) ||
        !find_issuer(config, name, arena, &issuer, error) || !upstream_start(&upstream, error))
        return false;
    is_done = identity_examine(issuer, upstream, arena, examination, error);
    upstream_stop(upstream);
    return is_done;
}

static int exit_code_of(const struct examination *examination)
{
    if (examination->is_good)
        return 0;
    return examination->is_unreachable ? EXIT_UNREACHABLE : 1;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const struct values *values = given;
    struct diagnostics diagnostics = { 0 };
    struct examination examination = { 0 };
    struct str name = str_from(operands->items[0]);
    struct error error = { 0 };
    int printed;

    if (!arena)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    diagnostics_init(&diagnostics, arena);
    if (!examine(values, name.data, arena, &diagnostics, &examination, &error)) {
        report_diagnostics(&diagnostics);
        return report_failure(&error);
    }
    printed = values->output == OUTPUT_JSON ? print_json(&examination, name)
                                            : print_text(&examination, name);
    return printed != 0 ? printed : exit_code_of(&examination);
}

const struct command command_doctor_issuer = {
    .group = "doctor",
    .name = "issuer",
    .operands = "NAME",
    .summary = "Fetch an issuer's keys as the broker does, and explain",
    .description =
        "Asks the issuer NAME of broker.yaml for discovery and keys, from here, with the broker's\n"
        "own code and limits, and says what is seen at each step and of each key. Exit code 0 "
        "where\n"
        "all is well (keys that are skipped harm nobody), 1 where something is not, 5 where no "
        "whole\n"
        "answer came.",
    .groups = { OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
