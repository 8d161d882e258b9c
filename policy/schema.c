#include "policy/schema.h"

/* Made from schema/policy.schema.json by stagepass_embed(). */
extern const unsigned char policy_schema_text[];
extern const size_t policy_schema_text_len;

struct str policy_schema(void)
{
    return (struct str){ (const char *)policy_schema_text, policy_schema_text_len };
}
