"""A real broker on a disk that fails, clients that remember what they were told, and who checks it.

The shim (shim.h says what it does) is loaded into the broker and told what to do by a file that
both have in memory.
"""

import base64
import errno
import glob
import hashlib
import json
import mmap
import os
import struct
import sys
import threading
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness  # noqa: E402
from harness import PAYMENTS, Place  # noqa: E402

BUILD = os.environ.get("STAGEPASS_BUILD", os.path.join(ROOT, "build", "asan"))
SHIM = os.path.join(BUILD, "tests", "fault", "libfault_shim.so")
ALL = os.environ.get("FAULT_ALL") == "1"
WAIT_S = 60

# struct fault_control, and its enums in their order.
FIELDS = ["magic", "capacity", "used", "overflow", "count", "fired", "mode", "kinds", "at", "times",
          "error", "space", "paused"]
MAGIC = 0x53504641554C5432
MODES = ["never", "error", "short", "kill", "kill_half", "kill_behind", "lie"]
KINDS = ["write", "sync", "sync_dir", "rename", "truncate", "allocate", "create", "mkdir", "unlink",
         "rmdir"]
EVER = 2 ** 62


class Control:
    """The shim's control block, of the folder `root`."""

    def __init__(self, path, root):
        self.path = path
        with open(path, "wb") as stream:
            stream.write(b"\0" * 4096)
        self.stream = open(path, "r+b")
        self.map = mmap.mmap(self.stream.fileno(), 4096)
        self.set(magic=MAGIC, space=-1, kinds=2 ** len(KINDS) - 1)
        at = 8 * len(FIELDS)
        self.map[at:at + len(root) + 1] = root.encode() + b"\0"

    def set(self, **values):
        for name, value in values.items():
            at = 8 * FIELDS.index(name)
            self.map[at:at + 8] = struct.pack("<q", value)

    def get(self, name):
        at = 8 * FIELDS.index(name)
        return struct.unpack("<q", self.map[at:at + 8])[0]

    def environment(self):
        options = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": SHIM, "STAGEPASS_FAULT_CONTROL": self.path,
                "ASAN_OPTIONS": options + ":verify_asan_link_order=0"}

    def disarm(self):
        self.set(mode=0, times=0, space=-1)

    def arm(self, mode, at=1, times=1, error=errno.EIO, kinds=KINDS):
        """From now on the `at`-th operation and those behind it, `times` in all."""
        self.set(mode=0)
        self.set(count=0, fired=0, at=at, times=times, error=error,
                 kinds=sum(1 << KINDS.index(kind) for kind in kinds))
        self.set(mode=MODES.index(mode))


class FaultPlace(Place):
    """A place whose broker may not start, or may be gone already."""

    def restart_broker(self, *arguments):
        before = len(harness._processes)
        try:
            return super().restart_broker(*arguments)
        finally:
            self.last = harness._processes[before]

    def try_start(self):
        """Whether the broker got ready."""
        try:
            self.restart_broker()
            return True
        except RuntimeError:
            return False

    def stop_broker(self):
        """Its exit code; below 0 where a signal ended it."""
        return self.last.stop()


def make_place():
    """A place with a broker to be, its issuer, and a control block for its store."""
    place = FaultPlace(tls=False)
    place.write("policies/payments.yaml", PAYMENTS)
    place.start_issuer()
    control = Control(place.path("control"), place.path("store"))
    place.environment = control.environment()
    return place, control


def tokens_of(place, count):
    """Many tokens of one build at once."""
    return place.tokens(count, "build")


class Clients:
    """Jobs, each with a token, and what they were told."""

    def __init__(self, place):
        self.place = place
        self.lock = threading.Lock()
        self.fresh = []
        self.issued = []    # (token, index, leaf hash, lease, handle)
        self.unknown = []   # tokens whose answer never came, or was a 503
        self.wrong = []     # answers that nobody should get
        self.seen = []      # leaf hashes of the log when it was last looked at

    def stock(self, count):
        if len(self.fresh) < count:
            self.fresh += tokens_of(self.place, max(count, 50))

    def use(self, token):
        """Present a token: the status, or None where nothing came back."""
        try:
            answer = self.place.exchange(token, stage="build")
        except (OSError, harness.http.client.HTTPException):
            answer = None
        with self.lock:
            if answer is not None and answer.status == 200:
                body = answer.json()
                self.issued.append((token, body["ledger"]["index"], body["ledger"]["leaf_hash"],
                                    body["lease"]["id"], body["lease"]["handle"]))
            elif answer is None or answer.status == 503:
                self.unknown.append(token)
            else:
                self.wrong.append("%s: %s" % (token[-8:], answer))
        return answer.status if answer is not None else None

    def use_fresh(self):
        with self.lock:
            token = self.fresh.pop()
        return self.use(token)

    def run(self, count, threads=3):
        """`count` jobs on some threads; the statuses. Each third token comes twice at once."""
        self.stock(count * threads)
        statuses = []

        def work():
            for _ in range(count):
                statuses.append(self.use_fresh())

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return statuses

    def reuse(self, count):
        """Tokens that were used, once more: how many were refused as they should be."""
        refused = 0
        for token, *_ in self.issued[-count:]:
            answer = self.place.exchange(token, stage="build")
            refused += answer.status == 400 and answer.json().get("reason") == "token_used"
        return refused


def bundles(store):
    """The published entries, from the log's own files."""
    entries = []
    root = os.path.join(store, "log", "tile", "entries")
    while True:
        name = "%03d" % (len(entries) // 256)
        path = os.path.join(root, name)
        if not os.path.exists(path):
            parts = glob.glob(path + ".p/*")
            if not parts:
                return entries
            path = max(parts, key=lambda part: int(os.path.basename(part)))
        with open(path, "rb") as stream:
            bundle = stream.read()
        while bundle:
            length = struct.unpack(">H", bundle[:2])[0]
            entries.append(bundle[2:2 + length])
            bundle = bundle[2 + length:]
        if path.endswith(".p/" + os.path.basename(path)) or len(entries) % 256:
            return entries


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def same_hash(told, hashed):
    """The answer's leaf hash: base64, with or without padding and of either alphabet."""
    text = told.split(":")[-1].replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4)) == hashed or told.endswith(hashed.hex())


def mistakes(clients):
    """What is wrong with the store of a broker that has ended, by what clients were told."""
    place = clients.place
    verify = place.run("audit", "verify", "--ledger", place.path("store"))
    if verify.returncode != 0:
        return ["audit verify: " + verify.stdout + verify.stderr]
    entries = bundles(place.path("store"))
    hashes = [leaf_hash(entry) for entry in entries]
    wrong = list(clients.wrong)
    if hashes[:len(clients.seen)] != clients.seen:
        wrong.append("the log of %d entries does not begin with the %d of before"
                     % (len(hashes), len(clients.seen)))
    clients.seen = hashes
    for token, index, told, lease, _ in clients.issued:
        if index >= len(entries):
            wrong.append("entry %d is lost, %d are left" % (index, len(entries)))
        elif not same_hash(told, hashes[index]) or json.loads(entries[index])["lease"] != lease:
            wrong.append("entry %d is not the one of lease %s" % (index, lease))
    marks = {}
    for index, entry in enumerate(map(json.loads, entries)):
        if entry["type"] == "credential.issued":
            marks.setdefault(entry["token"]["mark"], []).append(index)
    wrong += ["one token got credentials in entries %s" % twice for twice in marks.values()
              if len(twice) > 1]
    return wrong


def wait_until(condition):
    """Whether it holds before the deadline."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
