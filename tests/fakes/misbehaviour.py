"""What the fakes of remote targets have in common: a server on loopback that can answer badly.

A fake gives good answers and its own bad ones; those of the table below are bad whatever is asked. Which one
it is, is the content of the file of --control, read at each request: a name, or NAME@PLACE where a fake has
several places that are asked one after the other. With --record each good request is a line of JSON.

When it listens a fake prints "READY http://127.0.0.1:PORT", or https with --certificate.
"""

import argparse
import http.server
import json
import ssl
import sys
import threading
import time

BODY_MAX = 128 * 1024
HANG_S = 60
LOOK_S = 0.02
TRICKLE_S = 0.5
HUGE = 10 * 1024 * 1024


class Answer:
    """A whole HTTP answer."""

    def __init__(self, status, content_type, body, headers=()):
        self.status = status
        self.content_type = content_type
        self.body = body if isinstance(body, bytes) else body.encode()
        self.headers = list(headers)


def json_answer(status, value, headers=()):
    return Answer(status, "application/json; charset=utf-8", json.dumps(value), headers)


class Refused(Exception):
    """A request that the real one answers with an error: `answer` is that."""

    def __init__(self, answer, why):
        super().__init__(why)
        self.answer = answer


# --- the table: each has the good answer, which was made all the same ----------------------------


def hang(handler, answer):
    """It is made, and nobody hears of it."""
    handler.server.ending.wait(HANG_S)
    handler.close_connection = True


def held(handler, answer):
    """Until the control file says something else; a broker waits for five seconds."""
    end = time.monotonic() + HANG_S
    while handler.control().startswith("held") and time.monotonic() < end:
        handler.server.ending.wait(LOOK_S)
    handler.reply(answer)


def close(handler, answer):
    handler.close_connection = True


def truncated(handler, answer):
    """The length promises more than comes."""
    handler.head(answer, len(answer.body) + 100)
    handler.wfile.write(answer.body)
    handler.close_connection = True


def trickle(handler, answer):
    """A byte now and then, for longer than anybody waits."""
    handler.head(answer, len(answer.body))
    for byte in answer.body:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        if handler.server.ending.wait(TRICKLE_S):
            break
    handler.close_connection = True


def huge(handler, answer):
    """The good answer in front of ten million spaces: what reads it whole finds nothing amiss."""
    handler.reply(Answer(answer.status, answer.content_type, answer.body + b" " * HUGE))


def redirect(handler, answer):
    """To itself, where the good answer would be."""
    handler.reply(Answer(307, "text/plain", "", [("Location", handler.server.url() + handler.path)]))


def html(handler, answer):
    handler.reply(Answer(200, "text/html", "<html><body>Sign in</body></html>"))


def gateway(handler, answer):
    handler.reply(Answer(502, "text/html", "<html><body>Bad Gateway</body></html>"))


def garbage(handler, answer):
    handler.reply(Answer(200, answer.content_type, answer.body[:len(answer.body) // 2]))


def created(handler, answer):
    """Another status than the one for "here it is"."""
    handler.reply(Answer(201 if answer.status == 200 else 200, answer.content_type, answer.body))


MODES = {function.__name__: function for function in (
    hang, held, close, truncated, trickle, huge, redirect, html, gateway, garbage, created)}
# After these nobody can say whether a credential exists: nothing is given out, and it is on record so.
UNKNOWN = sorted(set(MODES) - {"held"})


# --- the server ---------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """A fake is a subclass with `take`, `answer` and `own_modes`."""

    protocol_version = "HTTP/1.1"
    own_modes = {}  # {name: function(self, asked) -> Answer}

    def take(self, body):
        """What a good request asks for, as a dict; its `place` is where. Raises Refused."""
        raise NotImplementedError

    def answer(self, asked):
        """The good answer."""
        raise NotImplementedError

    def default_mode(self, asked):
        return "ok"

    def control(self):
        """What the control file says."""
        if self.server.options.control:
            try:
                with open(self.server.options.control, encoding="utf-8") as file:
                    return file.read().strip()
            except FileNotFoundError:
                pass
        return ""

    def mode(self, asked):
        name, _, place = (self.control() or self.default_mode(asked)).partition("@")
        return name if not place or place == asked.get("place") else "ok"

    def do_POST(self):
        self.do(self.headers.get("Content-Length", ""))

    def do_DELETE(self):
        self.do(self.headers.get("Content-Length", "0"))

    def do(self, length):
        try:
            if not length.isdigit() or int(length) > BODY_MAX:
                raise Refused(Answer(413, "text/plain", ""), "no body, or a large one")
            asked = self.take(self.rfile.read(int(length)))
        except Refused as refused:
            print(f"refused: {refused}", flush=True)
            self.reply(refused.answer)
            return
        self.record(asked)
        name = self.mode(asked)
        try:
            if name in self.own_modes:
                self.reply(self.own_modes[name](self, asked))
            elif name in MODES:
                MODES[name](self, self.answer(asked))
            else:
                assert name == "ok", name
                self.reply(self.answer(asked))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # who asked did not wait

    def record(self, asked):
        if self.server.options.record:
            with open(self.server.options.record, "a", encoding="utf-8") as file:
                file.write(json.dumps(asked) + "\n")

    def head(self, answer, length):
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(length))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()

    def reply(self, answer):
        self.head(answer, len(answer.body))
        self.wfile.write(answer.body)

    def log_message(self, format, *values):
        print("request: " + format % values, flush=True)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler, options):
        super().__init__(("127.0.0.1", options.port), handler)
        self.options = options
        self.ending = threading.Event()
        if options.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options.certificate, options.key)
            # The handshake is the handler's thread's, at its first read.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def url(self):
        return "%s://127.0.0.1:%d" % ("https" if self.options.certificate else "http", self.server_address[1])


def parser_for(what, handler):
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--control", metavar="FILE",
                        help="holds the mode: ok, " + ", ".join([*handler.own_modes, *MODES]))
    parser.add_argument("--certificate", metavar="FILE", help="for TLS, with its --key")
    parser.add_argument("--key", metavar="FILE")
    parser.add_argument("--record", metavar="FILE", help="gets a line for each good request")
    return parser


def serve(server):
    print("READY " + server.url(), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    sys.exit(0)
