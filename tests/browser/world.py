"""What the pages are looked at with: a broker, a provider of people, a ledger with hostile text in it."""

import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

from harness import ROOT, WAIT_S, Place, check, finish, wait_until  # noqa: E402, F401
from auditors import log_in  # noqa: E402
from people import Provider  # noqa: E402

POLICY = """pipeline: acme/payments
tenant: payments
owner: payments-team
review_by: %s
identity: { issuer: github, repository_id: "4242" }
stages:
  build:
    kind: build
    when: { event_name: push }
    grants: { artifacts: { jwt: { audience: "https://artifacts.acme.example" }, ttl: 10m } }
    lease: { max: 1h }
  deploy-prod:
    kind: deploy
    when: { event_name: push, ref: refs/heads/main }
    approval: { by: oncall, within: 10m, wait: 30m }
    grants: { site: { jwt: { audience: "https://site.acme.example", scope: [read, write] }, ttl: 10m } }
  idle:
    kind: release
    when: { event_name: release }
    grants: { artifacts: { jwt: { audience: "https://idle.acme.example" }, ttl: 10m } }
"""

# What a stranger can name a branch: markup, quotes, text from right to left, what nobody sees, much of it.
HOSTILE = {
    "markup": "refs/heads/<img src=x onerror=\"globalThis.broken=1\"><script>globalThis.broken=1</script>",
    "quotes": "refs/heads/'\"`${globalThis.broken=1}`--></pre></title>",
    "turned": "refs/heads/safe\u202etxt.exe\u200b\u2066x\ufeff",
    "blank": "refs/heads/main\u3164\u115f\u034f\ufe0f\u2800\u00a0\u2003x  y",
    "long": "refs/heads/" + "long-" * 150,
    "address": "javascript:globalThis.broken=1",
}


# Every type of entry that there is.
TYPES = sorted(re.findall(r'\{ "([a-z]+\.[a-z_]+)",', open(os.path.join(ROOT, "broker", "ledger", "entry.c")).read()))


class World(Place):
    def __init__(self):
        super().__init__()
        self.people = Provider(self, "people", self.url + "/console/")
        self.start_issuer()
        self.write("policies/payments.yaml", POLICY % time.strftime("%Y-%m-%d", time.gmtime(time.time() + 9 * 24 * 3600)))
        self.extra["people"] = {
            "url": self.people.url, "client_id": "stagepass", "console_client_id": "console", "allow_http": "true",
            "allow_networks": ["127.0.0.0/8"], "scopes": ["openid", "email", "groups"],
            "roles": {"auditor": {"groups": ["security"]}, "operator": {"groups": ["platform"]}},
            "same_as": {"github": {"/github_id": "ci.actor_id"}}}
        self.start_broker()

    def hostile_entries(self):
        """An entry for each of the hostile texts: {name: index}."""
        answers = {name: self.exchange(self.token(run_id=str(700 + i), ref=text), stage="build")
                   for i, (name, text) in enumerate(HOSTILE.items())}
        return {name: answer.json()["ledger"]["index"] for name, answer in answers.items()}

    def settle(self):
        """Until all that was appended is published, and found by searches."""
        auditor = {"Authorization": "Bearer " + self.people.person_token("ann;security")}
        size = len(self.entries())
        published = wait_until(lambda: int(self.request("GET", "/log/checkpoint").body.split("\n")[1]) >= size)
        seen = wait_until(lambda: self.request("GET", "/api/v1/ledger/entries?fresh=1&limit=1", headers=auditor).status == 200)
        check("the ledger is published, and its index has seen it", published and seen)

    def as_person(self, login):
        """The environment of a command line where somebody is logged in."""
        return log_in(self, self.people.person_token(login))

    def told(self, **more):
        """What a program of the browser is told of all this."""
        return dict({"broker": self.url, "admin": self.admin, "provider": self.people.url, "hostile": HOSTILE,
                     "verifier": self.read("store/log/verifier").strip()}, **more)

    def show(self, program, **more):
        """Run a program of the browser; its results are ours."""
        path = os.path.join(HERE, "run")
        sys.stdout.flush()
        result = subprocess.run([path, program], input=json.dumps(self.told(**more)), stderr=subprocess.PIPE, text=True,
                                timeout=8 * WAIT_S, env=dict(os.environ, TMPDIR=self.folder))
        check("%s came to its end" % program, result.returncode == 0, result.stderr[-4000:])
