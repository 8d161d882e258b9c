#include "clients/endings.h"

static const struct {
    const char *word;
    const char *sentence;
} endings[] = {
    [POLICY_REVOKED_BY_EXPIRY] = { "expiry", "ends when it expires" },
    [POLICY_REVOKED_BY_LIST] = { "by-list", "ends when it expires; within 15s where its status "
                                            "list is looked at" },
    [POLICY_REVOKED_BY_NAME] = { "by-name", "can be cut off at the target" },
    [POLICY_REVOKED_NOW] = { "now", "can be revoked at once" },
};

static enum policy_revocation ending_of(const struct policy_grant *grant, const json_t *fields)
{
    return policy_revocation_of(grant->kind, fields,
                                grant->target ? grant->target->settings : NULL);
}

const char *ending_word(const struct policy_grant *grant, const json_t *fields)
{
    return endings[ending_of(grant, fields)].word;
}

const char *ending_sentence(const struct policy_grant *grant, const json_t *fields)
{
    return endings[ending_of(grant, fields)].sentence;
}

const char *ending_note(const struct policy_grant *grant, const json_t *fields)
{
    return grant->kind->ending_note ? grant->kind->ending_note(fields) : NULL;
}
