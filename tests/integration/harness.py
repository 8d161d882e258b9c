"""Real parts on loopback for the integration tests: an issuer, a broker, a fake cloud, a client.

A test program makes a Place (a temporary folder), starts what it needs in it, and says what it found
through check(); at its end finish() stops everything and exits.
"""

import atexit
import base64
import faulthandler
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import openapi

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROGRAMS = os.environ.get("STAGEPASS_BIN", os.path.join(ROOT, "build", "asan", "bin"))
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
WAIT_S = 60  # how long anything is waited for, on machines that are slow and busy

_failures = 0
_processes = []
_folders = []
_ports = []
_signers = []
_signing = threading.Lock()
_connecting = threading.BoundedSemaphore(8)  # a broker waits five seconds for a request: no time for forty handshakes


def check(name, holds, detail=""):
    """One result; `detail` is shown where it does not hold."""
    global _failures
    print(("ok - " if holds else "not ok - ") + name, flush=True)
    if not holds:
        _failures += 1
        for line in str(detail).splitlines():
            print("    " + line, flush=True)
    return holds


def shown(result):
    """What a program that ran did, as the detail of a result."""
    return "exit %s\n%s%s" % (result.returncode, result.stdout[-4000:], result.stderr[-4000:])


def finish():
    """Stop what still runs; a sanitizer's report in any log is a failure."""
    for process in _processes:
        process.stop()
    reports = [p.name + ": " + text for p in _processes for text in [p.log()]
               if "Sanitizer" in text or "runtime error:" in text]
    reports += ["signer: " + text for text in [signer.end() for signer in _signers] if text]
    check("no sanitizer has anything to report", not reports, "\n".join(reports))
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if _failures else 0)


def wait_until(holds):
    """Whether it holds before the deadline."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return False


class Process:
    """A program in the background with its output in a file."""

    def __init__(self, name, arguments, log, env=None):
        self.name = name
        self.path = log
        self.stream = open(log, "wb")
        self.process = subprocess.Popen(arguments, stdout=self.stream, stderr=self.stream,
                                        stdin=subprocess.DEVNULL, env=env)
        _processes.append(self)

    def log(self):
        with open(self.path, "r", errors="replace") as stream:
            return stream.read()

    def wait_for(self, pattern):
        """The match of a pattern in the log, as soon as it is there."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            match = re.search(pattern, self.log())
            if match:
                return match
            if self.process.poll() is not None:
                match = re.search(pattern, self.log())
                if match:
                    return match
                break
            time.sleep(0.02)
        raise RuntimeError("%s: no '%s' in:\n%s" % (self.name, pattern, self.log()))

    def stop(self, number=signal.SIGTERM):
        """End it and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.stream.close()
        return code


def _leave_nothing():
    """However a program ends, nothing goes on behind it that would hold up others."""
    for process in _processes:
        process.process.kill()


def _end(number, frame):
    """Who takes too long says where it was."""
    faulthandler.dump_traceback(all_threads=True)
    _leave_nothing()
    os._exit(128 + number)


atexit.register(_leave_nothing)
signal.signal(signal.SIGTERM, _end)


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __str__(self):
        return "%s %s" % (self.status, self.body[:2000])


def hold_to_document(method, path, answer):
    """Each answer of the API must be as docs/openapi.json tells it."""
    found = openapi.mistake(method, path, answer.status, answer.headers["Content-Type"], answer.body)
    if found:
        check("%s %s answers as docs/openapi.json says" % (method, path.split("?")[0]), False,
              "%s\n%s" % (found, answer))


def free_port():
    """A port that the system gives nobody by itself, and no other test program until this one ends."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as stream:
        low, high = map(int, stream.read().split())
    while True:
        port = random.SystemRandom().choice((*range(10240, low), *range(high + 1, 65536)))
        keeper = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            keeper.bind("\0stagepass-test-port-%d" % port)  # a name of Linux's: gone when we are
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
            _ports.append(keeper)
            return port
        except OSError:
            keeper.close()


class Signer:
    """A process of the development issuer that signs, since one for each token would take most of a test's time."""

    def __init__(self, log):
        self.lock = threading.Lock()
        self.log = log
        with open(log, "wb") as stream:
            self.process = subprocess.Popen([os.path.join(PROGRAMS, "stagepass-dev-issuer"), "lines"], text=True,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream)
        _signers.append(self)

    def sign(self, arguments):
        """The tokens of a command line of `stagepass-dev-issuer token`."""
        with self.lock:
            self.process.stdin.write(json.dumps(arguments) + "\n")
            self.process.stdin.flush()
            tokens = list(iter(lambda: self.process.stdout.readline().strip(), ""))
        if not tokens:
            raise RuntimeError("no token for %s: %s" % (arguments, self.end()))
        return tokens

    def end(self):
        """What it had to complain of."""
        self.process.stdin.close()
        code = self.process.wait(WAIT_S)
        with open(self.log, "r", errors="replace") as stream:
            return stream.read() or (code and "exit %d" % code) or ""


def jwt_part(token, index):
    """The header (0) or the claims (1) of a token, not verified."""
    text = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class Place:
    """A folder with a broker, the issuer that it trusts, and what they need."""

    def __init__(self, tls=True):
        self.folder = tempfile.mkdtemp(prefix="stagepass-test-")
        _folders.append(self.folder)
        os.makedirs(self.path("policies"))
        os.makedirs(self.path("issuer"))
        self.tls = tls
        if tls:
            subprocess.run([os.path.join(ROOT, "certs", "make-dev-pki"), self.path("pki")],
                           check=True, stdout=subprocess.DEVNULL)
        self.port = free_port()
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)
        self.broker = None
        self.issuer_url = None
        self.signer = None
        self.targets = {"fleet": {"type": "ssh", "key": "ssh-ca", "environment": "production"}}
        self.extra = {}
        self.environment = {}  # of the broker, besides our own

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        with open(self.path(name), "w") as stream:
            stream.write(text)
        return self.path(name)

    def read(self, name):
        with open(self.path(name)) as stream:
            return stream.read()

    def start_issuer(self, *arguments):
        issuer = Process("issuer", [os.path.join(PROGRAMS, "stagepass-dev-issuer"), "serve",
                                    "--folder", self.path("issuer"), "--port", "0", *arguments],
                         self.path("issuer.log"))
        self.issuer_url = issuer.wait_for(r"event=issuer\.ready url=(\S+)").group(1)
        self.issuer = issuer
        return issuer

    def token(self, claims="main", audience=None, **changes):
        """A token as the CI system would give it to the job; `changes` replace claims."""
        return self.tokens(1, claims, audience, **changes)[0]

    def tokens(self, count, claims="main", audience=None, **changes):
        """So many tokens, of jobs that differ in nothing else."""
        arguments = ["--folder", self.path("issuer"), "--url", self.issuer_url, "--audience",
                     audience or self.url, "--claims",
                     os.path.join(ROOT, "tests", "data", "claims", "github", claims + ".json"),
                     "--count", str(count)]
        for name, value in changes.items():
            arguments += ["--set", "%s=%s" % (name, value)]
        with _signing:
            self.signer = self.signer or Signer(self.path("signer.log"))
        return self.signer.sign(arguments)

    def configuration(self):
        listen = {"address": "127.0.0.1", "port": str(self.port)}
        if self.tls:
            listen["tls"] = {"certificate": "pki/server.crt", "key": "pki/server.key"}
        document = {
            "issuer": self.url,
            "listen": listen,
            "admin": {"address": "127.0.0.1", "port": "0"},
            "store": "store",
            "policy": {"directory": "policies"},
            "help": "https://wiki.acme.example/stagepass",
            "issuers": {"github": {
                "profile": "github", "url": self.issuer_url, "audience": self.url,
                "only": {"repository_owner_id": "918273"},
                "allow_http": "true", "allow_networks": ["127.0.0.0/8"]}},
            "targets": self.targets,
        }
        document.update(self.extra)
        return document

    def write_configuration(self):
        # JSON is YAML: what the broker reads here is a broker.yaml in flow style.
        return self.write("broker.yaml", json.dumps(self.configuration(), indent=1))

    def start_broker(self, *arguments):
        self.write_configuration()
        return self.restart_broker(*arguments)

    def restart_broker(self, *arguments):
        self.broker = Process("broker", [os.path.join(PROGRAMS, "stagepassd"), "--config",
                                         self.path("broker.yaml"), *arguments],
                              self.path("broker-%d.log" % time.monotonic_ns()),
                              env=dict(os.environ, **self.environment))
        ready = self.broker.wait_for(r"event=broker\.ready url=(\S+) admin=(\S+)")
        self.admin = ready.group(2)
        return self.broker

    def connection(self):
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        context = ssl.create_default_context(cafile=self.path("pki", "ca.crt"))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=WAIT_S, context=context)

    def request(self, method, path, body=None, headers=None):
        connection = self.connection()
        try:
            with _connecting:
                connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()
        hold_to_document(method, path, answer)
        return answer

    def post_form(self, path, fields, headers=None):
        return self.request("POST", path, urllib.parse.urlencode(fields), dict(
            {"Content-Type": "application/x-www-form-urlencoded"}, **(headers or {})))

    def exchange(self, token, headers=None, **fields):
        return self.post_form("/token", dict({"grant_type": EXCHANGE, "subject_token": token,
                                              "subject_token_type": JWT}, **fields), headers)

    def admin_request(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.admin.split("//")[1], timeout=WAIT_S)
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def advance_clock(self, seconds):
        return self.admin_request("POST", "/test/clock", "advance=%d" % seconds)

    def hold_clock(self, is_held=True):
        """Time goes on by what is added alone, until it is let run again; what is due once a second then waits."""
        return self.admin_request("POST", "/test/clock", "hold=%s" % ("true" if is_held else "false"))

    def step_clock(self, seconds):
        """Set the wall clock ahead or back, as somebody who corrects it does."""
        return self.admin_request("POST", "/test/clock", "step=%d" % seconds)

    def run(self, *arguments, env=None, input=None, timeout=120):
        """Run the client to its end."""
        return subprocess.run([os.path.join(PROGRAMS, "stagepass"), *arguments],
                              capture_output=True, text=True, input=input, timeout=timeout,
                              env=dict(os.environ, **(env or {})))

    def execute(self, *arguments, **options):
        """`stagepass exec` against this broker."""
        return self.run("exec", "--broker", self.url, "--ca", self.path("pki", "ca.crt"), *arguments,
                        **options)

    def entries(self, kind=None):
        """The ledger's entries, through the client."""
        result = self.run("audit", "tail", "--ledger", self.path("store"), "--output", "json",
                          "-n", "100000")
        lines = [json.loads(line) for line in result.stdout.splitlines() if line.strip()]
        entries = [line["entry"] for line in lines if "entry" in line]  # not what was pruned
        return [entry for entry in entries if kind is None or entry.get("type") == kind]


PAYMENTS = """
pipeline: acme/payments
owner: payments@acme.example
identity:
  issuer: github
  repository_id: "4242"
stages:
  build:
    kind: build
    when: { event_name: [push, pull_request] }
    unless: { environment: { exists: true } }
    grants:
      artifacts: { jwt: { audience: "https://artifacts.acme.example", scope: [upload, list] }, ttl: 10m }
  deploy-prod:
    kind: deploy
    environment: production
    when:
      ref: refs/heads/main
      environment: production
      runner_environment: github-hosted
    grants:
      host: { ssh: { target: fleet, principals: [payments-deploy] }, ttl: 5m }
"""

GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"

GCP_PROVIDER = "//iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/ci/providers/broker"

# What a target of a catalog and a grant of a kind need at least, and a life that fits.
ISSUED = {
    "gcp": ("projects: [acme-prod], provider: %s" % GCP_PROVIDER,
            "service_account: deploy@acme-prod.iam.gserviceaccount.com, "
            "scopes: ['https://www.googleapis.com/auth/devstorage.read_only']", "15m"),
    "azure": ("directory: %s, clients: [%s]" % (GUID, GUID),
              "client_id: %s, scope: 'https://management.azure.com/.default'" % GUID, "90m"),
    "kubernetes": ("api: 'https://10.0.0.1:6443'", "namespace: payments, service_account: deployer", "15m"),
    "vault": ("address: 'https://vault.acme.example'", "role: payments-deploy", "15m"),
    "registry": ("service: registry.acme.example", "access: ['repository:acme/payments:pull']", "15m"),
    "github": ("installation: '77'", "repositories: ['4242'], permissions: { contents: read }", "1h"),
    "gitlab": ("url: 'https://gitlab.acme.example'",
               "project: '77', scopes: [read_repository], access_level: reporter", "15m"),
}
