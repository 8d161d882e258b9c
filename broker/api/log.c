#include "api/api_internal.h"
#include "ledger/ledger.h"

/* Source: C2SP tlog-tiles, "Merkle tree tiles" and "Checkpoint". A tile's name says what is in it,
 * also a partial one's; the checkpoint's does not. */
#define TILE_CACHE STR("public, max-age=31536000, immutable")
#define CHECKPOINT_CACHE STR("public, no-cache")

enum progress checkpoint_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct error error = { 0 };
    struct str note;

    if (!ledger_checkpoint(api->service->ledger, request->arena, &note, &error))
        return http_answer_problem(request, &error);
    request->response.is_cacheable = true;
    http_add_header(request, "Cache-Control", CHECKPOINT_CACHE);
    return http_answer_text(request, 200, "text/plain; charset=utf-8", note);
}

enum progress tile_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    struct error error = { 0 };
    struct str tile;

    if (!ledger_tile(api->service->ledger, request->rest, request->arena, &tile, &error))
        return http_answer_problem(request, &error);
    request->response.is_cacheable = true;
    http_add_header(request, "Cache-Control", TILE_CACHE);
    return http_answer_text(request, 200, "application/octet-stream", tile);
}
