// Which page is shown, and to whom.

import { Refusal, ask, drop, hold, now } from "./api.js";
import * as approvals from "./approvals.js";
import * as blocks from "./blocks.js";
import { button, el, foreign, link } from "./dom.js";
import * as entry from "./entry.js";
import { explain } from "./errors.js";
import { time } from "./format.js";
import * as inventory from "./inventory.js";
import * as leases from "./leases.js";
import * as who from "./me.js";
import { findProvider, finish, takeAnswer } from "./oidc.js";
import * as overview from "./overview.js";
import * as search from "./search.js";
import { reason, signIn } from "./sign_in.js";

const PAGES = [
    { path: /^\/$/, to: "#/", name: "Overview", page: overview },
    { path: /^\/search$/, to: "#/search", name: "Search", page: search },
    { path: /^\/entry\/(0|[1-9][0-9]{0,14})$/, page: entry },
    { path: /^\/inventory$/, to: "#/inventory", name: "Inventory", page: inventory },
    { path: /^\/leases$/, to: "#/leases", name: "Leases", page: leases },
    { path: /^\/blocks$/, to: "#/blocks", name: "Blocks", page: blocks },
    { path: /^\/approvals$/, to: "#/approvals", name: "Approvals", page: approvals.list_page },
    { path: /^\/me$/, page: who },
    { path: /^\/approval\/([0-9A-HJKMNP-TV-Z]{26})$/, page: approvals.one_page },
];
const ADDRESS_MAX = 8000;

const place = (id) => document.getElementById(id);

let provider = null;
let me = null;
let leaving = null; // ends what the page before still asks for
let over = 0; // the timer of a sign-in's end

function routeOf() {
    const address = location.hash.startsWith("#/") && location.hash.length <= ADDRESS_MAX ? location.hash.slice(1) : "/";
    const [path, query = ""] = address.split("?", 2);

    return { address, path, words: new URLSearchParams(query) };
}

function notice(...children) {
    place("notice").replaceChildren(...(children.length > 0 ? [el("div", { class: "notice" }, ...children)] : []));
}

// The page stays as it is, with the ways in above it.
function signInAgain() {
    drop();
    clearTimeout(over);
    if (place("sign-in")) return; // what is being written there stays
    notice(el("p", {}, "Your sign-in is over. Sign in again, and this page goes on."),
        signIn(provider, { route: () => routeOf().address, taken: enter }));
}

function forget() {
    drop();
    me = null;
    clearTimeout(over);
}

function signOut() {
    forget();
    start("You have signed out here. The provider may still know you: sign out there too, where others use this browser.");
}

function showWho() {
    const roles = me ? me.roles.map((role) => (role.tenants ? `${role.role} (${role.tenants.join(", ")})` : role.role)) : [];

    place("pages").hidden = !me;
    place("pages").replaceChildren(...PAGES.filter(({ name }) => name).map(({ to, name }) => link(to, name)));
    place("who").replaceChildren(...(me ? [link("#/me", foreign(me.email ?? me.subject)),
        el("span", { class: "quiet" }, roles.length > 0 ? foreign(roles.join(", ")) : "no role: what your groups own is shown"),
        el("span", { class: "quiet" }, "until ", time(me.until)), button("Sign out", signOut, { class: "small" })] : []));
}

function markPage(to) {
    for (const anchor of place("pages").children) {
        if (to && anchor.getAttribute("href") === to) anchor.setAttribute("aria-current", "page");
        else anchor.removeAttribute("aria-current");
    }
}

function put(title, ...children) {
    const heading = el("h1", { tabindex: "-1" }, title);

    document.title = `${title} · Stagepass`;
    place("main").dataset.route = routeOf().address; // whose page this is
    place("main").replaceChildren(heading, ...children);
    return heading;
}

// Show what the address says.
function show(isFirst = false) {
    const { path, words } = routeOf();
    const found = PAGES.map((row) => ({ ...row, match: row.path.exec(path) })).find(({ match }) => match);

    leaving?.abort();
    leaving = new AbortController();
    const { signal } = leaving;
    if (!me) return;
    if (!found) {
        markPage(null);
        put("There is no such page", el("p", {}, link("#/", "Overview")));
        return;
    }
    markPage(found.to);
    const context = {
        words, id: found.match[1], me, broker: provider.broker, signal, parts: [], signInAgain,
        ask: (what, options = {}) => ask(what, { ...options, signal }),
    };
    const title = context.id ? `${found.page.title} ${context.id}` : found.page.title;
    const heading = put(title, ...[found.page.show(context)].flat(Infinity).filter(Boolean));
    if (!isFirst) {
        heading.focus({ preventScroll: true });
        scrollTo(0, 0);
    }
}

// Somebody has a token: whose it is, the broker says.
async function enter() {
    try {
        me = await ask("api/v1/me");
    } catch (error) {
        const isRefused = error instanceof Refusal && error.status === 401;

        drop();
        start(isRefused ? "The broker does not accept this token: it may be too old, or for another client." : undefined);
        if (!isRefused) place("main").append(explain(error));
        return;
    }
    const left = Date.parse(me.until) - now();
    clearTimeout(over);
    if (left < 2 ** 31) over = setTimeout(signInAgain, Math.max(0, left));
    notice();
    showWho();
    show(true);
}

// The ways in, and nothing else.
function start(why) {
    leaving?.abort();
    showWho();
    notice();
    put("Stagepass", signIn(provider, { route: () => routeOf().address, taken: enter, why }));
}

function goTo(route) {
    history.replaceState(null, "", typeof route === "string" && route.startsWith("/") && route.length < ADDRESS_MAX ? `#${route}` : "#/");
}

async function begin() {
    const found = takeAnswer(); // first of all: the code leaves the address bar

    try {
        provider = await findProvider();
    } catch (error) {
        put("Stagepass", explain(error));
        return;
    }
    if (!provider) {
        put("This broker has no console", el("p", {}, "Its operator has not set one up."));
        return;
    }
    if (!found) return start();
    try {
        if (!hold(await finish(found, provider))) throw new Error("no token");
    } catch (error) {
        return start(reason(error));
    }
    goTo(found.kept.route);
    await enter();
}

addEventListener("hashchange", () => {
    if (me) show();
});
// A browser may keep a page that is left, and show it to whoever goes back: there is nothing in it then, and it begins anew.
addEventListener("pagehide", () => {
    forget();
    leaving?.abort();
    showWho();
    notice();
    place("main").replaceChildren();
});
addEventListener("pageshow", ({ persisted }) => {
    if (persisted) location.reload();
});
place("skip").addEventListener("click", (event) => {
    event.preventDefault();
    place("main").focus();
});
begin();
