"""Reads Markdown and runs its examples.

A fenced block of sh, yaml or json has a comment above it that says how it is tried:

  <!-- tested: file NAME -->          written under NAME, for the blocks after it
  <!-- tested: broker NAME -->        the same, and `stagepassd --config NAME --check` accepts it
  <!-- tested: catalog NAME -->       the same, and `stagepass policy check --catalog NAME` accepts it
  <!-- tested: issuers -->            `issuers` of a broker.yaml, for the policies after it
  <!-- tested: policy NAME -->        a policy file: checked, and its tests are run
  <!-- tested: guardrails -->         guardrails, beside a least pipeline: checked
  <!-- tested: template NAME -->      a template, for the policies that use it
  <!-- tested: stages -->             stages of a pipeline: checked
  <!-- tested: stage -->              what stands in a stage: checked
  <!-- tested: grants -->             grants of a stage: checked
  <!-- tested: run -->                a script, in the document's folder
  <!-- tested: example NAME -->       a script, in that folder of policy/examples
  <!-- tested: beside -->             a script where the policy above is, with `claims/` of the tests
  <!-- tested: job CLAIMS [-CLAIM] -->  a script that has a job's token, and a running broker
  <!-- tested: operator -->           a script of a person who is logged in as operator and auditor there
  <!-- tested: workflow CLAIMS -->  a workflow's one step, against the development issuer
  <!-- tested: prints -->             what the block before printed; `...` stands for anything
  <!-- not tested: WHY -->

`guarded` behind a stage puts the document's first guardrails beside it. `refused` behind a kind of policy, and `exit N` behind a script, say that it must fail.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

from auditors import People, log_in  # noqa: E402
from harness import PAYMENTS, PROGRAMS, ROOT, Place, check  # noqa: E402

BROKER_URL = "https://broker.acme.example"
CLAIMS = os.path.join(ROOT, "tests", "data", "claims", "github")

# What policy blocks are checked against. A catalog has no keys.
WORLD = """
issuer: https://broker.acme.example
listen: { address: 127.0.0.1 }
store: store
policy: { directory: policies }
people: { url: https://idp.acme.example, client_id: stagepass, same_as: { github: { /github_id: ci.actor_id } } }
issuers:
  github: { profile: github, audience: https://broker.acme.example, only: { repository_owner_id: "918273" } }
  old-ci: { profile: generic, url: https://ci.acme.example, audience: broker,
            claims: { project_id: string, build_number: integer, trusted: boolean, groups: strings },
            ids: [project_id] }
targets:
  fleet: { type: ssh, key: ssh-ca, environment: production }
  previews: { type: ssh, key: ssh-previews }
  mesh: { type: x509, trust_domain: acme.example, domains: [payments.acme.example], environment: production, key: mesh-ca }
  orders-db: { type: postgres, dsn_file: orders.dsn, environment: production }
  prod-aws: { type: aws, region: eu-central-1, environment: production, accounts: ["111122223333"] }
  prod-gcp: { type: gcp, environment: production, projects: [acme-prod],
              provider: //iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/ci/providers/broker }
  prod-azure: { type: azure, environment: production, directory: 7c9e6679-7425-40de-944b-e07fc1f90ae7,
                clients: [0f8fad5b-d9cb-469f-a165-70867728950e] }
  prod-k8s: { type: kubernetes, environment: production, api: https://10.0.0.1:6443 }
  prod-vault: { type: vault, environment: production, address: https://vault.acme.example }
  acme-github: { type: github, environment: production, installation: "77", app: Iv23liEXAMPLE, key: github-app }
  acme-gitlab: { type: gitlab, environment: production, url: https://gitlab.acme.example, token_file: gitlab.token }
  images: { type: registry, service: registry.acme.example, environment: production, key: registry }
"""

CATALOG = re.sub(r", (key|dsn_file|token_file): [a-z.-]+", "", WORLD[WORLD.index("issuers:"):])

PIPELINE = """pipeline: acme/payments
owner: payments@acme.example
identity: { issuer: github, repository_id: "4242" }
stages:
"""

LEAST_STAGE = "  build: { kind: build, when: { event_name: push } }\n"


class Block:
    def __init__(self, line, language, text, note):
        self.line = line
        self.language = language
        self.text = text
        self.is_tested = note is not None and note.startswith("tested: ")
        self.note = note
        words = note.split(": ", 1)[1].split() if self.is_tested else []
        self.is_refused = "refused" in words
        self.exit = int(words[words.index("exit") + 1]) if "exit" in words else 0
        self.is_guarded = "guarded" in words
        self.words = [w for w in words if w not in ("refused", "guarded")]
        if "exit" in self.words:
            del self.words[self.words.index("exit"):]
        self.kind = self.words[0] if self.words else None


def blocks_of(text):
    """The fenced blocks of a Markdown text, each with the comment above it."""
    blocks = []
    note = None
    fence = None
    for number, line in enumerate(text.splitlines(), 1):
        if fence is not None:
            if line.strip() == "```":
                blocks.append(Block(fence[0], fence[1], "".join(lines), note))
                fence, note = None, None
            else:
                lines.append(line + "\n")
            continue
        opened = re.match(r"```(\w*)$", line)
        comment = re.match(r"<!-- ((?:not )?tested: .*) -->$", line)
        if opened:
            fence, lines = (number, opened.group(1)), []
        elif comment:
            note = comment.group(1)
        elif line.strip():
            note = None
    return blocks


def pattern_of(expected):
    """A pattern for text in which `...` stands for anything, on a line by itself for any lines."""
    parts = []
    for line in expected.rstrip("\n").split("\n"):
        if line.strip() == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            parts.append(".*?".join(re.escape(p) for p in line.split("...")) + r"\n")
    return re.compile("".join(parts) + r"\Z")


class Document:
    """A Markdown file, its folder of files, and what is running for it."""

    def __init__(self, name):
        self.name = name
        self.text = open(os.path.join(ROOT, name)).read()
        self.blocks = blocks_of(self.text)
        self.place = Place()
        self.folder = self.place.path("document")
        os.makedirs(self.folder)
        self.printed = None
        self.is_running = False
        self.world = WORLD
        self.checked = 0

    def say(self, block, holds, detail=""):
        self.checked += 1
        check("%s:%d: %s" % (self.name, block.line, block.note), holds, detail)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write(text)
        return path

    def run(self, arguments, folder=None, env=None):
        result = subprocess.run(arguments, cwd=folder or self.folder, text=True, timeout=120,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, PATH=PROGRAMS + ":" + os.environ["PATH"],
                                                      **(env or {})))
        self.printed = result.stdout
        return result

    # ---- kinds of blocks ----

    def try_file(self, block):
        self.write(block.words[1], block.text)
        self.say(block, True)

    def try_broker(self, block):
        name = block.words[1] if len(block.words) > 1 else "example/broker.yaml"
        # What stands at absolute places on a host stands beside the document's files here.
        text = block.text.replace("/etc/stagepass", self.folder + "/etc")
        path = self.write(name, text)
        self.try_with_least_policy(block, path, ["stagepassd", "--config", name, "--check"])

    def try_catalog(self, block):
        path = self.write(block.words[1], block.text)
        self.try_with_least_policy(block, path, ["stagepass", "policy", "check", "--catalog", block.words[1]])

    def try_with_least_policy(self, block, path, arguments):
        """A configuration that needs a policy folder: one is lent where there is none."""
        named = re.search(r"policy: *{ *directory: *([^ }]+)", open(path).read())
        policies = os.path.join(os.path.dirname(path), named.group(1) if named else "policies")
        is_borrowed = not os.path.isdir(policies)
        if is_borrowed:
            issuer, claim = (block.words[2].split("=") if len(block.words) > 2
                             else ("github", "repository_id"))
            os.makedirs(policies)
            with open(os.path.join(policies, "least.yaml"), "w") as stream:
                stream.write('pipeline: a\nowner: a\nidentity: { issuer: %s, %s: "1" }\n'
                             "stages: { build: { kind: build } }\n" % (issuer, claim))
        result = self.run(arguments)
        if is_borrowed:
            os.remove(os.path.join(policies, "least.yaml"))
            os.rmdir(policies)
        self.say(block, result.returncode == (2 if block.is_refused else 0), self.printed)

    def try_issuers(self, block):
        """Checked with the policy that must follow."""
        self.world = re.sub(r"(?ms)^people:.*?(?=^targets:)", lambda _: block.text, WORLD)
        following = self.blocks[self.blocks.index(block) + 1:][:1]
        self.say(block, bool(following) and following[0].kind == "policy" and self.world != WORLD)

    def try_policy(self, block, text=None, guards=None):
        name = block.words[1] if len(block.words) > 1 else "policy.yaml"
        folder = os.path.join("checked", str(block.line))
        for sets in [b for b in self.blocks if b.kind == "sets"]:
            self.write(os.path.join(folder, "policies", "sets.yaml"), sets.text)
        if block.is_guarded:
            guards = next(b for b in self.blocks if b.kind == "guardrails").text
        if guards:
            self.write(os.path.join(folder, "policies", "guardrails.yaml"), guards)
        for template in [b for b in self.blocks if b.kind == "template" and re.search(r"\buse:", block.text)]:
            self.write(os.path.join(folder, "policies", template.words[1]), template.text)
        self.write(os.path.join(folder, "broker.yaml"), self.world)
        self.write(os.path.join(folder, "policies", name), block.text if text is None else text)
        folder = os.path.join(self.folder, folder)
        self.policy_folder = folder
        result = self.run(["stagepass", "policy", "check", "--config", "broker.yaml"], folder)
        if block.is_refused:
            self.say(block, result.returncode == 2, self.printed)
            return
        good = result.returncode == 0
        if good and "tests:" in block.text:
            checked = self.printed
            result = self.run(["stagepass", "policy", "test", "--config", "broker.yaml", "--claims", os.path.dirname(CLAIMS)], folder)
            good = result.returncode == 0
            self.printed = checked + self.printed
        self.say(block, good, self.printed)

    def try_sets(self, block):
        self.try_policy(block, PIPELINE + LEAST_STAGE)

    def try_guardrails(self, block):
        self.try_policy(block, PIPELINE + LEAST_STAGE, block.text)

    def try_template(self, block):
        """Checked with the policies that use it."""
        self.say(block, any(b.is_tested and "use:" in b.text for b in self.blocks))

    def try_stages(self, block):
        self.try_policy(block, PIPELINE + indent(block.text, 2))

    def try_stage(self, block):
        text = block.text
        if "kind:" not in text and "use:" not in text:
            text = "kind: deploy\n" + text
        self.try_policy(block, PIPELINE + LEAST_STAGE + "  deploy-prod:\n" + indent(text, 4))

    def try_grants(self, block):
        head = ("  deploy-prod:\n    kind: deploy\n    environment: production\n"
                "    when: { ref: refs/heads/main, environment: production }\n")
        self.try_policy(block, PIPELINE + head + indent(block.text, 4))

    def try_beside(self, block):
        claims = os.path.join(self.policy_folder, "claims")
        if not os.path.exists(claims):
            os.symlink(os.path.dirname(CLAIMS), claims)
        result = self.run(["bash", "-euo", "pipefail", "-c", block.text], self.policy_folder,
                          {"STAGEPASS_CONFIG": "broker.yaml", "LC_ALL": "C.UTF-8"})
        self.say(block, result.returncode == block.exit, "exit %d\n%s" % (result.returncode, self.printed))

    def try_run(self, block):
        result = self.run(["bash", "-euo", "pipefail", "-c", block.text])
        self.say(block, result.returncode == block.exit, "exit %d\n%s" % (result.returncode, self.printed))

    def try_example(self, block):
        result = self.run(["bash", "-euo", "pipefail", "-c", block.text],
                          os.path.join(ROOT, "policy", "examples", block.words[1]))
        self.say(block, result.returncode == block.exit, "exit %d\n%s" % (result.returncode, self.printed))

    def start(self):
        """The broker, with the document's policies where it has some."""
        if self.is_running:
            return
        self.place.start_issuer()
        self.place.targets["prod-aws"] = {"type": "aws", "region": "eu-central-1", "environment":
                                          "production", "accounts": ["111122223333"]}
        policies = os.path.join(self.folder, "policies")
        if os.path.isdir(policies):
            for name in os.listdir(policies):
                self.place.write("policies/" + name, open(os.path.join(policies, name)).read())
        else:
            self.place.write("policies/payments.yaml", PAYMENTS)
        self.write("deploy", "#!/bin/sh\nexec ssh-add -l\n")
        os.chmod(os.path.join(self.folder, "deploy"), 0o755)
        login = self.start_people() if any(block.kind == "operator" for block in self.blocks) else None
        self.place.start_broker()
        self.login = log_in(self.place, login) if login else {}
        self.is_running = True

    def start_people(self):
        """A provider of people, and the token of one who may read and end all."""
        people = People(self.place)
        self.place.extra["people"] = {
            "allow_http": "true", "allow_networks": ["127.0.0.0/8"], "url": people.url, "client_id": "stagepass",
            "roles": {"auditor": {"groups": ["platform"]}, "operator": {"groups": ["platform"]}}}
        return people.token("opal", "platform")

    def token(self, claims, without):
        arguments = [os.path.join(PROGRAMS, "stagepass-dev-issuer"), "token", "--folder",
                     self.place.path("issuer"), "--url", self.place.issuer_url, "--audience",
                     self.place.url, "--claims", os.path.join(CLAIMS, claims + ".json")]
        for name in without:
            arguments += ["--unset", name]
        return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.strip()

    def try_job(self, block):
        self.start()
        claims, *rest = block.words[1:]
        token = self.token(claims, [w[1:] for w in rest if w.startswith("-")])
        self.try_at_broker(block, {"TOKEN": token, "STAGEPASS_ID_TOKEN": token})

    def try_operator(self, block):
        self.start()
        self.try_at_broker(block, dict(self.login, STAGEPASS_BROKER=self.place.url, STAGEPASS_LEDGER=self.place.url))

    def try_at_broker(self, block, env):
        script = block.text.replace(BROKER_URL, self.place.url)
        script = script.replace("http://127.0.0.1:9464", self.place.admin)
        script = script.replace("/var/lib/stagepass", self.place.path("store"))
        script = script.replace("/etc/stagepass", self.place.folder)
        result = self.run(["bash", "-euo", "pipefail", "-c", script], env=dict(
            env, STAGEPASS_CA=self.place.path("pki", "ca.crt"), CURL_CA_BUNDLE=self.place.path("pki", "ca.crt")))
        self.printed = self.printed.replace(self.place.url, BROKER_URL)
        self.say(block, result.returncode == block.exit, "exit %d\n%s" % (result.returncode, self.printed))

    def try_workflow(self, block):
        """The one step of a workflow, against an issuer that answers as GitHub's runners are answered."""
        self.start()
        runs = self.place.path("issuer", "runs")
        os.makedirs(runs, exist_ok=True)
        with open(os.path.join(CLAIMS, block.words[1] + ".json")) as source, \
                open(os.path.join(runs, "job.json"), "w") as copy:
            copy.write(source.read())
        step = re.search(r"run: '(.*)' ?}", block.text).group(1).replace("''", "'")
        result = self.run(["bash", "-eo", "pipefail", "-c", step], env={
            "ACTIONS_ID_TOKEN_REQUEST_URL": self.place.issuer_url + "/token?run=job",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "any"})
        self.say(block, result.returncode == 0 and len(block.text.splitlines()) == 6, self.printed)

    def try_prints(self, block):
        found = self.printed is not None and pattern_of(block.text).match(self.printed.rstrip("\n") + "\n")
        self.say(block, bool(found), self.printed)

    # ---- all of them ----

    def try_all(self):
        for block in self.blocks:
            if block.is_tested:
                method = getattr(self, "try_" + block.kind, None)
                if method is None:
                    self.say(block, False, "there is no such kind of block")
                else:
                    method(block)
            elif block.language in ("sh", "yaml", "json") and block.note is None:
                check("%s:%d: a block says how it is tested" % (self.name, block.line), False)
        if self.is_running:
            self.place.broker.stop()
        return self.checked


def indent(text, columns):
    return "".join(" " * columns + line + "\n" if line else "\n" for line in text.splitlines())


def section_tables(name):
    """{heading: rows} of a document's tables; a row is its cells, the first without backticks."""
    tables = {}
    heading = None
    for line in open(os.path.join(ROOT, name)):
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        elif line.startswith("|") and not line.startswith("| ---"):
            cells = [cell.strip() for cell in line.strip().strip("|").split(" |")]
            tables.setdefault(heading, []).append([cells[0].strip("`")] + cells[1:])
    return {heading: rows[1:] for heading, rows in tables.items()}
