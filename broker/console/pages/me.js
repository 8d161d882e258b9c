// Who is signed in, to the broker.

import { el, facts, foreign, panel, table } from "./dom.js";
import { command, time } from "./format.js";

const MAY = {
    auditor: "reads the ledger, the inventory and the policy, with who a person is",
    operator: "blocks, ends leases and refuses approvals, on the command line; sees leases and the policy",
    approver: "sees approvals; to grant one takes the group that it asks",
};

function roleRow({ role, tenants }) {
    return [foreign(role), tenants ? foreign(tenants.join(", ")) : "all", MAY[role] ?? ""];
}

export const title = "Who you are";

export function show({ me, broker }) {
    return [
        facts([["Subject", foreign(me.subject)], ["Address", me.email && foreign(me.email)], ["Signed in until", time(me.until)]]),
        panel("Roles", me.roles.length > 0 ? table("What the broker's configuration gives you", ["Role", "Tenants", "What it is for"], me.roles.map(roleRow))
            : el("p", {}, "None. You see what belongs to your groups, and to your address where the provider has verified it.")),
        panel("Groups", me.groups.length > 0 ? el("ul", {}, me.groups.map((group) => el("li", {}, foreign(group)))) : el("p", {}, "None: the provider says none in its token.")),
        command("whoami", [["--broker", broker]]),
    ];
}
