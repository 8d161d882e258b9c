// A browser that looks at the console, and what it must never see.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(path.resolve(process.env.STAGEPASS_BROWSER_MODULES), "x.js"));
const { chromium } = (await import(pathToFileURL(require.resolve("playwright-core")))).default;

const PROGRAM = "/usr/bin/chromium-headless-shell";
const WAIT_MS = 60_000;

export const world = JSON.parse(await text(process.stdin));
export const CONSOLE = `${world.broker}/console/`;

let failures = 0;

export function check(name, holds, detail = "") {
    console.log(`${holds ? "ok" : "not ok"} - ${name}`);
    if (holds) return true;
    failures++;
    console.log(`    ${String(typeof detail === "string" ? detail : JSON.stringify(detail)).replaceAll("\n", "\n    ").slice(0, 4000)}`);
    return false;
}

// chromium's own sandbox does not work for root, and needs rights that a container does not give.
const browser = await chromium.launch({
    executablePath: PROGRAM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"], timeout: WAIT_MS,
});

// What a page says of itself that must not be: mistakes, and what its content policy stopped.
export async function open(options = {}) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, timezoneId: "Asia/Tokyo", locale: "en-GB", ...options });
    const page = await context.newPage();
    const seen = { errors: [], requests: [] };

    context.setDefaultTimeout(WAIT_MS);
    page.on("pageerror", (error) => seen.errors.push(`mistake: ${error}`));
    page.on("dialog", (dialog) => { seen.errors.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("console", (message) => {
        if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) seen.errors.push(`console: ${message.text()}`);
    });
    page.on("request", (request) => seen.requests.push({ method: request.method(), url: request.url(), authorization: request.headers().authorization }));
    await page.addInitScript(() => {
        addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    return { context, page, seen };
}

// Sign in at the provider's own pages as the person that a login names.
export async function logIn(page, login) {
    await page.locator("input[name=login]").fill(login);
    await page.locator("input[name=password]").fill("any");
    await page.locator("button[type=submit]").click();
    await page.locator("button[type=submit]", { hasText: "Continue" }).click();
}

export async function signIn(page, login, route = "") {
    await page.goto(CONSOLE + route);
    await page.locator("#sign-in").click();
    await logIn(page, login);
    await isIn(page);
}

// Until somebody is signed in, and what they see is there.
export async function isIn(page) {
    await page.locator("#who button").waitFor();
    await settled(page);
}

// Until nothing of the page is still to come.
export async function settled(page) {
    await page.waitForFunction(() => document.querySelector("h1") && !document.querySelector("[aria-busy=true]"));
}

// Another page by its address, as a link or the person's own typing would.
export async function visit(page, route) {
    await page.evaluate((to) => { location.hash = to; }, route);
    await isAt(page, route);
}

export async function isAt(page, route) {
    await page.waitForFunction((to) => document.querySelector("main")?.dataset.route === to.slice(1), route);
    await settled(page);
}

// What is in the way of whoever does not see the page, or uses no mouse: by axe-core, which needs the content policy off.
export async function barriers(page) {
    await page.evaluate(await readFile(require.resolve("axe-core/axe.min.js"), "utf8"));
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));

    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 200)).slice(0, 3).join(" ")}`);
}

export function main(page) {
    return page.locator("main").innerText();
}

// Move the broker's clock.
export async function step(seconds) {
    const response = await fetch(`${world.admin}/test/clock`, { method: "POST", body: new URLSearchParams({ step: seconds }) });

    if (!response.ok) throw new Error(`the clock: ${response.status}`);
}

export async function finish() {
    await browser.close();
    process.exit(failures > 0 ? 1 : 0);
}
