// Looks tokens up in status lists as a service does: reads one JSON object {keys, issuer, audience, now, tokens, lists}
// from standard input, where `lists` are what was fetched by their URLs, and prints a list of {status, iat, kid} or {error}.
// Signatures are jose's to check, the list is read by OpenWallet's library: nothing of ours.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const jose = createRequire(process.env.STAGEPASS_PROVIDER_MODULES + "/");
const lists = createRequire(process.env.STAGEPASS_CLOUD_MODULES + "/");
const { createLocalJWKSet, jwtVerify } = await import(pathToFileURL(jose.resolve("jose")));
const { getListFromStatusListJWT, getStatusListFromJWT } = lists("@sd-jwt/jwt-status-list");

const asked = JSON.parse(readFileSync(0, "utf8"));
const keys = createLocalJWKSet(asked.keys);
const at = { issuer: asked.issuer, currentDate: new Date(asked.now * 1000) };

// draft-ietf-oauth-status-list, 8.3: its steps, in order.
async function look(token) {
    await jwtVerify(token, keys, { ...at, audience: asked.audience, typ: "at+jwt" });
    const { uri, idx } = getStatusListFromJWT(token);
    const list = asked.lists[uri];
    if (!list)
        throw new Error("no list at " + uri);
    const { payload, protectedHeader } = await jwtVerify(list, keys, {
        ...at, subject: uri, typ: "statuslist+jwt", requiredClaims: ["sub", "iat", "exp", "ttl", "status_list"],
    });
    return { status: getListFromStatusListJWT(list).getStatus(idx), iat: payload.iat, kid: protectedHeader.kid };
}

const results = [];
for (const token of asked.tokens) {
    try {
        results.push(await look(token));
    } catch (error) {
        results.push({ error: String(error) });
    }
}
console.log(JSON.stringify(results));
