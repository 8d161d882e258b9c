// Who is not signed in, and how they do.

import { hold } from "./api.js";
import { button, el, panel } from "./dom.js";
import { command, quote } from "./format.js";
import { SignInError, begin } from "./oidc.js";

async function keptPath(broker) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(broker)));
    const name = [...digest.slice(0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

    return `cat "\${XDG_STATE_HOME:-$HOME/.local/state}/stagepass/login-${name}"`;
}

// What a failed sign-in is told as.
export function reason(error) {
    return error instanceof SignInError ? error.message : "The sign-in did not come to its end. Try again, or paste a token.";
}

function pasteForm(provider, taken) {
    const said = el("p", { class: "bad", role: "alert" });
    const area = el("textarea", { id: "token", class: "masked", rows: 3, autocomplete: "off", spellcheck: "false", required: true });
    const how = el("code", {});

    keptPath(provider.broker).then((line) => { how.textContent = line; });
    return el("details", {}, el("summary", {}, "Paste an ID token instead"),
        el("p", {}, "Where the provider does not let a page sign you in. ", el("code", {}, `stagepass login --broker ${quote(provider.broker)}`), " keeps a token, and this prints it:"), el("p", {}, how),
        el("form", { on: { submit: (event) => {
            event.preventDefault();
            const given = area.value;
            area.value = "";
            said.textContent = "";
            if (hold(given)) taken();
            else said.textContent = "That is no ID token: three parts with dots between, and nothing else.";
        } } },
        el("div", { class: "field" }, el("label", { for: "token" }, "ID token"), area), said,
        el("div", { class: "row" }, el("button", { type: "submit" }, "Use it"), el("span", { class: "quiet" }, "It stays in this page's memory, and is gone with it."))));
}

// The ways in; `route` is where it goes on, `taken` is called once there is a token.
export function signIn(provider, { route, taken, why }) {
    const said = el("p", { class: "bad", role: "alert" }, why);
    const isElsewhere = location.origin + location.pathname !== new URL(provider.redirect).href;
    const start = button(`Sign in at ${new URL(provider.issuer).host}`, async () => {
        start.disabled = true;
        said.textContent = "";
        try {
            await begin(provider, route());
        } catch (error) {
            said.textContent = reason(error);
            start.disabled = false;
        }
    }, { class: "main", id: "sign-in", disabled: isElsewhere });

    return panel("Sign in", said,
        isElsewhere && el("p", { class: "warn" }, "This is another address than the broker's own, and a sign-in could not come back to it. Open ", el("code", {}, provider.redirect), " instead."),
        el("div", { class: "row" }, start), pasteForm(provider, taken), command("login", [["--broker", provider.broker]]));
}
