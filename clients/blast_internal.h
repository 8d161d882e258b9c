#pragma once

#include "base/error.h"
#include "clients/blast.h"

/** A decision that is tried with other stages: where it stands. */
struct blast_request {
    uint64_t index;
};

struct blast {
    const struct blast_options *options;
    struct arena *arena;
    json_t *report;   /* borrowed by all below */
    json_t *leases;   /* the list */
    json_t *by_lease; /* id to its object */
    json_t *by_credential;
    json_t *tried;     /* the list */
    json_t *by_reason; /* "STAGE REASON" to its object */
    json_t *pipelines; /* names that are concerned */
    json_t *issuers;
    json_t *policies; /* hashes; the latest last */
    uint64_t first_index;
    bool has_any;
    uint64_t lease_count;
    uint64_t request_count; /* all that there are */
    struct blast_request requests[BLAST_REQUESTS_MAX];
};

/** No memory; false. */
bool blast_no_memory(struct error *error);

/** Fill in `could` of the report. */
bool blast_find_possible(struct blast *blast, struct error *error) MUST_USE;
