// Verifies tokens by a key set as a cloud does: reads one JSON object {keys, issuer, audience, algorithm, now, tokens}
// from standard input, and prints a list of {claims, header} or {error}.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.STAGEPASS_PROVIDER_MODULES + "/");
const { createLocalJWKSet, jwtVerify } = await import(pathToFileURL(require.resolve("jose")));

const asked = JSON.parse(readFileSync(0, "utf8"));
const keys = createLocalJWKSet(asked.keys);
const results = [];
for (const token of asked.tokens) {
    try {
        const { payload, protectedHeader } = await jwtVerify(token, keys, {
            issuer: asked.issuer, audience: asked.audience, algorithms: [asked.algorithm],
            currentDate: new Date(asked.now * 1000), requiredClaims: ["sub", "jti", "iat", "exp"],
        });
        results.push({ claims: payload, header: protectedHeader });
    } catch (error) {
        results.push({ error: String(error) });
    }
}
console.log(JSON.stringify(results));
