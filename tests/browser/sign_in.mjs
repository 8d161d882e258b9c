// Signing in: who may, by which answers, and where the token is.

import { CONSOLE, check, finish, isAt, isIn, logIn, main, open, settled, signIn, step, visit, world } from "./lab.mjs";

const PROVIDER = new URL(world.provider);
const DISCOVERY = `${world.provider}/.well-known/openid-configuration`;
const ROUTE = "#/search?type=credential.issued";

const toToken = (seen) => seen.requests.filter(({ url, method }) => url === `${world.provider}/token` && method === "POST");
const tokenOf = (seen) => seen.requests.map(({ authorization }) => authorization).filter(Boolean).at(-1)?.slice("Bearer ".length);
const said = (page) => page.locator("[role=alert]").first().innerText();

function clean(name, seen) {
    check(`${name}: nothing failed, and the content policy had nothing to stop`, seen.errors.length === 0, seen.errors);
}

async function nowhere(page, token) {
    const state = await page.evaluate(() => JSON.stringify({
        session: { ...sessionStorage }, local: { ...localStorage }, cookie: document.cookie, address: location.href, history: history.state,
        page: document.documentElement.outerHTML, values: [...document.querySelectorAll("input, textarea")].map(({ value }) => value), name: window.name,
        globals: Object.keys(globalThis).filter((name) => typeof globalThis[name] === "string").map((name) => globalThis[name]),
    }));
    const kept = await page.evaluate(() => sessionStorage.length + localStorage.length);

    return typeof token === "string" && token.length > 100 && kept === 0 && !state.includes(token) && !state.includes(token.split(".")[2]);
}

// Up to the provider's login page; what was asked of it.
async function question(page, route = "") {
    await page.goto(CONSOLE + route);
    await page.locator("#sign-in").click();
    await page.waitForURL((url) => url.origin === PROVIDER.origin);
}

async function aPersonSignsIn() {
    const { page, seen } = await open();

    await page.goto(CONSOLE + ROUTE);
    await page.locator("#sign-in").waitFor();
    check("nobody is shown anything before", await page.locator("#pages").isHidden() && seen.requests.every(({ authorization }) => !authorization), seen.requests);
    await page.locator("#sign-in").click();
    await page.waitForURL((url) => url.origin === PROVIDER.origin);
    const asked = new URL(seen.requests.find(({ url }) => url.startsWith(`${world.provider}/auth?`)).url).searchParams;
    check("the provider is asked for a code, with PKCE, state and nonce", asked.get("response_type") === "code" && asked.get("client_id") === "console"
        && asked.get("code_challenge_method") === "S256" && asked.get("code_challenge")?.length === 43 && asked.get("state")?.length === 43
        && asked.get("nonce")?.length === 43 && asked.get("redirect_uri") === CONSOLE && asked.get("scope") === "openid email groups"
        && asked.get("response_mode") === "fragment", asked.toString());
    await logIn(page, "ann;security");
    await isIn(page);
    check("they come back to the page that they were at", page.url() === CONSOLE + ROUTE, page.url());
    check("and see it", (await main(page)).includes("credential.issued"), await main(page));
    check("who they are is shown", /ann@acme\.example\s+auditor\s+until .* UTC/.test(await page.locator("#who").innerText()), await page.locator("#who").innerText());
    const token = tokenOf(seen);
    check("the token is in the page's memory alone", await nowhere(page, token));
    check("the broker never sees the code", seen.requests.filter(({ url }) => url.startsWith(world.broker)).every(({ url }) => !/[?&#](code|state)=/.test(url)), seen.requests.map(({ url }) => url));
    check("the token goes to the broker's API alone", seen.requests.filter(({ authorization }) => authorization).every(({ url }) => url.startsWith(`${world.broker}/api/v1/`)), seen.requests);
    check("and nobody but broker and provider is asked by the page", seen.requests.filter(({ url }) => !url.startsWith(world.broker) && !url.startsWith(world.provider))
        .every(({ url }) => /fonts\.g/.test(url)), seen.requests.map(({ url }) => url)); // the provider's own login page wants fonts
    await page.reload();
    await page.locator("#sign-in").waitFor();
    check("a page that is loaded anew knows nobody", await page.locator("#pages").isHidden());
    await page.locator("#sign-in").click();
    await isIn(page);
    check("and signing in again is a click", page.url() === CONSOLE + ROUTE && tokenOf(seen) !== token, page.url());
    await page.locator("#who button").click();
    await page.locator("#sign-in").waitFor();
    const before = seen.requests.length;
    check("signing out leaves nothing", !(await page.locator("body").innerText()).includes("credential.issued") && await page.locator("#pages").isHidden());
    await page.evaluate(() => { location.hash = "#/leases"; });
    await page.waitForFunction(() => location.hash === "#/leases");
    check("and nothing is asked any more", seen.requests.length === before, seen.requests.slice(before));
    clean("a sign-in", seen);
}

// Answers in an address that somebody else made, or that is not for this question.
async function forgedAnswersAreRefused() {
    const { page, seen } = await open();
    const refused = async (name, address, words) => {
        const before = seen.requests.length;

        await page.goto("about:blank");
        await page.goto(address);
        await page.locator("#sign-in").waitFor();
        const told = await said(page);
        const kept = await page.evaluate(() => sessionStorage.length);
        check(`${name} is refused`, told.includes(words) && kept === 0 && toToken({ requests: seen.requests.slice(before) }).length === 0
            && await page.locator("#pages").isHidden(), [told, kept]);
        check("and is no longer in the address", page.url() === CONSOLE, page.url());
    };
    const begun = async () => {
        await page.context().clearCookies();
        await question(page);
        return new URL(seen.requests.findLast(({ url }) => url.startsWith(`${world.provider}/auth?`)).url).searchParams.get("state");
    };

    await refused("an answer that nobody asked for", `${CONSOLE}#code=stolen&state=forged`, "no question of this page");
    await refused("one in a query", `${CONSOLE}?code=stolen&state=forged`, "no question of this page");
    await refused("one without a state", `${CONSOLE}#code=stolen`, "no question of this page");
    await begun();
    await refused("one with another state", `${CONSOLE}#code=stolen&state=forged`, "no question of this page");
    await begun();
    await refused("one with an empty state", `${CONSOLE}#code=stolen&state=`, "no question of this page");
    await refused("one with two states", `${CONSOLE}#code=stolen&state=${await begun()}&state=forged`, "ambiguous");
    await refused("one of another provider", `${CONSOLE}#code=stolen&state=${await begun()}&iss=https%3A%2F%2Fevil.example`, "another provider");
    await refused("one without its provider, who says it always", `${CONSOLE}#code=stolen&state=${await begun()}`, "another provider");
    await refused("a refusal", `${CONSOLE}#error=access_denied&error_description=x&state=${await begun()}&iss=${encodeURIComponent(world.provider)}`, "access_denied");
    await refused("a refusal with markup", `${CONSOLE}#error=${encodeURIComponent("<b>x</b>")}&state=${await begun()}&iss=${encodeURIComponent(world.provider)}`, "without a reason");
    const state = await begun();
    await page.goto("about:blank");
    await page.goto(`${CONSOLE}#code=stolen&state=${state}&iss=${encodeURIComponent(world.provider)}`);
    await page.locator("#sign-in").waitFor();
    check("a code that the provider does not know signs nobody in", /answers 400 to the code/.test(await said(page)) && !page.url().includes("stolen"), await said(page));
    clean("forged answers", seen);
}

function unsigned(claims) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

    return `${part({ alg: "RS256" })}.${part(claims)}.${"A".repeat(342)}`;
}

// What the provider's token endpoint answers does not fit the question.
async function otherTokensAreRefused() {
    const { page, seen } = await open();
    let nonce;
    let answer;
    const rows = [
        ["a token with another nonce", () => ({ id_token: unsigned({ iss: world.provider, aud: "console", nonce: "other" }) }), "another sign-in"],
        ["a token without a nonce", () => ({ id_token: unsigned({ iss: world.provider, aud: "console" }) }), "another sign-in"],
        ["a token of another provider", () => ({ id_token: unsigned({ iss: "https://evil.example", aud: "console", nonce }) }), "another provider"],
        ["a token for another client", () => ({ id_token: unsigned({ iss: world.provider, aud: "shop", nonce }) }), "another client"],
        ["no ID token", () => ({ access_token: "x" }), "no ID token"],
        ["text that is none", () => ({ id_token: "a.b.c" }), "no ID token"],
        ["a token that nobody signed", () => ({ id_token: unsigned({ iss: world.provider, aud: "console", nonce }) }), "does not accept this token"],
    ];

    page.on("request", (request) => {
        if (request.url().startsWith(`${world.provider}/auth?`)) nonce = new URL(request.url()).searchParams.get("nonce");
    });
    await page.route(`${world.provider}/token`, (route) => route.fulfill({
        status: 200, headers: { "access-control-allow-origin": world.broker }, contentType: "application/json", body: JSON.stringify(answer()),
    }));
    await signInAs(page, "ann;security", () => { answer = rows[0][1]; });
    for (const [name, made, words] of rows) {
        answer = made;
        const before = seen.requests.length;
        await page.locator("#sign-in").click();
        await page.waitForFunction((text) => document.querySelector("[role=alert]")?.textContent.includes(text), words);
        const asked = seen.requests.slice(before).filter(({ authorization }) => authorization).length;
        check(`${name} signs nobody in`, await page.locator("#pages").isHidden() && asked === (words.startsWith("does not accept") ? 1 : 0), asked);
    }
    clean("other tokens", seen);
}

async function signInAs(page, login, prepare) {
    prepare();
    await page.goto(CONSOLE);
    await page.locator("#sign-in").click();
    await logIn(page, login);
    await page.locator("#sign-in").waitFor();
}

// Providers that do things in another way.
async function providersDiffer() {
    const whole = await (await fetch(DISCOVERY)).json();
    const with_ = async (changes, run, response = {}) => {
        const { page, seen, context } = await open();

        await page.route(DISCOVERY, (route) => route.fulfill({
            status: 200, headers: { "access-control-allow-origin": "*" }, contentType: "application/json", body: JSON.stringify({ ...whole, ...changes }), ...response,
        }));
        await page.goto(CONSOLE + ROUTE);
        await page.locator("#sign-in").click();
        await run(page, seen);
        await context.close();
    };
    const refuses = (name, changes, words, response) => with_(changes, async (page, seen) => {
        await page.waitForFunction((text) => document.querySelector("[role=alert]")?.textContent.includes(text), words);
        check(`${name} is refused, and nothing is kept for it`, page.url() === CONSOLE + ROUTE && await page.evaluate(() => sessionStorage.length) === 0
            && !seen.requests.some(({ url }) => url.startsWith(`${world.provider}/auth`)));
    }, response);

    await with_({ response_modes_supported: undefined, authorization_response_iss_parameter_supported: undefined }, async (page, seen) => {
        await logIn(page, "ann;security");
        await isIn(page);
        check("a provider that answers in a query signs in too, and the address is clean", page.url() === CONSOLE + ROUTE
            && seen.requests.some(({ url }) => url.startsWith(`${CONSOLE}?code=`)), page.url());
        clean("an answer in a query", seen);
    });
    await refuses("a provider by another name", { issuer: `${world.provider}/` }, "another name");
    await refuses("an endpoint that is a script", { authorization_endpoint: "javascript:alert(1)" }, "is not https");
    await refuses("an endpoint without TLS", { authorization_endpoint: "http://idp.example/auth" }, "is not https");
    await refuses("no endpoint at all", { token_endpoint: undefined }, "token_endpoint");
    await refuses("a provider without S256", { code_challenge_methods_supported: ["plain"] }, "no PKCE");
    await refuses("a provider that does not let browsers ask", {}, "Paste a token", { headers: { "access-control-allow-origin": "https://elsewhere.example" } });
    await refuses("a provider that does not answer well", {}, "answers 500", { status: 500 });
    await with_({ token_endpoint: "https://elsewhere.example/token" }, async (page, seen) => {
        await logIn(page, "ann;security");
        await page.locator("#sign-in").waitFor();
        check("a code goes to no host that is not configured", /did not answer this page/.test(await said(page)) && seen.errors.some((error) => error.includes("connect-src https://elsewhere.example")), [await said(page), seen.errors]);
    });
}

async function tokensArePasted() {
    const { page, seen } = await open();
    const paste = async (text) => {
        await page.locator("#token").fill(text);
        await page.locator("form button[type=submit]").click();
    };

    await page.goto(CONSOLE + ROUTE);
    await page.locator("summary", { hasText: "Paste" }).click();
    check("it is said where the command line keeps one", (await main(page)).includes(world.login), await main(page));
    for (const text of ["x", "a.b", "a.b.c.d", `${world.pasted}\nx: y`, `${world.pasted.slice(0, -20)}<b>`, "a.b." + "c".repeat(16 * 1024)]) {
        await paste(text);
        await page.waitForFunction(() => document.querySelector("form [role=alert]").textContent !== "");
        check("what is no token is not sent", await page.locator("form [role=alert]").innerText() === "That is no ID token: three parts with dots between, and nothing else."
            && await page.locator("#token").inputValue() === "" && seen.requests.every(({ authorization }) => !authorization), text.slice(0, 40));
    }
    await paste(`${world.pasted.slice(0, -10)}AAAAAAAAAA`);
    await page.waitForFunction(() => document.querySelector("[role=alert]").textContent.includes("does not accept this token"));
    check("a token that is not good lets nobody in", await page.locator("#pages").isHidden());
    await page.locator("summary", { hasText: "Paste" }).click();
    await paste(`  ${world.pasted}\n`);
    await isIn(page);
    check("one of the command line's client does, and is nowhere in the page", page.url() === CONSOLE + ROUTE && (await main(page)).includes("credential.issued")
        && tokenOf(seen) === world.pasted && await nowhere(page, world.pasted));
    clean("pasting", seen);
}

async function signInsEnd() {
    const { page, seen } = await open();

    await signIn(page, "ann;security", ROUTE);
    await step(3 * 3600);
    await page.evaluate(() => { location.hash = "#/search?type=lease.released"; });
    await page.locator("#notice #sign-in").waitFor();
    check("a token that is too old is told, with the way on", /Your sign-in is over/.test(await page.locator("#notice").innerText())
        && (await main(page)).includes("Sign in again: this page stays as it is"), await main(page));
    check("and is dropped", await nowhere(page, tokenOf(seen)));
    await visit(page, "#/inventory");
    check("other pages can be looked at as far as they are not asked for", (await main(page)).includes("nobody is signed in") && await page.locator("#notice #sign-in").isVisible());
    await page.locator("#notice summary").click();
    await page.locator("#notice textarea").fill("half of a token");
    await visit(page, "#/leases");
    check("what is written there meanwhile stays", await page.locator("#notice textarea").inputValue() === "half of a token");
    await step(-3 * 3600);
    await page.goBack();
    await page.goBack();
    await isAt(page, "#/search?type=lease.released");
    await page.locator("#notice #sign-in").click();
    await isIn(page);
    check("behind the next sign-in it goes on where it was", page.url() === `${CONSOLE}#/search?type=lease.released` && await page.locator("#notice #sign-in").count() === 0, page.url());
    clean("the end of a sign-in", seen);
}

// Whose clock tells when a sign-in is over, and that nobody has to ask for that to be seen.
async function clocksDiffer() {
    const { page, seen } = await open();

    await page.clock.install({ time: Date.now() + 2 * 24 * 3600 * 1000 }); // of this machine, and wrong
    await signIn(page, "ann;security", ROUTE);
    check("a machine whose clock is two days ahead signs in", (await main(page)).includes("credential.issued") && await page.locator("#notice #sign-in").count() === 0);
    const before = seen.requests.length;
    await page.clock.fastForward(3 * 3600 * 1000);
    await page.locator("#notice #sign-in").waitFor();
    check("where nobody asks for anything the end of a sign-in is seen all the same, and the page stays", seen.requests.length === before
        && (await main(page)).includes("credential.issued") && await nowhere(page, tokenOf(seen)));
    clean("clocks", seen);
}

async function anotherAddressIsToldTheRightOne() {
    const { page, seen } = await open();

    await page.goto(CONSOLE.replace("127.0.0.1", "localhost"));
    await page.locator("#sign-in").waitFor();
    check("at another address than the broker's own nobody is sent to the provider", await page.locator("#sign-in").isDisabled()
        && (await main(page)).includes(`Open ${CONSOLE} instead`), await main(page));
    await page.goto(`${CONSOLE}?x=1${ROUTE}`);
    await page.locator("#sign-in").waitFor();
    check("a query that answers nothing changes no address", page.url() === `${CONSOLE}?x=1${ROUTE}`, page.url());
    clean("other addresses", seen);
}

// Browsers keep a whole page that is left, with its memory, and show it again to whoever goes back. This one does not
// while it is looked at: it is told as if it did.
async function whoGoesBackIsNobody() {
    const { page, seen } = await open();
    const turn = (name) => page.evaluate((type) => { dispatchEvent(new PageTransitionEvent(type, { persisted: true })); }, name);

    await signIn(page, "ann;security", ROUTE);
    await turn("pagehide");
    const before = seen.requests.length;
    check("a page that was left shows nothing", !(await page.locator("body").innerText()).includes("credential.issued") && await page.locator("#pages").isHidden());
    await page.evaluate(() => { location.hash = "#/leases"; });
    await page.waitForFunction(() => location.hash === "#/leases");
    check("and has no token", !seen.requests.slice(before).some(({ authorization }) => authorization), seen.requests.slice(before));
    await turn("pageshow");
    await page.locator("#sign-in").waitFor();
    check("who goes back to it is nobody", (await main(page)).includes("Sign in at") && await page.locator("#pages").isHidden(), await main(page));
    clean("going back", seen);
}

async function othersSeeWhatIsTheirs() {
    const { page, seen } = await open();

    await signIn(page, "noah", "#/");
    const text = await main(page);
    check("who has no role is told so, by each part", /no role/.test(await page.locator("#who").innerText()) && text.includes("None of your roles allows this")
        && text.includes("people.roles"), text);
    check("and sees what is public", /Entries\s+\d+/.test(text), text);
    clean("somebody without a role", seen);
    const tom = await open();
    await signIn(tom.page, "tom;payments-team", "#/search?type=credential.issued");
    check("members of an owner see its entries", (await main(tom.page)).includes("acme/payments:build"));
    await visit(tom.page, "#/entry/0");
    check("and no others", (await main(tom.page)).includes("members of the owner"), await main(tom.page));
    await visit(tom.page, `#/entry/${world.issued.index}`);
    check("nor who a person is", !(await main(tom.page)).includes("Personal values"));
    clean("a member", tom.seen);
}

await aPersonSignsIn();
await forgedAnswersAreRefused();
await otherTokensAreRefused();
await providersDiffer();
await tokensArePasted();
await whoGoesBackIsNobody();
await othersSeeWhatIsTheirs();
await clocksDiffer();
await anotherAddressIsToldTheRightOne();
await signInsEnd();
await finish();
