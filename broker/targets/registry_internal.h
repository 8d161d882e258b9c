#pragma once

#include <stdint.h>

#include "base/str.h"
#include "keys/keys.h"

/** Settings of a registry. Immutable after its start. */
struct registry_settings {
    struct str service;
    struct str host; /* by which clients know it */
    struct str key;
    struct keys_certified signer;
};
