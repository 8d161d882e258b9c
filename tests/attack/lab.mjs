// A broker, the issuers that it trusts, and the canary: a listener that tokens point at and that
// nobody may ever speak to. Everything on loopback; the keys are of this run alone.

import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { makeKey } from "./forge.mjs";
import { converse, request } from "./wire.mjs";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const PROGRAMS = process.env.STAGEPASS_BIN ?? path.join(ROOT, "build/asan/bin");
const START_MS = 30000;
const LOG_MS = 3000;

export const AUDIENCE = "https://broker.acme.example";
export const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
export const JWT = "urn:ietf:params:oauth:token-type:jwt";

/** Wait until `probe` gives something true, and give that. */
async function until(what, limitMs, probe) {
    const end = Date.now() + limitMs;
    for (;;) {
        const found = await probe();
        if (found) return found;
        if (Date.now() > end) throw new Error(`${what}: not within ${limitMs} ms`);
        await sleep(5);
    }
}

function listen(server, host) {
    return new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(0, host, () => resolve(server.address().port));
    });
}

export class Lab {
    constructor() {
        this.folder = fs.mkdtempSync(path.join(os.tmpdir(), "stagepass-attack-"));
        this.issuers = new Map();
        this.sent = [];
        this.issuedCount = 0;
        this.canaryVisits = [];
        // However this ends, nothing is left behind.
        process.once("exit", () => this.clean());
        for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
    }

    file(...names) {
        return path.join(this.folder, ...names);
    }

    async start(definitions) {
        this.canary = net.createServer((socket) => {
            this.canaryVisits.push(socket.remotePort);
            socket.destroy();
        });
        this.canaryUrl = `http://127.0.0.1:${await listen(this.canary, "127.0.0.1")}`;
        this.server = http.createServer((query, answer) => this.serve(query, answer));
        this.server.keepAliveTimeout = 1000;
        this.issuerPort = await listen(this.server, "127.0.0.1");
        for (const [name, definition] of Object.entries(definitions))
            this.addIssuer(name, definition);
        this.writeConfiguration();
        await this.startBroker();
    }

    /**
     * An issuer. `key` signs its tokens; `keys` is its key set (an array of JWKs, or a function
     * that answers the request); `discovery` changes members of its discovery document (or answers
     * the request); `settings` are added to its part of broker.yaml.
     */
    addIssuer(name, definition) {
        const made = definition(this);
        const url = `http://127.0.0.1:${this.issuerPort}/${name}`;
        const key = made.key ?? makeKey("ES256");
        this.issuers.set(name, {
            name,
            url,
            audience: AUDIENCE,
            keys: [key.jwk],
            requests: [],
            ...made,
            key,
        });
    }

    serve(query, answer) {
        const [, name, rest] = /^\/([^/]*)(\/.*)$/.exec(query.url) ?? [];
        const issuer = this.issuers.get(name);
        if (issuer === undefined) {
            answer.writeHead(404).end();
            return;
        }
        issuer.requests.push(rest);
        const isDiscovery = rest === "/.well-known/openid-configuration";
        const wanted = isDiscovery ? issuer.discovery : issuer.keys;
        if (typeof wanted === "function") wanted(query, answer, issuer, this);
        else if (isDiscovery)
            sendJson(answer, { issuer: issuer.url, jwks_uri: `${issuer.url}/jwks`, ...wanted });
        else sendJson(answer, { keys: wanted });
    }

    writeConfiguration() {
        fs.mkdirSync(this.file("policies"));
        const issuers = {};
        for (const issuer of this.issuers.values()) {
            issuers[issuer.name] = {
                profile: "generic",
                url: issuer.url,
                audience: issuer.audience,
                allow_http: "true",
                allow_networks: ["127.0.0.0/8"],
                claims: { project: "string" },
                ids: ["project"],
                ...issuer.settings,
            };
            this.writePolicy(issuer);
        }
        // JSON is YAML: what the broker reads is a broker.yaml in flow style.
        fs.writeFileSync(
            this.file("broker.yaml"),
            JSON.stringify({
                issuer: AUDIENCE,
                listen: { address: "127.0.0.1", port: "0" },
                admin: { address: "127.0.0.1", port: "0" },
                store: "store",
                policy: { directory: "policies" },
                issuers,
            }),
        );
    }

    writePolicy(issuer) {
        const identity = { issuer: issuer.name, ...(issuer.identity ?? { project: "p1" }) };
        fs.writeFileSync(
            this.file("policies", `${issuer.name}.yaml`),
            JSON.stringify({
                pipeline: `attack/${issuer.name}`,
                owner: "attack@acme.example",
                identity,
                stages: {
                    build: {
                        kind: "build",
                        grants: {
                            files: {
                                jwt: {
                                    audience: "https://files.acme.example",
                                    scope: ["read", "write"],
                                },
                                ttl: "10m",
                            },
                        },
                    },
                },
            }),
        );
    }

    async startBroker() {
        const log = fs.openSync(this.file("broker.log"), "a");
        const from = this.logSize();
        this.broker = spawn(
            path.join(PROGRAMS, "stagepassd"),
            ["--config", this.file("broker.yaml"), "--log-level", "debug"],
            { stdio: ["ignore", log, log] },
        );
        fs.closeSync(log);
        this.exit = new Promise((resolve) =>
            this.broker.once("exit", (code, signal) => resolve(signal ?? code)),
        );
        const ready = await until(`broker (see ${this.file("broker.log")})`, START_MS, () => {
            if (this.broker.exitCode !== null)
                throw new Error(`the broker does not start:\n${this.log(from)}`);
            return /event=broker\.ready url=\S*:(\d+) admin=\S*:(\d+)/.exec(this.log(from));
        });
        this.port = Number(ready[1]);
        this.adminPort = Number(ready[2]);
    }

    async stopBroker(signal = "SIGTERM") {
        this.broker.kill(signal);
        return this.exit;
    }

    logSize() {
        return fs.existsSync(this.file("broker.log"))
            ? fs.statSync(this.file("broker.log")).size
            : 0;
    }

    log(from = 0) {
        const file = fs.openSync(this.file("broker.log"), "r");
        const bytes = Buffer.alloc(this.logSize() - from);
        fs.readSync(file, bytes, 0, bytes.length, from);
        fs.closeSync(file);
        return bytes.toString("utf8");
    }

    /** The lines since `from` that fit, once there is one; none where none comes. */
    async logged(from, pattern) {
        const find = () => {
            const found = this.log(from)
                .split("\n")
                .filter((line) => pattern.test(line));
            return found.length > 0 ? found : null;
        };
        return until("log", LOG_MS, find).catch(() => []);
    }

    /** POST /token with these bytes as the body, on a connection of its own. */
    async post(body, headers = [], target = "/token") {
        const all = [
            ["Host", `127.0.0.1:${this.port}`],
            ["Connection", "close"],
            ["Content-Type", "application/x-www-form-urlencoded"],
            ...headers,
        ];
        return converse(this.port, [request("POST", target, all, body)]);
    }

    /** Any request, on a connection of its own, with Host and these header fields. */
    async raw(method, target, headers, body) {
        const all = [["Host", `127.0.0.1:${this.port}`], ["Connection", "close"], ...headers];
        return converse(this.port, [request(method, target, all, body)]);
    }

    /** Exchange a token; `fields` are added to the form as they are. */
    async exchange(token, fields = {}, headers = []) {
        this.sent.push(token);
        const form = new URLSearchParams({
            grant_type: EXCHANGE,
            subject_token: token,
            subject_token_type: JWT,
            ...fields,
        });
        return this.post(form.toString(), headers);
    }

    async advanceClock(seconds) {
        const body = `advance=${seconds}`;
        const headers = [
            ["Host", "127.0.0.1"],
            ["Connection", "close"],
            ["Content-Type", "application/x-www-form-urlencoded"],
        ];
        await converse(this.adminPort, [request("POST", "/test/clock", headers, body)]);
    }

    async isAlive() {
        const { answers } = await converse(this.adminPort, [
            request("GET", "/livez", [["Host", "127.0.0.1"]]),
        ]);
        return answers[0]?.status === 200;
    }

    /** The ledger's entries of a type, read by the client from the store. */
    entries(type) {
        const text = execFileSync(
            path.join(PROGRAMS, "stagepass"),
            ["audit", "tail", "--ledger", this.file("store"), "--output", "json", "-n", "100000"],
            { maxBuffer: 1 << 28 },
        ).toString();
        return text
            .split("\n")
            .filter(Boolean)
            .map((line) => JSON.parse(line).entry)
            .filter((entry) => entry.type === type);
    }

    /** Segments of the tokens that were sent, and that nobody may read in a log. */
    leaks() {
        const log = this.log();
        const parts = this.sent.flatMap((token) => String(token).split("."));
        return parts.filter((part) => part.length >= 40 && log.includes(part));
    }

    clean() {
        this.broker?.kill("SIGKILL");
        fs.rmSync(this.folder, { recursive: true, force: true });
    }
}

export function sendJson(answer, document, headers = {}) {
    answer.writeHead(200, { "Content-Type": "application/json", ...headers });
    answer.end(JSON.stringify(document));
}
