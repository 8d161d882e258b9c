// What operators have blocked.

import { el, foreign, table } from "./dom.js";
import { entryLink, text } from "./entries.js";
import { command, count, time } from "./format.js";
import { part } from "./part.js";

function line(block) {
    return [foreign(text(block.kind)), foreign(text(block.value)), foreign(text(block.reason)), foreign(text(block.by)),
        time(block.since) ?? "", time(block.until) ?? "", entryLink(block.entry)];
}

async function results(context) {
    const answer = await context.ask("api/v1/blocks");

    return el("div", {},
        el("p", { role: "status" }, `${count(answer.blocks.length, "block", "blocks")} in force, of ${answer.limit} that may be.`),
        answer.blocks.length > 0 && table("Blocks in force", ["Kind", "Value", "Reason", "By", "Since", "Until", "Entry"], answer.blocks.map(line)));
}

export const title = "Blocks";

export function show(context) {
    return [part(context, () => results(context), "operator"), command("blocks", [["--broker", context.broker]])];
}
