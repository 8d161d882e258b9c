#pragma once

#include "base/str.h"

/** The JSON Schema of policy files: schema/policy.schema.json, as it was when this was built. */
struct str policy_schema(void);
