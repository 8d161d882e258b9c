// An OpenID provider that nobody here wrote (npm oidc-provider), for tests/integration/test_people.
//
// `provider.mjs PORT [REDIRECT]` serves http://127.0.0.1:PORT until it is ended. Whoever logs in is the person that
// the login names: "ann;security,audit;7" is ann of two groups, and 7 is her id at GitHub. Clients: "stagepass" and "shop" for people
// (device flow), "apart" too, which is told another `sub` of the same person, "console" of the pages at REDIRECT (code with PKCE, asked by browsers), "runner" for jobs (client credentials), whose tokens get the claims of the header `x-claims`
// and, where `x-typ` is there, its `typ`. POST /test/rotate?kept=N makes a new signing key and publishes
// the last N besides.

import crypto from "node:crypto";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const modules = path.resolve(process.env.STAGEPASS_PROVIDER_MODULES);
const require = createRequire(path.join(modules, "x.js"));
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const port = Number(process.argv[2]);
const redirect = process.argv[3];
const issuer = `http://127.0.0.1:${port}`;

// One store for all providers that follow one another: a rotation forgets no session.
class Store {
  static all = new Map();
  constructor(name) {
    this.name = name;
  }
  key(id) {
    return `${this.name}:${id}`;
  }
  async upsert(id, payload) {
    Store.all.set(this.key(id), payload);
  }
  async find(id) {
    return Store.all.get(this.key(id));
  }
  async findBy(member, value) {
    for (const [key, payload] of Store.all)
      if (key.startsWith(`${this.name}:`) && payload[member] === value) return payload;
    return undefined;
  }
  findByUserCode(code) {
    return this.findBy("userCode", code);
  }
  findByUid(uid) {
    return this.findBy("uid", uid);
  }
  async consume(id) {
    (await this.find(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    Store.all.delete(this.key(id));
  }
  async revokeByGrantId(grant) {
    for (const [key, payload] of Store.all) if (payload.grantId === grant) Store.all.delete(key);
  }
}

const device = {
  token_endpoint_auth_method: "none",
  application_type: "native",
  grant_types: ["urn:ietf:params:oauth:grant-type:device_code"],
  response_types: [],
  redirect_uris: [],
};

const pages = {
  client_id: "console",
  token_endpoint_auth_method: "none",
  grant_types: ["authorization_code"],
  response_types: ["code"],
  redirect_uris: [redirect],
};

function account(ctx, login) {
  const [name, groups, github] = login.split(";");
  const isApart = ctx.path === "/token" && ctx.oidc.client?.clientId === "apart";

  return {
    accountId: isApart ? crypto.hash("sha256", login) : login, // the `sub`
    claims: () => ({
      sub: login,
      email: `${name}@acme.example`,
      email_verified: true,
      groups: (groups ?? "").split(",").filter(Boolean),
      github_id: github,
    }),
  };
}

function resource(_, indicator) {
  return { audience: indicator, scope: "", accessTokenTTL: 600, accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } };
}

let keys = [];

function rotate(kept) {
  const { privateKey } = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = privateKey.export({ format: "jwk" });

  keys = [{ ...jwk, use: "sig", alg: "RS256", kid: crypto.randomUUID() }, ...keys.slice(0, kept)];
  return new Provider(issuer, {
    adapter: Store,
    jwks: { keys },
    clients: [
      { client_id: "stagepass", ...device },
      { client_id: "shop", ...device },
      { client_id: "apart", ...device },
      ...(redirect ? [pages] : []),
      { client_id: "runner", client_secret: "secret", grant_types: ["client_credentials"], response_types: [], redirect_uris: [] },
    ],
    claims: { openid: ["sub", "github_id"], email: ["email", "email_verified"], groups: ["groups"] },
    clientBasedCORS: (_, origin, client) => client.clientId === "console" && redirect.startsWith(`${origin}/`),
    conformIdTokenClaims: false,
    cookies: { keys: ["test"] },
    findAccount: account,
    extraTokenClaims: (ctx) => JSON.parse(ctx.get("x-claims") || "{}"),
    formats: {
      customizers: {
        jwt(ctx, _, parts) {
          if (ctx.get("x-typ")) parts.header = { typ: ctx.get("x-typ") };
        },
      },
    },
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: resource },
    },
    ttl: { IdToken: 3600, DeviceCode: 600, Session: 600, Interaction: 600, Grant: 600, AccessToken: 600 },
  }).callback();
}

let handle = rotate(0);

http
  .createServer((request, response) => {
    const url = new URL(request.url, issuer);

    if (url.pathname !== "/test/rotate") return handle(request, response);
    handle = rotate(Number(url.searchParams.get("kept")));
    response.end();
  })
  .listen(port, "127.0.0.1", () => console.log(`event=provider.ready url=${issuer}`));
