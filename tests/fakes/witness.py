#!/usr/bin/python3
"""Small witnesses (C2SP tlog-witness) on loopback, and ways in which one can be wrong.

    witness.py --folder FOLDER --log-key KEY... [--port N] NAME...

Prints `WITNESS NAME URL KEY` for each (its add-checkpoint lies below the URL; KEY is its verifier key) and
then `READY`. What one has cosigned is kept in FOLDER/NAME.state, written before it answers; FOLDER/NAME.mode
holds its mode, read at each request.
"""

import argparse
import base64
import hashlib
import http.server
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True

import audit_verifier as verifier  # noqa: E402

MODES = {
    "good": "obeys the document",
    "1.0.0": "answers another root at the same size with 409, as the document's release did",
    "wrong-key": "signs with another key under its own name",
    "other-key": "signs under another name only",
    "old": "a cosignature of an hour ago",
    "future": "a cosignature of an hour to come",
    "other-size": "cosigns another checkpoint than was sent",
    "huge": "20 KiB of lines",
    "slow": "answers after 20 s",
    "text": "200 with what is no signature",
    "status": "500",
    "400": "", "403": "", "404": "", "422": "",
    "conflict": "409 that always tells one entry more than it is asked with",
    "no-size": "409 without a size",
    "larger": "409 with a size that no log has",
    "closed": "no answer at all",
}


def sign(seed, message):
    """RFC 8032 5.1.6"""
    digest = hashlib.sha512(seed).digest()
    secret = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    public = encode(verifier.point_times(secret, verifier.BASE))
    nonce = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % verifier.ORDER
    point = encode(verifier.point_times(nonce, verifier.BASE))
    challenge = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little")
    return point + ((nonce + challenge * secret) % verifier.ORDER).to_bytes(32, "little")


def encode(point):
    inverse = pow(point[2], verifier.P - 2, verifier.P)
    x, y = point[0] * inverse % verifier.P, point[1] * inverse % verifier.P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def public_of(seed):
    digest = hashlib.sha512(seed).digest()
    secret = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    return encode(verifier.point_times(secret, verifier.BASE))


class Witness:
    def __init__(self, options, name):
        self.options = options
        self.short = name
        self.name = "witness.test/" + name
        self.seed = hashlib.sha256(name.encode()).digest()
        self.lock = threading.Lock()
        self.state = {}
        if os.path.exists(self.path("state")):
            with open(self.path("state"), encoding="utf-8") as stream:
                self.state = json.load(stream)

    def path(self, kind):
        return os.path.join(self.options.folder, "%s.%s" % (self.short, kind))

    def key_line(self, name, seed):
        typed = bytes([verifier.COSIGNATURE]) + public_of(seed)
        key_id = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]
        return "%s+%s+%s" % (name, key_id.hex(), base64.b64encode(typed).decode()), key_id

    def cosign(self, text, seconds, seed=None, name=None):
        name = name or self.name
        _, key_id = self.key_line(name, self.seed)
        message = "cosignature/v1\ntime %d\n%s" % (seconds, text)
        field = key_id + seconds.to_bytes(8, "big") + sign(seed or self.seed, message.encode())
        return "\u2014 %s %s\n" % (name, base64.b64encode(field).decode())

    def mode(self):
        try:
            with open(self.path("mode"), encoding="utf-8") as stream:
                return stream.read().strip()
        except FileNotFoundError:
            return "good"

    def keep(self):
        with open(self.path("state.new"), "w", encoding="utf-8") as stream:
            json.dump(self.state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(self.path("state.new"), self.path("state"))

    def add(self, body, mode):
        """The status, type and body of the answer to add-checkpoint."""
        plain = "text/plain; charset=utf-8"
        head, _, note = body.partition(b"\n\n")
        lines = head.decode("ascii").split("\n")
        if not lines[0].startswith("old ") or len(lines) > 64:
            return 400, plain, "malformed\n"
        old, proof = int(lines[0][4:]), [verifier.decode64(line) for line in lines[1:]]
        origin = note.split(b"\n", 1)[0].decode()
        log_keys = verifier.read_keys(self.options.log_key, verifier.ED25519)
        if not any(key.name == origin for key in log_keys):
            return 404, plain, "unknown origin\n"
        try:
            new = verifier.Checkpoint(note, log_keys)
        except verifier.Bad as failure:
            return 403, plain, "%s\n" % failure
        with self.lock:
            return self.decide(old, new, proof, mode)

    def decide(self, old, new, proof, mode):
        plain = "text/plain; charset=utf-8"
        latest = self.state.get(new.origin, {"size": 0, "root": hashlib.sha256().hexdigest()})
        root = bytes.fromhex(latest["root"])
        if old > new.size:
            return 400, plain, "old is larger\n"
        if old != latest["size"]:
            return 409, "text/x.tlog.size", "%d\n" % latest["size"]
        if old == new.size and root != new.root:
            if mode == "1.0.0":
                return 409, "text/x.tlog.size", "%d\n" % latest["size"]
            return 422, plain, "another root\n"
        if (old == 0 and proof) or not verifier.is_consistent(old, new.size, root, new.root, proof):
            return 422, plain, "the proof does not verify\n"
        self.state[new.origin] = {"size": new.size, "root": new.root.hex()}
        self.keep()
        return 200, plain, self.answer(new, mode)

    def answer(self, new, mode):
        now = int(time.time())
        if mode == "wrong-key":
            return self.cosign(new.note.text, now, seed=bytes(32))
        if mode == "other-key":
            return self.cosign(new.note.text, now, name="somebody.example.net/else")
        if mode in ("old", "future"):
            return self.cosign(new.note.text, now + (-3600 if mode == "old" else 3600))
        if mode == "other-size":
            lines = new.note.text.split("\n")
            return self.cosign("\n".join([lines[0], str(new.size + 1)] + lines[2:]), now)
        return self.cosign(new.note.text, now)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        name, _, rest = self.path[1:].partition("/")
        witness = self.server.witnesses.get(name)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if witness is None or rest != "add-checkpoint":
            return self.say(404, "text/plain", "no such path\n")
        mode = witness.mode()
        if mode == "closed":
            self.close_connection = True
            return None
        if mode == "slow":
            time.sleep(20)
        if mode in ("400", "403", "404", "422"):
            return self.say(int(mode), "text/plain", "mode %s\n" % mode)
        if mode == "status":
            return self.say(500, "text/plain", "mode\n")
        if mode == "text":
            return self.say(200, "text/plain", "thank you\n")
        if mode == "huge":
            return self.say(200, "text/plain", "\u2014 x aaaaaaaa\n" * 1500)
        if mode == "conflict":
            return self.say(409, "text/x.tlog.size", "%d\n" % (int(body.split(b"\n")[0][4:]) + 1))
        if mode == "no-size":
            return self.say(409, "text/x.tlog.size", "\n")
        if mode == "larger":
            return self.say(409, "text/x.tlog.size", "%d\n" % 2**62)
        try:
            return self.say(*witness.add(body, mode))
        except (verifier.Bad, ValueError) as failure:
            return self.say(400, "text/plain", "%s\n" % failure)

    def say(self, status, kind, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        self.server.record("%s %d" % (self.path, status))

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, options):
        super().__init__(("127.0.0.1", options.port), Handler)
        self.witnesses = {name: Witness(options, name) for name in options.name}
        self.lock = threading.Lock()

    def record(self, line):
        with self.lock:
            print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--log-key", action="append", required=True, help="of a log, or a file of them")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("name", nargs="+")
    parser.epilog = "modes: " + ", ".join(MODES)
    server = Server(parser.parse_args())
    for name, witness in server.witnesses.items():
        key, _ = witness.key_line(witness.name, witness.seed)
        print("WITNESS %s http://127.0.0.1:%d/%s %s" % (name, server.server_address[1], name, key))
    print("READY", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
