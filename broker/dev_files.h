#pragma once

#include <stddef.h>

/** What `--dev` is called by; broker.yaml says the same. */
#define DEV_BROKER_URL "https://127.0.0.1:8443"
#define DEV_ISSUER_PORT "8480"
#define DEV_ISSUER_URL "http://127.0.0.1:" DEV_ISSUER_PORT

/** A text file of `--dev`, by its path in the folder. */
struct dev_file {
    const char *folder; /* of the file, in --dev's own; "" is that one */
    const char *name;
    const char *text;
};

/** The configuration, the example policy, and claims of three runs of its pipeline. */
extern const struct dev_file dev_files[];
extern const size_t dev_file_count;
