// Signing in at the provider: authorization code with PKCE, as a public client (RFC 6749 4.1, RFC 7636, RFC 9207,
// OpenID Connect Core 3.1). Nothing but what binds the answer to this page's question is kept, until it is back.

import { Refusal, fetchPublic, jsonOf } from "./api.js";

const KEPT = "stagepass.sign-in";
const KEPT_FOR_MS = 30 * 60 * 1000;
const ANSWER_MAX = 256 * 1024;
const LOOPBACK = new Set(["127.0.0.1", "[::1]", "localhost"]);

// A sign-in that did not come to its end; the text is ours, and says what to do.
export class SignInError extends Error {}

// Where people sign in: the broker says it. null: there is no console here.
export async function findProvider() {
    try {
        const told = await jsonOf(await fetchPublic(".well-known/oauth-protected-resource"), ANSWER_MAX);

        if (!told.stagepass_console_client_id) return null;
        return {
            issuer: told.authorization_servers[0],
            client: told.stagepass_console_client_id,
            scope: told.stagepass_scope,
            broker: told.resource,
            redirect: `${told.resource}/console/`,
        };
    } catch (error) {
        if (error instanceof Refusal && error.status === 404) return null;
        throw error;
    }
}

function base64url(bytes) {
    return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function random() {
    return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function challengeOf(verifier) {
    return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

function endpoint(document, name) {
    let url;

    try {
        url = new URL(document[name]);
    } catch {
        throw new SignInError(`The provider says no ${name}: paste a token instead.`);
    }
    if (url.protocol !== "https:" && !(url.protocol === "http:" && LOOPBACK.has(url.hostname)))
        throw new SignInError(`The provider's ${name} is not https.`);
    return url;
}

async function fetchProvider(url, options) {
    try {
        return await fetch(url, { credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer", mode: "cors", ...options });
    } catch {
        throw new SignInError("The provider did not answer this page. It may be out of reach, or it does not let browsers ask it (CORS). Paste a token instead.");
    }
}

async function discover(provider) {
    const base = provider.issuer.replace(/\/$/, "");
    const response = await fetchProvider(`${base}/.well-known/openid-configuration`);

    if (!response.ok) throw new SignInError(`The provider answers ${response.status} where its configuration should be.`);
    const document = await jsonOf(response, ANSWER_MAX);
    if (document.issuer !== provider.issuer) throw new SignInError("The provider calls itself by another name than the broker does.");
    const methods = document.code_challenge_methods_supported;
    if (Array.isArray(methods) && !methods.includes("S256"))
        throw new SignInError("The provider has no PKCE with S256: paste a token instead.");
    return document;
}

// Leave for the provider; it sends the browser back with an answer, which finish() takes.
export async function begin(provider, route) {
    const document = await discover(provider);
    const url = endpoint(document, "authorization_endpoint");
    const kept = { verifier: random(), state: random(), nonce: random(), route, issuer: provider.issuer, at: Date.now() };
    const question = {
        response_type: "code", client_id: provider.client, redirect_uri: provider.redirect, scope: provider.scope,
        state: kept.state, nonce: kept.nonce, code_challenge: await challengeOf(kept.verifier), code_challenge_method: "S256",
    };

    endpoint(document, "token_endpoint");
    if (Array.isArray(document.response_modes_supported) && document.response_modes_supported.includes("fragment"))
        question.response_mode = "fragment"; // so that not even the broker sees the code
    for (const [name, value] of Object.entries(question)) url.searchParams.set(name, value);
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
    location.assign(url);
}

function takeKept() {
    const text = sessionStorage.getItem(KEPT);

    sessionStorage.removeItem(KEPT);
    try {
        const kept = JSON.parse(text);
        return kept && Date.now() - kept.at < KEPT_FOR_MS ? kept : null;
    } catch {
        return null;
    }
}

// The provider's answer in the address bar, which is clean behind it; null where there is none.
export function takeAnswer() {
    const fragment = location.hash.startsWith("#/") ? "" : location.hash.slice(1);
    const answer = new URLSearchParams(location.search || fragment);
    const isThere = answer.has("code") || answer.has("error");

    if (isThere) history.replaceState(null, "", location.pathname);
    return isThere ? { answer, kept: takeKept() } : null;
}

function sameText(a, b) {
    return typeof a === "string" && typeof b === "string" && a.length > 0 && a === b;
}

function checkAnswer({ answer, kept }, provider, document) {
    const names = ["code", "state", "iss", "error"].filter((name) => answer.getAll(name).length > 1);

    if (names.length > 0) throw new SignInError("The provider's answer is ambiguous: sign in again.");
    if (!kept || !sameText(answer.get("state"), kept.state) || kept.issuer !== provider.issuer)
        throw new SignInError("This answer is to no question of this page: somebody may have sent you a link, or it is an old one. Sign in again.");
    if (answer.has("iss") ? answer.get("iss") !== provider.issuer : document?.authorization_response_iss_parameter_supported === true)
        throw new SignInError("The answer is of another provider: sign in again.");
    if (answer.has("error")) {
        const code = answer.get("error");
        throw new SignInError(`The provider refused: ${/^[a-z_]{1,60}$/.test(code) ? code : "without a reason that can be shown"}.`);
    }
}

// What the token says; the broker verifies it, here only that it answers this page.
function checkToken(text, provider, nonce) {
    let claims;

    try {
        const bytes = Uint8Array.from(atob(text.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
        claims = JSON.parse(new TextDecoder().decode(bytes));
    } catch {
        throw new SignInError("The provider gave no ID token: does its client have the scope openid?");
    }
    if (!sameText(claims.nonce, nonce)) throw new SignInError("The token answers another sign-in: sign in again.");
    if (claims.iss !== provider.issuer) throw new SignInError("The token is of another provider.");
    if (![claims.aud].flat().includes(provider.client)) throw new SignInError("The token is for another client.");
}

// The ID token for an answer that takeAnswer() found.
export async function finish(found, provider) {
    checkAnswer(found, provider);
    const document = await discover(provider);
    checkAnswer(found, provider, document);
    const response = await fetchProvider(endpoint(document, "token_endpoint"), {
        method: "POST",
        body: new URLSearchParams({
            grant_type: "authorization_code", code: found.answer.get("code"), redirect_uri: provider.redirect,
            client_id: provider.client, code_verifier: found.kept.verifier,
        }),
    });
    if (!response.ok)
        throw new SignInError(`The provider answers ${response.status} to the code: is its client a public one, with PKCE and this page as redirect URI?`);
    const { id_token: token } = await jsonOf(response, ANSWER_MAX);
    checkToken(String(token), provider, found.kept.nonce);
    return token;
}
