// AWS's own client: aws.mjs ENDPOINT
// Its credentials come from wherever it looks for them: the environment, or a profile's credential_process.
// Prints who it is as JSON, {"arn", "key"} or {"error"}.

import { createRequire } from "node:module";

const require = createRequire(process.env.STAGEPASS_CLOUD_MODULES + "/");
const { STSClient, GetCallerIdentityCommand } = require("@aws-sdk/client-sts");

const client = new STSClient({ endpoint: process.argv[2], maxAttempts: 1 });
try {
    const { Arn } = await client.send(new GetCallerIdentityCommand({}));
    const { accessKeyId } = await client.config.credentials();
    console.log(JSON.stringify({ arn: Arn, key: accessKeyId }));
} catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
    process.exitCode = 1;
}
