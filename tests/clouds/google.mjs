// Google's own library on an external account's configuration: google.mjs FILE
// Prints what it got as JSON, {"token"} or {"error"}.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.env.STAGEPASS_CLOUD_MODULES + "/");
const { ExternalAccountClient } = require("google-auth-library");

const client = ExternalAccountClient.fromJSON(JSON.parse(readFileSync(process.argv[2], "utf8")));
client.scopes = ["https://www.googleapis.com/auth/devstorage.read_write"];
try {
    const { token } = await client.getAccessToken();
    console.log(JSON.stringify({ token, expires: client.credentials?.expiry_date ?? null }));
} catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
    process.exitCode = 1;
}
