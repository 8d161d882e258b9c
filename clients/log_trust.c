#include "clients/log_trust.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/file.h"

#define KEY_FILE_MAX ((size_t)16 * 1024)

const struct option_row log_trust_option_rows[] = {
    { .name = "key",
      .kind = OPTION_LIST,
      .value = "KEY|FILE",
      .environment = "STAGEPASS_LEDGER_KEY",
      .help = "The ledger's verifier key, from a place that its operator does not write; of "
              "several\n"
              "                          (repeated, or lines of a file) any may have signed",
      .offset = offsetof(struct log_trust_options, keys) },
    { .name = "witness",
      .kind = OPTION_LIST,
      .value = "KEY|FILE",
      .help = "A witness's verifier key; may be repeated",
      .offset = offsetof(struct log_trust_options, witnesses) },
    { .name = "quorum",
      .kind = OPTION_COUNT,
      .value = "N",
      .help = "How many of the witnesses must have cosigned the checkpoint; else 1 where any is "
              "given",
      .offset = offsetof(struct log_trust_options, quorum) },
};
_Static_assert(COUNT(log_trust_option_rows) == LOG_TRUST_OPTION_COUNT,
               "as many as LOG_TRUST_OPTION_COUNT says");

/* A file's name that has two '+' is written with "./" in front. */
static bool is_key(struct str text)
{
    struct str rest;
    struct str part;

    return text.len > 0 && text.data[0] != '.' && text.data[0] != '/' &&
           str_cut(text, '+', &part, &rest) && str_cut(rest, '+', &part, &rest);
}

static bool read_text(const char *given, const char *what, struct arena *arena, struct str *text,
                      struct error *error)
{
    *text = str_from(given);
    return is_key(*text) || file_read(arena, given, KEY_FILE_MAX, text, error) ||
           error_wrap(error, "%s", what);
}

bool log_trust_add_keys(struct log_trust *trust, const char *text, struct arena *arena,
                        struct error *error)
{
    static const char what[] = "the ledger's verifier key";
    size_t count = trust->log_count;
    struct str keys;

    if (!read_text(text, what, arena, &keys, error))
        return false;
    if (!note_keys_parse(keys, NOTE_KEY_LOG, trust->logs, NOTE_LOGS_MAX, &trust->log_count, error))
        return error_wrap(error, what);
    return trust->log_count > count || count > 0 ||
           error_set(error, ERROR_SYNTAX, "%s: there is none in %s", what, text);
}

static bool add_witness(struct log_trust *trust, const char *text, struct arena *arena,
                        struct error *error)
{
    static const char what[] = "a witness's verifier key";
    struct str keys;

    return read_text(text, what, arena, &keys, error) &&
           (note_keys_parse(keys, NOTE_KEY_WITNESS, trust->witnesses, NOTE_WITNESSES_MAX,
                            &trust->witness_count, error) ||
            error_wrap(error, what));
}

bool log_trust_read(struct log_trust *trust, const struct log_trust_options *options,
                    struct arena *arena, struct error *error)
{
    int64_t quorum = options->quorum;

    for (size_t i = 0; i < options->keys.count; i++)
        if (!log_trust_add_keys(trust, options->keys.items[i], arena, error))
            return false;
    for (size_t i = 0; i < options->witnesses.count; i++)
        if (!add_witness(trust, options->witnesses.items[i], arena, error))
            return false;
    if (quorum == LOG_TRUST_NO_QUORUM)
        quorum = trust->witness_count > 0 ? 1 : 0;
    if ((uint64_t)quorum > trust->witness_count)
        return error_set(error, ERROR_USAGE, "--quorum %" PRId64 " of %zu witnesses", quorum,
                         trust->witness_count);
    trust->quorum = (size_t)quorum;
    return true;
}

struct note_trust log_trust_view(const struct log_trust *trust)
{
    return (struct note_trust){
        .logs = trust->logs,
        .log_count = trust->log_count,
        .witnesses = trust->witnesses,
        .witness_count = trust->witness_count,
        .quorum = trust->quorum,
    };
}
