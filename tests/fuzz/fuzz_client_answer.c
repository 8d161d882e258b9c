#include <assert.h>
#include <stdint.h>

#include "base/error.h"
#include "base/id.h"
#include "clients/answer.h"
#include "clients/environment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refused answer has a code; of one that is taken every text may stand in an environment. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    struct environment environment = { .arena = arena };
    struct str body = { (const char *)data, size };
    struct refusal refusal;
    struct answer answer;
    struct error error = { 0 };

    if (!arena)
        return 0;
    refusal_read(400, body, arena, &refusal);
    assert(refusal.failed_count <= ANSWER_NAMES_MAX);
    if (!answer_read(body, arena, &answer, &error)) {
        assert(error.code != ERROR_NONE);
        return 0;
    }
    assert(id_is_valid(answer.lease) && answer.credential_count <= ANSWER_CREDENTIALS_MAX);
    if (!environment_add_answer(&environment, &answer, &error))
        assert(error.code == ERROR_INVALID); /* two grants of one name */
    return 0;
}
