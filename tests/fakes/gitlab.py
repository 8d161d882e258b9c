#!/usr/bin/python3
"""A strict stand-in for GitLab: access tokens of some projects and groups, deploy tokens of the projects, and git by HTTP
with them.

It takes what is documented and refuses the rest in GitLab's words. Who asks shows a token that is a line of
--own-tokens, a maintainer's. Nothing may be rotated. GET /fake/tokens tells which tokens there are, by the digest of
each. How it is told what to answer: misbehaviour.py; places are "token", "delete" and "list". The record says what was
asked, without tokens. What there is outlives it where --state names a file.
"""

import base64
import datetime
import hashlib
import json
import os
import re
import secrets
import sys
import threading
import time
import urllib.parse

sys.dont_write_bytecode = True

import misbehaviour  # noqa: E402
from misbehaviour import Answer, Refused, json_answer  # noqa: E402

PROJECT_SCOPES = ["api", "read_api", "read_repository", "write_repository", "read_registry", "write_registry",
                  "read_virtual_registry", "write_virtual_registry", "create_runner", "manage_runner", "ai_features",
                  "k8s_proxy", "self_rotate"]
DEPLOY_SCOPES = ["read_repository", "read_registry", "write_registry", "read_package_registry",
                 "write_package_registry", "read_virtual_registry", "write_virtual_registry"]
LEVELS = [10, 15, 20, 30, 40, 50]
OWN_LEVEL = 40
COLLECTIONS = {"access_tokens": "project", "deploy_tokens": "deploy"}
NAME_MAX = 255
COMMIT = "5e8f2c6b7a1d4039a8c1b2d3e4f5061728394a5b"


def message(status, words, headers=()):
    return json_answer(status, {"message": words}, headers)


def refusal(status, words):
    return Refused(message(status, words), "%d %s" % (status, words))


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


def utc(wall_s):
    return datetime.datetime.fromtimestamp(wall_s, datetime.timezone.utc)


class Handler(misbehaviour.Handler):
    def now(self):
        """The time, which a test may move."""
        try:
            with open(self.server.options.ahead, encoding="utf-8") as file:
                return time.time() + int(file.read())
        except (FileNotFoundError, TypeError):
            return time.time()

    # ---- who asks, and for what ----

    def check_caller(self):
        with open(self.server.options.own_tokens, encoding="utf-8") as file:
            own = file.read().split()
        if self.headers.get("PRIVATE-TOKEN") not in own:
            raise Refused(json_answer(401, {"message": "401 Unauthorized"}), "401")
        if self.headers.get("Accept") != "application/json" or not self.headers.get("User-Agent"):
            raise refusal(406, "406 Not Acceptable")

    def check_owner(self, owner):
        """A project's id, or "group ID"."""
        kind, _, number = owner.rpartition(" ")
        if number not in (self.server.options.groups if kind else self.server.options.projects):
            raise refusal(404, "404 %s Not Found" % (kind or "project").title())

    def read_body(self, body, keys):
        if self.headers.get("Content-Type") != "application/json":
            raise Refused(json_answer(415, {"error": "The provided content-type is not supported."}), "415")
        try:
            value = json.loads(body)
        except ValueError as problem:
            raise Refused(json_answer(400, {"error": "Problems parsing JSON"}), "400 no JSON") from problem
        if not isinstance(value, dict) or set(value) != keys:
            raise Refused(json_answer(400, {"error": "what this stand-in is never asked for"}), "400 %s" % value)
        return value

    def check_common(self, asked, scopes):
        if not isinstance(asked["name"], str) or not 0 < len(asked["name"]) <= NAME_MAX or \
                any(len(part) > 127 for part in asked["name"].split(" ", 1)) or re.search(r"[<>]", asked["name"]):
            raise refusal(400, {"name": ["is too long"]})
        if not isinstance(asked["scopes"], list) or not asked["scopes"] or not set(asked["scopes"]) <= set(scopes) or \
                len(set(asked["scopes"])) != len(asked["scopes"]):
            raise Refused(json_answer(400, {"error": "scopes does not have a valid value"}), "400 scopes")

    def take_project_token(self, body):
        asked = self.read_body(body, {"name", "scopes", "access_level", "expires_at"})
        self.check_common(asked, PROJECT_SCOPES)
        if type(asked["access_level"]) is not int or asked["access_level"] not in LEVELS:
            raise Refused(json_answer(400, {"error": "access_level does not have a valid value"}), "400 level")
        if asked["access_level"] > OWN_LEVEL:
            raise refusal(400, "400 Bad request - Access level of the token contains permissions not held by the "
                          "creating user")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", str(asked["expires_at"])):
            raise Refused(json_answer(400, {"error": "expires_at is invalid"}), "400 expires_at")
        end = datetime.datetime.strptime(asked["expires_at"], "%Y-%m-%d").replace(tzinfo=datetime.timezone.utc)
        if not self.now() < end.timestamp() < self.now() + 365 * 86400:
            raise refusal(400, "400 Bad request - Expiration date must be before")
        return asked

    def take_deploy_token(self, body):
        asked = self.read_body(body, {"name", "scopes", "expires_at"})
        self.check_common(asked, DEPLOY_SCOPES)
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(asked["expires_at"])):
            raise Refused(json_answer(400, {"error": "expires_at is invalid"}), "400 expires_at")
        return asked

    def take_token(self, project, collection, body):
        asked = self.take_project_token(body) if collection == "access_tokens" else self.take_deploy_token(body)
        return {"place": "token", "project": project, "collection": collection, **asked}

    def take_deletion(self, project, collection, number, body):
        if body:
            raise refusal(400, "400 a body that nobody asked for")
        asked = {"place": "delete", "project": project, "collection": collection, "token_id": number}
        if self.mode(asked) in ("down", "wall", "denied", "throttled", "forbidden"):
            return asked  # which changes nothing
        with self.server.lock:
            found = self.server.tokens.get(collection + "/" + number)
            if not found or found["project"] != project or found["revoked"]:
                raise refusal(404, "404 project Access Token Not Found" if collection == "access_tokens"
                              else "404 Not found")
            found["revoked"] = True
            self.server.save()
        return asked

    def take_list(self, project, collection, query):
        values = {name: value[0] for name, value in urllib.parse.parse_qs(query, strict_parsing=True).items()}
        is_project = collection == "access_tokens"
        if set(values) != ({"state", "per_page", "page", "search"} if is_project else {"active", "per_page", "page"}) or \
                values.get("state", values.get("active")) not in ("active", "true"):
            raise refusal(400, "400 unknown parameters")
        return {"place": "list", "project": project, "collection": collection, "page": int(values["page"]),
                "per_page": min(int(values["per_page"]), 100), "search": values.get("search", "")}

    def take(self, body):
        if self.path.endswith("/rotate"):
            self.record({"place": "rotate"})
            raise refusal(400, "400 what this stand-in is never asked for")
        self.check_caller()
        path, _, query = self.path.partition("?")
        match = re.fullmatch(r"/api/v4/(?:projects/(\d+)/(access_tokens|deploy_tokens)|groups/(\d+)/(access_tokens))"
                             r"(?:/(\d+))?", path)
        if not match:
            raise Refused(json_answer(404, {"error": "404 Not Found"}), "404")
        project, collection, number = match[1] or "group " + match[3], match[2] or match[4], match[5]
        if self.mode({"place": "delete"}) != "denied" or self.command != "DELETE":
            self.check_owner(project)
        if self.command == "POST" and not number and not query:
            return self.take_token(project, collection, body)
        if self.command == "DELETE" and number and not query:
            return self.take_deletion(project, collection, number, body)
        if self.command == "GET" and not number:
            return self.take_list(project, collection, query)
        raise Refused(json_answer(405, {"error": "405 Not Allowed"}), "405")

    # ---- answers ----

    def end_of(self, found):
        """Its end in seconds: of a date, its midnight."""
        text = found["expires_at"]
        form = "%Y-%m-%d" if len(text) == 10 else "%Y-%m-%dT%H:%M:%SZ"
        return datetime.datetime.strptime(text, form).replace(tzinfo=datetime.timezone.utc).timestamp()

    def is_good(self, found):
        return not found["revoked"] and self.end_of(found) > self.now()

    def shown(self, number, found):
        """As GitLab tells of one, but for the token itself."""
        value = {"id": number, "name": found["name"], "scopes": found["scopes"], "revoked": found["revoked"]}
        if found["collection"] == "access_tokens":
            return {**value, "user_id": 1000 + number, "description": None, "access_level": found["access_level"],
                    "created_at": "2026-01-01T00:00:00.000Z", "last_used_at": None, "active": self.is_good(found),
                    "expires_at": found["expires_at"]}
        return {**value, "username": "gitlab+deploy-token-%d" % number, "expired": not self.is_good(found),
                "expires_at": found["expires_at"].replace("Z", ".000Z")}

    def value(self, asked, made=None, **changes):
        """A token is made, with what `made` says instead of what was asked; `changes` are of the answer alone."""
        is_project = asked["collection"] == "access_tokens"
        token = ("glpat-" if is_project else "gldt-") + secrets.token_urlsafe(15)
        found = {name: asked[name] for name in ("project", "collection", "name", "scopes", "expires_at")}
        found.update({"revoked": False, "access_level": asked.get("access_level"), "digest": digest(token)}, **made or {})
        with self.server.lock:
            self.server.last += 1
            number = self.server.last
            self.server.tokens["%s/%d" % (asked["collection"], number)] = found
            self.server.save()
        return {**self.shown(number, found), "token": token, **changes}

    def later(self, asked, seconds):
        """Another end than the one that was asked for."""
        form = "%Y-%m-%d" if asked["collection"] == "access_tokens" else "%Y-%m-%dT%H:%M:%SZ"
        return utc(self.end_of(asked) + seconds).strftime(form)

    def listed(self, asked):
        rows = [self.shown(int(key.split("/")[1]), found) for key, found in sorted(self.server.tokens.items())
                if found["project"] == asked["project"] and found["collection"] == asked["collection"]
                and self.is_good(found) and asked["search"] in found["name"]]
        start = (asked["page"] - 1) * asked["per_page"]
        return rows[start:start + asked["per_page"]]

    def answer(self, asked):
        if asked["place"] == "delete":
            return Answer(204, "application/json", "")
        if asked["place"] == "list":
            return json_answer(200, self.listed(asked))
        return json_answer(201, self.value(asked))

    def made(self, asked, **made):
        return json_answer(201, self.value(asked, made))

    def said(self, asked, **changes):
        return json_answer(201, self.value(asked, **changes))

    def without(self, asked, name):
        value = self.value(asked)
        del value[name]
        return json_answer(201, value)

    def spent(self, asked):
        """A good answer, and the last one for a while."""
        answer = self.answer(asked)
        answer.headers += [("RateLimit-Remaining", "0"), ("RateLimit-Reset", str(int(self.now()) + 30))]
        return answer

    own_modes = {
        "denied": lambda self, asked: message(404, "404 Project Not Found"),
        "forbidden": lambda self, asked: json_answer(403, {"error": "insufficient_scope", "error_description": "more"}),
        "unauthorized": lambda self, asked: message(401, "401 Unauthorized"),
        "invalid": lambda self, asked: message(400, {"scopes": ["can only contain available scopes"]}),
        "throttled": lambda self, asked: Answer(429, "text/plain", "Retry later\n", [("Retry-After", "90")]),
        "limited": lambda self, asked: message(429, {"error": "This endpoint has been requested too many times."},
                                               [("RateLimit-Remaining", "0"),
                                                ("RateLimit-Reset", str(int(self.now()) + 45))]),
        "spent": spent,
        "down": lambda self, asked: message(503, "503 Service Unavailable"),
        "wall": lambda self, asked: Answer(401, "text/html", "<html><body>Sign in</body></html>"),
        "longer": lambda self, asked: self.made(asked, expires_at=self.later(asked, 86400)),
        "sooner": lambda self, asked: self.said(asked, expires_at=self.later(asked, -86400)),
        "endless": lambda self, asked: self.said(asked, expires_at=None),
        "wider": lambda self, asked: self.made(asked, scopes=[*asked["scopes"], "read_registry", "write_registry"]),
        "narrower": lambda self, asked: self.made(asked, scopes=asked["scopes"][1:]),
        "higher": lambda self, asked: self.made(asked, access_level=40),
        "renamed": lambda self, asked: self.said(asked, name="somebody else's", id=1),
        "nameless": lambda self, asked: self.without(asked, "name"),
        "numberless": lambda self, asked: self.without(asked, "id"),
        "empty": lambda self, asked: self.said(asked, token=""),
        "silent": lambda self, asked: self.without(asked, "scopes"),
        "inactive": lambda self, asked: self.said(asked, active=False, expired=True),
        "nobody": lambda self, asked: self.without(asked, "username"),
        "both": lambda self, asked: self.said(asked, message="500 Internal Server Error"),
    }

    # ---- git, and what the test asks ----

    def fits(self, user, password, scopes):
        """Whether it is a good token with one of the scopes."""
        for key, found in self.server.tokens.items():
            if found["digest"] == digest(password) and self.is_good(found) and set(scopes) & set(found["scopes"]):
                return found["collection"] == "access_tokens" and user != "" or \
                    user == "gitlab+deploy-token-%s" % key.split("/")[1]
        return False

    def do_git(self):
        """What a git client reads of a repository that is served as files."""
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(given).decode().partition(":") if scheme == "Basic" else ("", "", "")
        if not self.fits(user, password, ["read_repository", "write_repository", "api"]):
            self.reply(Answer(401, "text/plain", "HTTP Basic: Access denied",
                              [("WWW-Authenticate", 'Basic realm="GitLab"')]))
            return
        self.record({"place": "git", "user": user})
        self.reply(Answer(200, "text/plain", COMMIT + "\trefs/heads/main\n"))

    def do_GET(self):
        if self.path == "/fake/tokens":
            self.reply(json_answer(200, {found["digest"]: {**self.shown(int(key.split("/")[1]), found), "good": self.is_good(
                found)} for key, found in self.server.tokens.items()}))
        elif self.path.split("?")[0] == "/acme/payments.git/info/refs":
            self.do_git()
        elif self.path.startswith("/acme/payments.git/"):
            self.reply(Answer(200, "text/plain", "ref: refs/heads/main\n"))
        else:
            self.do(self.headers.get("Content-Length", "0"))


class Server(misbehaviour.Server):
    def __init__(self, handler, options):
        super().__init__(handler, options)
        self.lock = threading.Lock()
        self.tokens = {}  # {"access_tokens/12": what is known of it}
        self.last = 100
        if options.state and os.path.exists(options.state):
            with open(options.state, encoding="utf-8") as file:
                self.tokens = json.load(file)
            self.last = max([100, *(int(key.split("/")[1]) for key in self.tokens)])

    def save(self):
        if self.options.state:
            with open(self.options.state + ".new", "w", encoding="utf-8") as file:
                json.dump(self.tokens, file)
            os.replace(self.options.state + ".new", self.options.state)


def main():
    parser = misbehaviour.parser_for("a strict stand-in for GitLab, on loopback", Handler)
    parser.add_argument("--issuer", help="not looked at: what is trusted are tokens")
    parser.add_argument("--ca", help="likewise")
    parser.add_argument("--own-tokens", required=True, metavar="FILE", help="what who asks must show one of; read each time")
    parser.add_argument("--projects", required=True, nargs="+", metavar="ID")
    parser.add_argument("--groups", default=[], nargs="+", metavar="ID")
    parser.add_argument("--ahead", metavar="FILE", help="holds the seconds that the clock is ahead; read each time")
    parser.add_argument("--state", metavar="FILE")
    misbehaviour.serve(Server(Handler, parser.parse_args()))


main()
