// The pages: what they show is what the API says, and what others wrote stays text.

import { execFileSync } from "node:child_process";

import { CONSOLE, barriers, check, finish, isAt, main, open, settled, signIn, visit, world } from "./lab.mjs";

const { page, seen, context } = await open({ viewport: { width: 1280, height: 900 }, permissions: ["clipboard-read", "clipboard-write"] });

async function ask(path, login = world.auditor) {
    const response = await context.request.get(`${world.broker}/api/v1/${path}`, { headers: { Authorization: `Bearer ${login}` } });

    return response.json();
}

const command = () => page.locator(".command code").innerText();
const rows = () => page.locator("main tbody tr").count();

function run(line) {
    return execFileSync("bash", ["-c", line], { env: { ...process.env, ...world.environment, PATH: `${world.programs}:${process.env.PATH}` }, encoding: "utf8" });
}

// What a shell makes of a command line that a page shows.
function wordsOf(line) {
    return execFileSync("bash", ["-c", `stagepass() { printf '%s\\0' "$@"; }; ${line}`], { encoding: "utf8" }).split("\0").slice(0, -1);
}

// Until the page that an address with this in it names is there.
async function arrives(address) {
    await page.waitForURL(address);
    await isAt(page, new URL(page.url()).hash);
}

function clean(name) {
    check(`${name}: nothing failed, and the content policy had nothing to stop`, seen.errors.length === 0, seen.errors);
    seen.errors.length = 0;
}

const isUsableWithoutAMouse = (name) => isUsableWithoutAMouseAt(page, name);

async function isUsableWithoutAMouseAt(at, name) {
    const found = await at.evaluate(() => {
        const isNamed = (control) => (control.labels && control.labels.length > 0) || control.getAttribute("aria-label") || control.textContent.trim() !== "";
        const controls = [...document.querySelectorAll("input, select, textarea, button, a")];
        return {
            unnamed: controls.filter((control) => !isNamed(control)).map((control) => control.outerHTML),
            heads: document.querySelectorAll("h1").length,
            loose: [...document.querySelectorAll("th")].filter((head) => !head.getAttribute("scope")).length,
            uncaptioned: [...document.querySelectorAll("table")].filter((table) => !table.caption).length,
            ids: [...document.querySelectorAll("[id]")].map(({ id }) => id),
            wide: document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth,
        };
    });

    check(`${name}: every control has a name, every table a caption, and there is one heading`, found.unnamed.length === 0 && found.heads === 1
        && found.loose === 0 && found.uncaptioned === 0 && new Set(found.ids).size === found.ids.length, found);
    check(`${name}: it is no wider than the window`, found.wide <= 0, found.wide);
}

async function overview() {
    await signIn(page, "ann;security");
    const text = await main(page);
    const point = (await (await context.request.get(`${world.broker}/log/checkpoint`)).text()).split("\n");

    check("the checkpoint is shown", text.includes(point[0]) && /Entries\s+\d+/.test(text) && /Root\s+[A-Za-z0-9+/]{43}=/.test(text), text);
    check("and that no witness looks", text.includes("none has cosigned it"), text);
    check("the policy in force", text.includes((await ask("policy")).policy), text);
    check("what lives, waits and is blocked", /Live\s+\d+/.test(text) && /Pending\s+2/.test(text) && /In force\s+1/.test(text), text);
    check("what is due", /Review due of acme\/payments/.test(text), text);
    check("and the latest entries", (await page.locator("table tbody tr").count()) === 10, text);
    await isUsableWithoutAMouse("overview");
    clean("overview");
}

async function me() {
    await page.locator("#who a").click();
    await isAt(page, "#/me");
    const text = await main(page);
    check("who they are, with roles and groups", text.includes("ann;security") && text.includes("ann@acme.example") && /auditor\s+all/.test(text) && /Groups\s+security/.test(text), text);
    check("the command line says the same", run(await command()).includes("ann@acme.example"));
    await isUsableWithoutAMouse("who they are");
    clean("who they are");
}

async function search() {
    await page.keyboard.press("Tab"); // from the heading's place into the page: by keys alone
    await visit(page, "#/search");
    check("the heading of a new page has the focus", await page.evaluate(() => document.activeElement.tagName) === "H1");
    check("and its title is the page's", await page.title() === "Search the ledger · Stagepass", await page.title());
    await page.getByLabel("Type", { exact: true }).fill("credential.issued");
    await page.getByRole("button", { name: "or another value for Type" }).click();
    await page.getByLabel("Type, or").fill("approval.requested");
    await page.getByLabel("Stage", { exact: true }).fill("acme/payments:build");
    await page.locator("#limit").selectOption("50");
    await page.keyboard.press("Enter");
    await arrives(/limit=50/);
    const address = page.url().slice(CONSOLE.length);
    const words = new URLSearchParams(address.split("?")[1]);
    check("an address says what was asked", words.getAll("type").join() === "credential.issued,approval.requested" && words.get("stage") === "acme/payments:build", address);
    const answer = await ask(`ledger/entries?${words}`);
    check("a page has what the API says", await rows() === 50 && answer.entries.length === 50 && (await main(page)).includes("50 entries on this page"), await rows());
    check("and as of when", /as of \d+ entries in the ledger/.test(await main(page)));
    const newest = await page.locator("tbody tr a").first().innerText();
    await page.getByRole("link", { name: "Older entries" }).click();
    await arrives(/cursor=/);
    const older = Number(await page.locator("tbody tr a").first().innerText());
    check("older entries follow", older === answer.entries.at(-1).index - 1 || older < answer.entries.at(-1).index, [older, answer.entries.at(-1).index]);
    check("and the list ends", (await main(page)).includes("This is the end of the list"));
    await page.goBack();
    await isAt(page, address);
    check("back is back", await page.locator("tbody tr a").first().innerText() === newest);
    const shown = (await command()).replace("--limit 50", "--limit 500 --output json");
    const found = run(shown).trim().split("\n").map((line) => JSON.parse(line));
    check("the command line shows the same", found.length > 50 && String(found[0].index) === newest && found[0].entry.type === JSON.parse(answer.entries[0].entry).type, found.length);
    await isUsableWithoutAMouse("search");

    const before = seen.requests.length;
    await visit(page, "#/search?text=artifacts");
    check("free text without a time is not asked", (await main(page)).includes("nothing was asked") && !seen.requests.slice(before).some(({ url }) => url.includes("ledger/entries")));
    await visit(page, "#/search?text=ARTIFACTS.acme&since=1d&limit=50");
    check("with one it is a scan, and says so", (await main(page)).includes("This is a scan") && await rows() > 0, await main(page));
    await visit(page, "#/search?text=there-is-no-such-text&since=1d");
    check("what finds nothing says so", (await main(page)).includes("0 entries on this page"));
    await visit(page, "#/search?commit=b28b7af");
    check("what the broker does not take is told with its own words", /does not take this question/.test(await main(page)) && await page.locator("main bdi").count() > 0, await main(page));
    await visit(page, "#/search?cursor=x");
    check("a cursor that is none is told, too", /does not take this question/.test(await main(page)));
    await visit(page, `#/search?unknown=1&__proto__=2&stage=${"x".repeat(1024)}`);
    check("words that there are not are left out", (await main(page)).includes("0 entries on this page"), await main(page));
    const types = await page.locator("datalist option").evaluateAll((options) => options.map(({ value }) => value));
    check("every type of entry can be chosen", types.toSorted().join() === world.types.join(), types);
    clean("search");
}

async function entry() {
    await visit(page, `#/entry/${world.issued.index}`);
    const text = await main(page);
    check("an entry's leaf hash is that of its receipt", text.includes(world.issued.leaf_hash), text);
    check("and it is included", /Included in the checkpoint of \d+ entries/.test(text), text);
    check("with what that does not prove", text.includes("excludes no operator"));
    check("personal values are held against their digests", /ci\.actor\s+rina\s+holds/.test(text) && !text.includes("does not hold"), text);
    const whole = await ask(`ledger/entries/${world.issued.index}`);
    check("the text that was hashed is there, byte for byte", (await page.locator("pre").first().innerText()) === whole.entry);
    check("all its members are there", text.includes("claims.repository_id") && text.includes("token.kid") && text.includes("credentials.0.audience"));
    check("the lease's entries are there", await page.locator("section", { hasText: "The lease" }).locator("tbody tr").count() >= 1);
    check("it leads to its run", (await page.getByRole("link", { name: JSON.parse(whole.entry).ci.run, exact: true }).first().getAttribute("href")).startsWith("#/search?run="));
    check("times have the reader's own", (await page.locator("time").first().getAttribute("title")).endsWith("(your time zone)"));
    check("the command line shows the same", run(`${await command()} --output json`).includes(world.issued.leaf_hash), run(`${await command()} --output json`));
    await isUsableWithoutAMouse("entry");
    await page.getByRole("link", { name: /^← entry/ }).click();
    await isAt(page, `#/entry/${world.issued.index - 1}`);
    await page.getByRole("link", { name: /→$/ }).click();
    await isAt(page, `#/entry/${world.issued.index}`);
    await visit(page, "#/entry/99999999");
    check("one that there is not is told", (await main(page)).includes("There is no such thing here"));
    for (const route of ["#/entry/01", "#/entry/-1", "#/entry/1e3", "#/entry/", "#/nothing", "#//", `#/entry/${"9".repeat(16)}`]) {
        await page.evaluate((to) => { location.hash = to; }, route);
        await page.waitForFunction(() => document.querySelector("h1").textContent === "There is no such page");
    }
    check("other addresses are no page", true);
    clean("entries");
}

// What comes from the broker was changed on the way.
async function changedHashes() {
    const index = world.issued.index;
    const change = async (pattern, alter, words, name) => {
        await page.route(pattern, async (route) => {
            const response = await route.fetch();
            await route.fulfill({ response, body: alter(await response.body()) });
        });
        await visit(page, "#/blocks");
        await visit(page, `#/entry/${index}`);
        check(name, (await main(page)).includes(words), await main(page));
        await page.unroute(pattern);
    };
    const flipped = (body) => {
        const bytes = Buffer.from(body);
        bytes[5] ^= 1;
        return bytes;
    };

    await change(`${world.broker}/log/tile/0/**`, flipped, "Not included", "a tile that was changed comes to no root");
    await change(`${world.broker}/log/checkpoint`, (body) => body.toString().replace(/\n[A-Za-z0-9+/]{4}(?=[A-Za-z0-9+/]{39}=\n)/, "\nAAAA"), "Not included", "nor a root that was");
    await change(`${world.broker}/log/checkpoint`, (body) => body.toString().replace(/\n\d+\n/, "\n1\n"), "not among them yet", "an entry behind the checkpoint is not proven");
    await change(`${world.broker}/log/checkpoint`, () => "nonsense", "mistake of its own", "a checkpoint that is none proves nothing");
    await change(`${world.broker}/api/v1/ledger/entries/${index}`, (body) => JSON.stringify({ ...JSON.parse(body), entry: JSON.parse(body).entry.replace("acme/payments:build", "acme/payments:other") }), "Not included", "nor an entry that was changed");
    await change(`${world.broker}/api/v1/ledger/entries/${index}`, (body) => {
        const answer = JSON.parse(body);
        answer.private["ci.actor"].value = "mallory";
        return JSON.stringify(answer);
    }, "does not hold", "a personal value that was changed does not hold");
    await change(`${world.broker}/api/v1/ledger/entries/${index}`, (body) => JSON.stringify({ index, entry: JSON.parse(body).entry, erased: true }), "They were erased", "what was erased says so");
    await change(`${world.broker}/api/v1/ledger/entries/${index}`, () => JSON.stringify({ index, pruned: true, leaf_hash: world.issued.leaf_hash }), "Included in the checkpoint", "what was pruned is included still");
    await change(`${world.broker}/api/v1/ledger/entries/${index}`, () => "<p>", "no JSON", "what is no JSON says so");
    seen.errors.length = 0; // a checkpoint that is none
}

async function hostileTexts() {
    for (const [name, text] of Object.entries(world.hostile)) {
        await visit(page, `#/entry/${world.hostileEntries[name]}`);
        const found = await page.evaluate(() => ({
            broken: globalThis.broken, made: document.querySelectorAll("main script, main img, main iframe, main style, main b").length,
            links: [...document.querySelectorAll("main a")].map((link) => link.getAttribute("href")).filter((to) => !to.startsWith("#/")),
        }));
        check(`${name}: nothing ran, and nothing was made of it`, found.broken === undefined && found.made === 0 && found.links.length === 0, found);
        const shown = await main(page);
        const wanted = text.replace(/[^\x20-\x7e]/gu, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
        check(`${name}: it is there as text`, shown.includes(wanted), shown);
        check(`${name}: and nothing of it turns the text around it`, !/[^\x20-\x7e\s×·…←→–]|[\u00a0\u2003\ufeff]/u.test(shown), shown);
        await isUsableWithoutAMouse(name);
    }
    for (const text of [...Object.values(world.hostile), "-x", "a b", "$(touch /tmp/x)", "it's \"so\"", "\\", "`x`;|&", "é\u{1f600}"]) {
        await visit(page, `#/search?${new URLSearchParams({ subject: text })}`);
        const words = wordsOf(await command());
        check("a command line says the word as it was given, whatever is in it", words.at(-3) === text || words.at(-3) === `--subject=${text}`, [words, await command()]);
    }
    for (const text of ["\u00e9'; ran #", "\\'; ran #", "\n'; ran #", "'\\''\u00e9\\'; ran #"]) {
        await visit(page, `#/search?${new URLSearchParams({ subject: `x${text}` })}`);
        const line = await command();
        const said = execFileSync("dash", ["-c", `stagepass() { :; }; ran() { echo ran; }; ${line}`], { encoding: "utf8" });
        const rest = line.replace(/\$'(\\x[0-9a-f]{2}|\\U[0-9a-f]{8})+'|'[^'\\]*'|\\['\\]/g, "");
        check("in a shell that knows less of quotes it is one command, too", said === "" && !/['"\\$;#]/.test(rest) && wordsOf(line).at(-3) === `x${text}`, [said, line, rest]);
    }
    await page.route(`${world.broker}/api/v1/blocks`, (route) => route.fulfill({ json: { limit: 500, blocks: [
        { kind: "commit", value: "x", reason: "y", by: "z", since: "not \u202ea time", until: "2026\u202e", entry: 1 },
    ] } }));
    await visit(page, "#/blocks");
    check("nor does a time that is none", (await main(page)).includes("not \\u{202e}a time") && (await main(page)).includes("2026\\u{202e}"), await main(page));
    await page.unroute(`${world.broker}/api/v1/blocks`);
    check("nothing ran", await page.evaluate(() => globalThis.broken) === undefined);
    await page.goto(`${CONSOLE}#/search?stage="><script>globalThis.broken=1</script>`);
    await page.waitForFunction(() => document.querySelector("input[name=stage]")?.value.includes("<script>"));
    await settled(page);
    check("nor in an address", await page.evaluate(() => globalThis.broken) === undefined && await page.locator("main script").count() === 0);
    clean("hostile texts");
}

async function lists() {
    await visit(page, "#/inventory");
    let text = await main(page);
    check("the inventory has what is allowed beside what was done", /acme\/payments:build[\s\S]*yes[\s\S]*\d+×/.test(text) && /acme\/payments:idle[\s\S]*never/.test(text), text);
    check("and who did it", await page.locator("main details summary", { hasText: "identit" }).count() >= 1, text);
    await isUsableWithoutAMouse("inventory");
    await page.getByLabel("Allowed, and not used since").fill("90d");
    await page.getByRole("button", { name: "Show" }).press("Enter");
    await arrives(/unused=90d/);
    text = await main(page);
    check("what was not used is found", text.includes("acme/payments:idle") && !text.includes("acme/payments:build\n"), text);
    const listed = JSON.parse(run(`${(await command())} --output json --catalog ${world.catalog}`));
    check("the command line shows the same", listed.rows?.length === await rows(), [await rows(), Object.keys(listed)]);

    await visit(page, "#/leases?stage=acme%2Fpayments%3Abuild");
    check("leases that live are there, a page of them", await rows() === Math.min(100, (await ask("leases?stage=acme/payments:build")).leases.length) && await rows() > 50, await rows());
    check("the command line shows the same", run(await command()).includes("acme/payments:build"));
    await isUsableWithoutAMouse("leases");
    await page.getByLabel("Instead: ended, with credentials that are not").check();
    await page.getByRole("button", { name: "Show" }).press("Enter");
    await arrives(/stuck=1/);
    check("none is stuck", (await main(page)).includes("0 leases on this page") && (await command()).endsWith("--stuck"), await main(page));

    await visit(page, "#/blocks");
    text = await main(page);
    check("blocks are there, as text", text.includes("<i>found</i> in a log") && text.includes("1 block in force, of 500"), text);
    check("the command line shows the same", run(await command()).includes("in a log"));
    await isUsableWithoutAMouse("blocks");

    await visit(page, "#/approvals");
    check("approvals are there", await rows() === 2 && (await main(page)).includes("ship <b>it</b>"), await main(page));
    check("the command line shows the same", run(await command()).includes(world.approval));
    await isUsableWithoutAMouse("approvals");
    await page.getByRole("link", { name: world.approval }).click();
    await isAt(page, `#/approval/${world.approval}`);
    const asked = await ask(`approvals/${world.approval}`);
    text = await main(page);
    check("one is shown with all that is asked, and its digest", text.includes(asked.digest) && text.includes("https://site.acme.example") && text.includes("oncall") && text.includes("rina (4411)"), text);
    await isUsableWithoutAMouse("approval");
    clean("lists");
}

// Granting and refusing: what was seen, by who is asked, with a reason, and by no accident.
async function decisions() {
    await visit(page, `#/approval/${world.approval}`);
    check("who is not asked decides nothing", (await main(page)).includes("not yours to decide") && await page.getByRole("button", { name: "Grant" }).count() === 0, await main(page));
    clean("approvals of others");

    const rina = await open();
    await signIn(rina.page, "rina;oncall;4411", `#/approval/${world.approval}`);
    const grant = async ({ page: at }, reason) => {
        await at.getByLabel("Reason, for the ledger").fill(reason);
        await at.getByRole("button", { name: "Grant exactly this" }).click();
    };
    await grant(rina, "mine");
    await rina.page.getByText("you started the run").waitFor();
    check("nobody grants their own run, and is told why", (await main(rina.page)).includes("somebody else has to approve it") && (await ask(`approvals/${world.approval}`)).state === "pending");

    const ben = await open();
    const long = "read:x ".repeat(1000);
    const asked = await ask(`approvals/${world.approval}`);
    await ben.page.route(`${world.broker}/api/v1/approvals/${world.approval}`, (route) => route.fulfill({ json: {
        ...asked, tenant: "its-tenant", instance: "customer-b", audience: `${long}audience-end`, scope: `${long}scope-end`, bindings: { plan: `${long}plan-end` },
        ci: { ...asked.ci, repository_id: "its-repository-id" }, grants: [{ ...asked.grants[0], scope: `${long}grant-end`, ttl_s: 90059 }],
    } }));
    await signIn(ben.page, "ben;oncall;9", `#/approval/${world.approval}`);
    const shown = await main(ben.page);
    check("all that is granted is shown, the instance too, and nothing of it is cut", ["its-tenant", "its-repository-id", "customer-b", "audience-end", "scope-end", "plan-end", "grant-end", "1d 1h 59s"]
        .every((part) => shown.includes(part)), shown.slice(0, 3000));

    const bob = await open();
    const posts = () => bob.seen.requests.filter(({ method, url }) => method === "POST" && url.startsWith(world.broker));
    await bob.page.route(`${world.broker}/api/v1/approvals/${world.approval}`, async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, json: { ...await response.json(), digest: `sha256:${"0".repeat(64)}` } });
    });
    await signIn(bob.page, "bob;oncall;8", `#/approval/${world.approval}`);
    await grant(bob, "seen");
    await bob.page.getByText("is not that of this approval").waitFor();
    check("what was shown otherwise than it is, is not granted", (await ask(`approvals/${world.approval}`)).state === "pending");
    await bob.page.unroute(`${world.broker}/api/v1/approvals/${world.approval}`);
    await visit(bob.page, "#/approvals");
    await visit(bob.page, `#/approval/${world.approval}`);
    const before = posts().length;
    for (const reason of ["", "   "]) await grant(bob, reason);
    await bob.page.getByLabel("Reason, for the ledger").fill("seen, CHG-1234");
    await bob.page.keyboard.press("Enter");
    await bob.page.locator("#pages a").first().focus(); // whatever Enter would do has been done
    check("nothing is sent without a reason, nor by the key Enter", posts().length === before, posts());
    await isUsableWithoutAMouseAt(bob.page, "a decision");
    await grant(bob, "seen, CHG-1234");
    await bob.page.getByText("You have granted it").waitFor();
    await settled(bob.page);
    const given = await ask(`approvals/${world.approval}`);
    check("who is asked grants it, and sees what it became", given.state === "granted" && posts().length === before + 1 && (await main(bob.page)).includes("granted"), given);
    await visit(bob.page, `#/approval/${world.refused}`);
    await bob.page.getByLabel("Reason, for the ledger").fill("not on a Friday");
    await bob.page.getByRole("button", { name: "Refuse it" }).click();
    await bob.page.getByText("You have refused it").waitFor();
    await settled(bob.page);
    check("and refuses another", (await ask(`approvals/${world.refused}`)).state === "rejected" && await bob.page.getByRole("button", { name: "Refuse" }).count() === 0, await main(bob.page));
    check("nothing failed", bob.seen.errors.length === 0 && rina.seen.errors.length === 0, [bob.seen.errors, rina.seen.errors]);
}

// Answers that are none: in words, with what to do.
async function refusals() {
    const rows = [
        [400, {}, "does not take this question"], [401, {}, "Your sign-in is over"], [403, {}, "None of your roles allows this"],
        [429, { "retry-after": "7" }, "Try again in 7 seconds"], [503, { "retry-after": "1" }, "Try again in 1 second."], [500, {}, "Status 500"],
    ];

    for (const [status, headers, words] of rows.filter(([status]) => status !== 401)) {
        await page.route(`${world.broker}/api/v1/blocks`, (route) => route.fulfill({
            status, headers, contentType: "application/problem+json", body: JSON.stringify({ type: "about:blank", title: "x", status, detail: "<b>told</b>" }),
        }));
        await visit(page, "#/approvals");
        await visit(page, "#/blocks");
        check(`${status} is told in words`, (await main(page)).includes(words) && (await main(page)).includes("<b>told</b>"), await main(page));
        await page.unroute(`${world.broker}/api/v1/blocks`);
        if ([429, 503].includes(status)) {
            await page.getByRole("button", { name: "Try again" }).click();
            await page.locator("main tbody tr").first().waitFor();
            check("and can be tried again", true);
        }
    }
    await page.route(`${world.broker}/api/v1/blocks`, (route) => route.abort());
    await visit(page, "#/approvals");
    await visit(page, "#/blocks");
    check("no answer is told, too", (await main(page)).includes("the broker does not answer"), await main(page));
    await page.unroute(`${world.broker}/api/v1/blocks`);
    clean("refusals");
}

async function looks() {
    const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

    await page.emulateMedia({ colorScheme: "light" });
    const light = await paper();
    await page.emulateMedia({ colorScheme: "dark" });
    check("there is a dark look", light === "rgb(255, 255, 255)" && await paper() !== light, [light, await paper()]);
    await page.setViewportSize({ width: 360, height: 700 });
    await visit(page, "#/");
    await isUsableWithoutAMouse("a phone's overview");
    await visit(page, `#/entry/${world.hostileEntries.long}`);
    await isUsableWithoutAMouse("a phone's entry");
    await page.locator("#skip").focus();
    await page.keyboard.press("Enter");
    check("the skip link goes to the page, and not to another one", await page.evaluate(() => document.activeElement.id) === "main" && page.url().endsWith(`#/entry/${world.hostileEntries.long}`));
    await page.locator(".command button").click();
    await page.locator(".command button", { hasText: "Copied" }).waitFor();
    check("a command can be copied", await page.evaluate(() => navigator.clipboard.readText()) === await command());
    clean("looks");
}

async function nobodyIsKeptOut() {
    const routes = ["#/", "#/search", `#/entry/${world.issued.index}`, "#/inventory", "#/leases", "#/blocks", "#/approvals", `#/approval/${world.approval}`, "#/me"];
    const found = [];

    for (const colorScheme of ["light", "dark"]) {
        const { page: other, context: its } = await open({ bypassCSP: true, colorScheme });
        const look = async (name) => found.push(...(await barriers(other)).map((barrier) => `${colorScheme} ${name}: ${barrier}`));
        await other.goto(CONSOLE);
        await other.locator("#sign-in").waitFor();
        await look("sign-in");
        await signIn(other, "bob;oncall,security;8");
        for (const route of colorScheme === "light" ? routes : routes.slice(0, 3)) {
            await visit(other, route);
            await look(route);
        }
        await its.close();
    }
    check("axe finds no barrier in any page, light or dark", found.length === 0, found.join("\n"));
}

// The content policy is in force: what gets past the pages' own care meets it.
async function policyHolds() {
    const tried = await page.evaluate(async () => {
        const main = document.querySelector("main");
        const attempt = (run) => { try { run(); return "done"; } catch (error) { return error.name; } };
        const image = document.createElement("img");
        image.src = "x:";
        main.append(image);
        const script = document.createElement("script");
        const results = {
            handler: attempt(() => image.setAttribute("onerror", "globalThis.broken = 2")),
            markup: attempt(() => { main.innerHTML = "<b>x</b>"; }),
            text: attempt(() => { script.textContent = "globalThis.broken = 3"; main.append(script); }),
            policy: attempt(() => globalThis.trustedTypes.createPolicy("x", { createHTML: (text) => text })),
            base: attempt(() => { const base = document.createElement("base"); base.href = "https://evil.example/"; document.head.append(base); }),
        };
        results.elsewhere = await fetch("https://evil.example/").then(() => "done", (error) => error.name);
        // what runs for a debugger is not held to the policy: this does later, for the page
        results.code = await new Promise((resolve) => { setTimeout(() => resolve(attempt(() => globalThis.eval("globalThis.broken = 4"))), 0); });
        return { ...results, at: document.baseURI, broken: globalThis.broken };
    });

    check("no text becomes markup, script or a policy, no script is inline, nobody else is asked, and no base moves", tried.markup === "TypeError" && tried.handler === "TypeError" && tried.code !== "done"
        && tried.policy === "TypeError" && tried.elsewhere === "TypeError" && tried.at.startsWith(CONSOLE) && tried.broken === undefined, tried);
    const frame = await context.newPage();
    await frame.setContent(`<iframe src="${CONSOLE}"></iframe>`);
    await frame.waitForLoadState("load");
    check("no page frames the console", frame.frames().every((one) => !one.url().startsWith(CONSOLE)), frame.frames().map((one) => one.url()));
}

await overview();
await me();
await search();
await entry();
await changedHashes();
await hostileTexts();
await lists();
await decisions();
await refusals();
await nobodyIsKeptOut();
await looks();
await policyHolds();
check("nothing of all this was asked of anybody else", seen.requests.every(({ url }) => url.startsWith(world.broker) || url.startsWith(world.provider) || /fonts\.g/.test(url) || url === "https://evil.example/" || url === "x:"),
    seen.requests.map(({ url }) => url).filter((url) => !url.startsWith(world.broker)));
await finish();
