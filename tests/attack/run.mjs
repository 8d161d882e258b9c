// The table of hostile tokens and requests: run.mjs PART [FILTER].
//
// A part (rows/PART.mjs) exports `issuers`, a function of the lab by name, and `rows`. A row has
//   name    what is tried
//   send    a function of the lab that sends it and gives what wire.mjs read
//   answer  one of answers.mjs (or a list of them: answers on one connection)
//   cause   what the log's line says besides: a text it holds, or a pattern
//   closes  whether the broker closes the connection afterwards; not checked where it is undefined
// Every row is held against the whole answer (but decision_id), its fixed header fields, the log,
// and the canary. Rows of one part run side by side where it says so (`concurrency`).

import { Lab } from "./lab.mjs";
import { header } from "./wire.mjs";

const ISSUED_MEMBERS = [
    "access_token",
    "credentials",
    "expires_in",
    "issued_token_type",
    "lease",
    "ledger",
    "scope",
    "token_type",
];
const FORBIDDEN_FIELDS = ["server", "access-control-allow-origin", "set-cookie", "location"];

let failures = 0;

function report(name, problems) {
    console.log(`${problems.length === 0 ? "ok" : "not ok"} - ${name}`);
    for (const problem of problems)
        console.log(`    ${String(problem).replaceAll("\n", "\n    ").slice(0, 4000)}`);
    failures += problems.length === 0 ? 0 : 1;
}

function isEqual(a, b) {
    return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value) {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
    return Object.fromEntries(
        Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([name, member]) => [name, sorted(member)]),
    );
}

function checkHeaders(answer, type) {
    const problems = [];
    const expected = [
        ["content-type", type],
        ["cache-control", "no-store"],
        ["x-content-type-options", "nosniff"],
    ];
    if (answer.status === 503) expected.push(["retry-after", "2"]);
    for (const [name, value] of expected) {
        const values = header(answer, name);
        if (values.length !== 1 || values[0] !== value)
            problems.push(`${name}: ${JSON.stringify(values)}, expected ${value}`);
    }
    for (const name of FORBIDDEN_FIELDS)
        if (header(answer, name).length > 0) problems.push(`an answer has no ${name}`);
    return problems;
}

/** Problems of one answer, and its decision's id. */
function checkAnswer(got, expected) {
    if (got === undefined && expected.mayBeLost) return { problems: [] };
    if (got === undefined) return { problems: [`no answer, expected status ${expected.status}`] };
    if (expected.isLibrary) return { problems: checkLibrary(got, expected.status) };
    let body = null;
    try {
        body = JSON.parse(got.body);
    } catch {
        return { problems: [`status ${got.status}, a body that is no JSON: ${got.body}`] };
    }
    const { decision_id: decision, ...rest } = body;
    const problems = checkHeaders(got, expected.type ?? "application/json");
    if (got.status !== expected.status)
        problems.push(`status ${got.status}, expected ${expected.status}: ${got.body}`);
    else if (expected.isIssued) problems.push(...checkIssued(body));
    else if (!isEqual(rest, expected.body))
        problems.push(`body ${JSON.stringify(rest)}\nexpected ${JSON.stringify(expected.body)}`);
    if (!expected.isIssued && /^[0-9A-Z]{26}$/.test(decision ?? "") !== expected.isDecided)
        problems.push(`decision_id ${decision}`);
    return { problems, decision: decision ?? body.lease?.id };
}

/** The library's pages are fixed texts; their words change with its versions. */
function checkLibrary(got, status) {
    const isFixed =
        /^<html><head><title>[ -~]*<\/body><\/html>$/.test(got.body) && got.body.length < 500;
    const isBare = FORBIDDEN_FIELDS.every((name) => header(got, name).length === 0);
    return got.status === status && isFixed && isBare ? [] : [`status ${got.status}: ${got.body}`];
}

function checkIssued(body) {
    const problems = [];
    if (!isEqual(Object.keys(body).sort(), ISSUED_MEMBERS))
        problems.push(`members ${Object.keys(body).sort()}`);
    if (body.token_type !== "Bearer" && body.token_type !== "DPoP")
        problems.push(`token_type ${body.token_type}`);
    if (!(body.expires_in > 0 && body.expires_in <= 900) || body.lease?.stage === undefined)
        problems.push(`expires_in or lease: ${JSON.stringify(body.lease)}`);
    return problems;
}

/** The log's line of an answer: its decision's, or its lease's, else the first that fits. */
async function checkLog(lab, from, row, expected, decision) {
    const event = new RegExp(expected.log ?? ".");
    const own = decision === undefined ? event : new RegExp(`event=exchange\\..*${decision}`);
    const lines = await lab.logged(from, own);
    const line = lines[0] ?? "";
    const cause = row.cause ?? "";
    const isSaid = cause instanceof RegExp ? cause.test(line) : line.includes(cause);
    if (decision !== undefined && lines.length !== 1)
        return [`${lines.length} lines of the log have ${decision}`];
    if (!event.test(line) || !isSaid)
        return [`the log says: ${line || lab.log(from)}\nexpected ${event} with ${cause}`];
    return [];
}

async function runRow(lab, row) {
    const from = lab.logSize();
    const result = await row.send(lab);
    const expected = [row.answer].flat();
    const problems = [];
    for (const [i, each] of expected.entries()) {
        const { problems: found, decision } = checkAnswer(result.answers[i], each);
        problems.push(...found);
        lab.issuedCount += result.answers[i]?.status === 200 && each.isIssued ? 1 : 0;
        problems.push(...(await checkLog(lab, from, row, each, decision)));
    }
    if (expected.length === 0 && row.cause !== undefined)
        problems.push(...(await checkLog(lab, from, row, {}, undefined)));
    if (result.answers.length > expected.length || result.rest.length > 0)
        problems.push(
            `more than expected: ${JSON.stringify(result.answers.slice(expected.length))} ` +
                result.rest.toString("latin1"),
        );
    if (row.closes !== undefined && row.closes !== result.isClosed)
        problems.push(row.closes ? "the connection stays open" : "the connection is closed");
    if (row.after !== undefined) problems.push(...(await row.after(lab, result)));
    if (lab.canaryVisits.length > 0) problems.push("somebody spoke to the canary");
    return problems;
}

async function runAll(lab, part, rows) {
    const waiting = rows.slice();
    async function work() {
        for (let row = waiting.shift(); row !== undefined; row = waiting.shift())
            report(row.name, await runRow(lab, row).catch((error) => [error.stack]));
    }
    await Promise.all(Array.from({ length: part.concurrency ?? 1 }, work));
}

async function checkEnd(lab, isWhole) {
    report("the broker still lives", (await lab.isAlive()) ? [] : [lab.log().slice(-3000)]);
    const exit = await lab.stopBroker();
    report("it ends as it should", exit === 0 ? [] : [`exit ${exit}`, lab.log().slice(-3000)]);
    const sanitizer = /.*(Sanitizer|runtime error:)[^]*/.exec(lab.log());
    report("no sanitizer has anything to report", sanitizer === null ? [] : [sanitizer[0]]);
    report("no part of a token is in the log", lab.leaks());
    report("nobody spoke to the canary", lab.canaryVisits);
    const issued = isWhole ? lab.entries("credential.issued").length : lab.issuedCount;
    report(
        "the ledger has what was issued, and no more",
        issued === lab.issuedCount ? [] : [`${issued} entries, ${lab.issuedCount} answers`],
    );
}

async function main(name, filter = "") {
    const part = await import(`./rows/${name}.mjs`);
    const rows = part.rows.filter((row) => row.name.includes(filter));
    const lab = new Lab();
    try {
        await lab.start(part.issuers);
        await runAll(lab, part, rows);
        await checkEnd(lab, filter === "");
    } catch (error) {
        report(`${name}: the table runs to its end`, [error.stack]);
    }
    process.exit(failures === 0 ? 0 : 1);
}

await main(...process.argv.slice(2));
