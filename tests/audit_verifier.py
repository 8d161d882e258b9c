#!/usr/bin/python3
"""A second verifier of the transparency log, written from the C2SP documents and RFC 9162 alone.

It shares no line with the broker or its client and needs nothing but Python's standard library, so
that a mistake of theirs is not made twice. Tests use it as a module; auditors may use it as a program.

    audit_verifier.py log SOURCE --key KEY... [--witness KEY... --quorum N] [--entries]
                                 [--against NOTE...] [--ca FILE] [--bearer-file FILE]
    audit_verifier.py proof FILE --entry FILE --key KEY... [--witness KEY... --quorum N]
    audit_verifier.py selftest

SOURCE is a folder or the URL that the log's `checkpoint` and `tile/` lie below. KEY is a verifier key,
or the name of a file of them, one a line. Exit code 0: it holds; 1: it does not, and why.
"""

import argparse
import base64
import binascii
import hashlib
import os
import ssl
import sys
import urllib.error
import urllib.request

WIDTH = 256
ED25519 = 0x01
COSIGNATURE = 0x04
SIGNATURES_MAX = 100


class Bad(Exception):
    """It does not hold; the words say why."""


def demand(holds, *words):
    if not holds:
        raise Bad(" ".join(str(word) for word in words))


# --- Ed25519 (RFC 8032 5.1.7) ----------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def point_decode(data):
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if len(data) != 32 or y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def point_add(one, two):
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * one[3] * two[3] * D % P
    d = 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def point_times(number, point):
    total = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = point_add(total, point)
        point = point_add(point, point)
        number >>= 1
    return total


def same_point(one, two):
    return (one[0] * two[2] - two[0] * one[2]) % P == 0 and (one[1] * two[2] - two[1] * one[2]) % P == 0


BASE = point_decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_verifies(key, message, signature):
    point, nonce = point_decode(key), point_decode(signature[:32])
    number = int.from_bytes(signature[32:], "little")
    if point is None or nonce is None or len(signature) != 64 or number >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return same_point(point_times(number, BASE), point_add(nonce, point_times(challenge, point)))


# --- signed notes (C2SP signed-note, tlog-checkpoint, tlog-cosignature) ----------------------------

def decode64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Bad("not base64: %r" % text[:80])
    demand(base64.b64encode(data).decode() == text, "not canonical base64:", text[:80])
    return data


def is_name(name):
    return name != "" and "+" not in name and not any(c.isspace() for c in name)


class Key:
    """A verifier key: NAME+ID+BASE64(type || public key)."""

    def __init__(self, text, kind):
        parts = text.strip().split("+", 2)
        demand(len(parts) == 3 and is_name(parts[0]), "not a verifier key:", text)
        self.name = parts[0]
        data = decode64(parts[2])
        demand(len(data) == 33 and data[0] == kind, "not a key of type %d:" % kind, text)
        self.kind, self.public = kind, data[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + data).digest()[:4]
        demand(parts[1] == self.id.hex(), "the id is not that of name and key:", text)


def read_keys(texts, kind):
    keys = []
    for text in texts:
        if os.path.exists(text):
            with open(text, encoding="utf-8") as stream:
                keys += [Key(line, kind) for line in stream.read().splitlines() if line.strip()]
        else:
            keys.append(Key(text, kind))
    return keys


class Note:
    def __init__(self, data):
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError:
            raise Bad("a note that is not UTF-8")
        demand(not any(ord(c) < 32 and c != "\n" for c in whole), "a control character in a note")
        at = whole.rfind("\n\n")
        demand(at > 0 and whole.endswith("\n"), "not a signed note")
        self.text = whole[: at + 1]
        lines = whole[at + 2 :].splitlines()
        demand(0 < len(lines) <= SIGNATURES_MAX, "a note with", len(lines), "signatures")
        self.signatures = []
        for line in lines:
            demand(line.startswith("\u2014 "), "a malformed signature line:", line)
            name, _, rest = line[2:].partition(" ")
            field = decode64(rest)
            demand(is_name(name) and len(field) > 4, "a malformed signature line:", line)
            self.signatures.append((name, field[:4], field[4:]))

    def of(self, key):
        return [field for name, key_id, field in self.signatures if (name, key_id) == (key.name, key.id)]


class Checkpoint:
    """A note that a log key has signed and `quorum` witnesses have cosigned."""

    def __init__(self, data, log_keys, witness_keys=(), quorum=0):
        self.note = Note(data)
        self.signed_by = [key for key in log_keys if self.is_signed(key)]
        demand(self.signed_by, "signed by none of", ", ".join(key.name for key in log_keys))
        lines = self.note.text.splitlines()
        demand(len(lines) >= 3 and all(lines), "a checkpoint needs origin, size and root")
        self.origin = lines[0]
        demand(all(key.name == self.origin for key in self.signed_by), "of another log:", self.origin)
        demand(lines[1].isascii() and lines[1].isdigit() and str(int(lines[1])) == lines[1],
               "a malformed size:", lines[1])
        self.size = int(lines[1])
        self.root = decode64(lines[2])
        demand(len(self.root) == 32 and self.size < 2**63, "a malformed size or root")
        demand(self.size > 0 or self.root == hashlib.sha256().digest(), "an empty tree with a root")
        self.cosigned = {}
        for key in witness_keys:
            for field in self.note.of(key):
                self.cosigned[key.name] = self.check_cosignature(key, field)
        demand(len(self.cosigned) >= quorum, "cosigned by", len(self.cosigned), "of", quorum, "witnesses")

    def is_signed(self, key):
        fields = self.note.of(key)
        for field in fields:
            demand(ed25519_verifies(key.public, self.note.text.encode(), field),
                   "the signature of", key.name, "does not verify")
        return bool(fields)

    def check_cosignature(self, key, field):
        demand(len(field) == 72, "a cosignature of", len(field), "bytes")
        time = int.from_bytes(field[:8], "big")
        demand(time < 2**63, "a cosignature's time is out of range")
        message = "cosignature/v1\ntime %d\n%s" % (time, self.note.text)
        demand(ed25519_verifies(key.public, message.encode(), field[8:]),
               "the cosignature of", key.name, "does not verify")
        return time


# --- the tree (RFC 9162 2.1) -----------------------------------------------------------------------

def leaf_hash(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_root(hashes):
    """MTH, by levels: an odd last node moves up as it is, which is the same tree."""
    if not hashes:
        return hashlib.sha256().digest()
    while len(hashes) > 1:
        above = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]
        hashes = above + hashes[len(above) * 2 :]
    return hashes[0]


def includes(index, size, leaf, proof, root):
    """RFC 9162 2.1.3.2"""
    if index >= size or len(proof) > 63:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def is_consistent(old, new, old_root, new_root, proof):
    """RFC 9162 2.1.4.2; from size 0 nothing is proved and no hash is needed."""
    if old > new or len(proof) > 63:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof
    if not proof:
        return False
    path = ([old_root] if old & (old - 1) == 0 else []) + list(proof)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old_root and sr == new_root


def inclusion_proof(hashes, index):
    """PATH(m, D[n]) of leaf hashes."""
    if len(hashes) == 1:
        return []
    k = 1 << (len(hashes) - 1).bit_length() - 1
    if index < k:
        return inclusion_proof(hashes[:k], index) + [tree_root(hashes[k:])]
    return inclusion_proof(hashes[k:], index - k) + [tree_root(hashes[:k])]


def consistency_proof(hashes, old, is_whole=True):
    """PROOF(m, D[n]) of leaf hashes."""
    if old == len(hashes):
        return [] if is_whole else [tree_root(hashes)]
    k = 1 << (len(hashes) - 1).bit_length() - 1
    if old <= k:
        return consistency_proof(hashes[:k], old, is_whole) + [tree_root(hashes[k:])]
    return consistency_proof(hashes[k:], old - k, False) + [tree_root(hashes[:k])]


# --- tiles (C2SP tlog-tiles) -----------------------------------------------------------------------

def tile_path(level, number, width):
    groups = ["%03d" % (number % 1000)]
    while number >= 1000:
        number //= 1000
        groups.insert(0, "x%03d" % (number % 1000))
    return "tile/%s/%s%s" % (level, "/".join(groups), ".p/%d" % width if width < WIDTH else "")


class Folder:
    def __init__(self, path):
        self.path = path

    def get(self, name):
        try:
            with open(os.path.join(self.path, name), "rb") as stream:
                return stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return None


class Server:
    def __init__(self, url, ca=None, bearer=None):
        self.url = url.rstrip("/")
        self.context = ssl.create_default_context(cafile=ca) if url.startswith("https:") else None
        self.headers = {"Authorization": "Bearer " + bearer} if bearer else {}

    def get(self, name):
        headers = self.headers if name.startswith("tile/entries/") else {}
        request = urllib.request.Request(self.url + "/" + name, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
                data = answer.read(17 * 1024 * 1024)
        except urllib.error.HTTPError as failure:
            if failure.code == 404:
                return None
            raise Bad("%s: status %d" % (name, failure.code))
        return data


def read_tile(source, level, number, width, cut):
    """A tile or bundle; what is partial may have been replaced by the full one."""
    data = source.get(tile_path(level, number, width))
    if data is None and width < WIDTH:
        data = source.get(tile_path(level, number, WIDTH))
    demand(data is not None, "missing:", tile_path(level, number, width))
    return cut(data, tile_path(level, number, width), width)


def cut_hashes(data, name, width):
    demand(len(data) in (32 * width, 32 * WIDTH), name, "has", len(data), "bytes")
    return [data[i : i + 32] for i in range(0, 32 * width, 32)]


def cut_entries(data, name, width):
    entries, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        demand(at + 2 + size <= len(data), name, "ends within an entry")
        entries.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    demand(len(entries) in (width, WIDTH), name, "has", len(entries), "entries")
    return entries[:width]


def widths(count):
    """The tiles of `count` hashes: number and width of each."""
    return [(n, min(WIDTH, count - n * WIDTH)) for n in range((count + WIDTH - 1) // WIDTH)]


def read_level(source, level, count):
    hashes = []
    for number, width in widths(count):
        hashes += read_tile(source, level, number, width, cut_hashes)
    return hashes


def check_tree(source, checkpoint):
    """Every tile against the one below it, and the root; gives the leaf hashes."""
    leaves = hashes = read_level(source, 0, checkpoint.size)
    level = 0
    while len(hashes) >= WIDTH:
        full = len(hashes) // WIDTH
        above = [tree_root(hashes[i * WIDTH : (i + 1) * WIDTH]) for i in range(full)]
        level += 1
        demand(read_level(source, level, full) == above, "tiles of level", level, "do not fit those below")
        hashes = above
    demand(tree_root(leaves) == checkpoint.root, "the tiles do not have the signed root")
    return leaves


def check_entries(source, leaves):
    """Every bundle against its tile; gives the entries."""
    entries = []
    for number, width in widths(len(leaves)):
        for entry in read_tile(source, "entries", number, width, cut_entries):
            demand(leaf_hash(entry) == leaves[len(entries)], "entry", len(entries), "is not the one in the tree")
            entries.append(entry)
    return entries


def check_prefix(leaves, older):
    """That an older checkpoint is of the same log."""
    demand(older.size <= len(leaves), "the log is shorter than an older checkpoint, of size", older.size)
    demand(tree_root(leaves[: older.size]) == older.root, "an older checkpoint is of another tree")
    if 0 < older.size < len(leaves):
        proof = consistency_proof(leaves, older.size)
        demand(is_consistent(older.size, len(leaves), older.root, tree_root(leaves), proof),
               "no consistency proof from size", older.size)


# --- proofs (C2SP tlog-proof) ----------------------------------------------------------------------

def check_proof(data, entry, log_keys, witness_keys=(), quorum=0):
    """A .tlog-proof of `entry`: its index and the checkpoint."""
    head, _, note = data.partition(b"\n\n")
    lines = head.decode("ascii").split("\n")
    demand(lines.pop(0) == "c2sp.org/tlog-proof@v1", "not a tlog-proof")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    demand(lines and lines[0].startswith("index ") and str(int(lines[0][6:])) == lines[0][6:],
           "a proof without an index")
    index = int(lines.pop(0)[6:])
    proof = [decode64(line) for line in lines]
    checkpoint = Checkpoint(note, log_keys, witness_keys, quorum)
    demand(includes(index, checkpoint.size, leaf_hash(entry), proof, checkpoint.root),
           "the entry is not at", index)
    return index, checkpoint


# --- the vectors that this file was written by -----------------------------------------------------

LOG_KEY = "broker.example.com/audit+8f7e862c+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
WITNESS_KEY = "witness.example.net/w1+0abc1f19+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"
VECTOR = """broker.example.com/audit
7
kTlgHMHKirKnoMLBNMBIRfKxulSag9bIRc/NpDnMWF0=

\u2014 broker.example.com/audit j36GLAfR7l9dv85QvIIPmx7zy3QOI+53uOhwHjpmtlIM13MBVm+r6d2gzks35iIcUNmTi5LKoI3Sf0IjkxcLHqkc5A0=
\u2014 witness.example.net/w1 CrwfGQAAAABpVbkAIwe8LOWjv9eqWniJIFUa3NqoJMCxyRqWlslPTf69kCA4h5ksKCyHYlgG5OV/XAXWtu0YVEKMV/ww7vKD5jO6Dg==
""".encode()


def refuses(function, *arguments):
    try:
        function(*arguments)
    except Bad:
        return True
    return False


def selftest():
    """Known answers, and that what is wrong is refused."""
    log_keys, witness_keys = [Key(LOG_KEY, ED25519)], [Key(WITNESS_KEY, COSIGNATURE)]
    checkpoint = Checkpoint(VECTOR, log_keys, witness_keys, 1)
    demand(checkpoint.cosigned == {"witness.example.net/w1": 1767225600}, "the vector's cosignature")
    for at in range(0, len(VECTOR), 3):
        changed = VECTOR[:at] + bytes([VECTOR[at] ^ 1]) + VECTOR[at + 1 :]
        demand(refuses(Checkpoint, changed, log_keys, witness_keys, 1), "byte", at, "does not count")
    leaves = [leaf_hash(b"entry-%d" % i) for i in range(7)]
    demand(tree_root(leaves) == checkpoint.root, "the vector's root")
    demand(tree_root([]).hex().startswith("e3b0c442"), "the empty root")
    for size in range(1, 40):
        hashes = [leaf_hash(b"%d" % i) for i in range(size)]
        root = tree_root(hashes)
        for i in range(size):
            proof = inclusion_proof(hashes, i)
            demand(includes(i, size, hashes[i], proof, root), "inclusion of", i, "in", size)
            demand(not includes(i, size, hashes[i], proof + [root], root), "a longer proof")
            demand(not (proof and includes(i, size, hashes[i], proof[:-1], root)), "a shorter proof")
            old, proof = tree_root(hashes[: i + 1]), consistency_proof(hashes, i + 1)
            demand(is_consistent(i + 1, size, old, root, proof), "consistency of", i + 1, "and", size)
            demand(not is_consistent(i + 1, size, old, root, proof + [root]), "a longer proof")
            demand(i + 1 == size or not is_consistent(i + 1, size, root, root, proof), "another root")
    for number, path in ((5, "005"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")):
        demand(tile_path(0, number, 256) == "tile/0/" + path, "the path of tile", number)
    return "known answers"


def run(arguments):
    if arguments.command == "selftest":
        return selftest()
    log_keys = read_keys(arguments.key, ED25519)
    witness_keys = read_keys(arguments.witness, COSIGNATURE)
    trust = (log_keys, witness_keys, arguments.quorum)
    if arguments.command == "proof":
        with open(arguments.source, "rb") as stream, open(arguments.entry, "rb") as entry:
            index, checkpoint = check_proof(stream.read(), entry.read(), *trust)
        return "entry %d of a log of %d" % (index, checkpoint.size)
    source = Folder(arguments.source)
    if arguments.source.startswith(("http://", "https://")):
        bearer = open(arguments.bearer_file).read().strip() if arguments.bearer_file else None
        source = Server(arguments.source, arguments.ca, bearer)
    note = source.get("checkpoint")
    demand(note is not None, "there is no checkpoint")
    checkpoint = Checkpoint(note, *trust)
    leaves = check_tree(source, checkpoint)
    if arguments.entries:
        check_entries(source, leaves)
    for name in arguments.against:
        with open(name, "rb") as stream:
            check_prefix(leaves, Checkpoint(stream.read(), log_keys))
    return "%d entries of %s, root %s, cosigned by %s" % (
        checkpoint.size, checkpoint.origin, base64.b64encode(checkpoint.root).decode(),
        ", ".join(sorted(checkpoint.cosigned)) or "nobody")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("log", "proof"):
        command = commands.add_parser(name)
        command.add_argument("source")
        command.add_argument("--key", action="append", required=True)
        command.add_argument("--witness", action="append", default=[])
        command.add_argument("--quorum", type=int, default=0)
        if name == "proof":
            command.add_argument("--entry", required=True)
        else:
            command.add_argument("--entries", action="store_true")
            command.add_argument("--against", action="append", default=[])
            command.add_argument("--ca")
            command.add_argument("--bearer-file")
    commands.add_parser("selftest")
    try:
        print("holds: " + run(parser.parse_args()))
    except (Bad, OSError) as failure:
        print("DOES NOT HOLD: %s" % failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
