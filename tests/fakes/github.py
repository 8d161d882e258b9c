#!/usr/bin/python3
"""A strict stand-in for GitHub's REST API: installation tokens of apps, which delete themselves.

An app has one installation, which has --repositories and --permissions; there may be --more-apps. The file of --limits
says which installations have used up what they may ask, and for how many seconds. It takes what is documented and refuses
the rest in GitHub's words. How it is told what to answer: misbehaviour.py; places are "token" and "delete". The
record says what was asked, of tokens their digests only.
"""

import datetime
import hashlib
import json
import secrets
import sys
import threading
import time

sys.dont_write_bytecode = True

import assertion  # noqa: E402
import misbehaviour  # noqa: E402
from misbehaviour import Answer, Refused, json_answer  # noqa: E402

LEVELS = ["read", "write", "admin"]
REPOSITORIES_MAX = 500
APP_LIFE_MAX_S = 600
LIFE_S = 3600
DOCUMENTATION = "https://docs.github.com/rest"
VERSION = "2022-11-28"


def error_answer(status, words, headers=()):
    return json_answer(status, {"message": words, "documentation_url": DOCUMENTATION, "status": str(status)}, headers)


def refusal(status, words):
    return Refused(error_answer(status, words), "%d %s" % (status, words))


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


def repository(number):
    """A part of all that is told of one."""
    name = "repository-%d" % number
    return {"id": number, "name": name, "full_name": "acme/" + name, "private": True, "description": "x" * 4000,
            "owner": {"login": "acme", "id": 918273, "type": "Organization"}, "permissions": {"admin": False}}


class Handler(misbehaviour.Handler):
    def now(self):
        """The time, which a test may move."""
        try:
            with open(self.server.options.ahead, encoding="utf-8") as file:
                return time.time() + int(file.read())
        except (FileNotFoundError, TypeError):
            return time.time()

    def check_headers(self):
        """What every request has."""
        if not self.headers.get("User-Agent"):
            raise refusal(403, "Request forbidden by administrative rules. Please make sure your request has a "
                          "User-Agent header.")
        if self.headers.get("X-GitHub-Api-Version") != VERSION or \
                self.headers.get("Accept") != "application/vnd.github+json":
            raise refusal(400, "The version or media type is not supported.")

    def bearer(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise refusal(401, "Requires authentication")
        return token

    def check_app(self, app):
        try:
            claims = assertion.claims_by(app["key"], self.bearer())
            assertion.check_times(claims, APP_LIFE_MAX_S, self.now())
        except assertion.Bad as bad:
            raise refusal(401, "A JSON web token could not be decoded (%s)" % bad) from bad
        if claims["exp"] > self.now() + APP_LIFE_MAX_S:
            raise refusal(401, "'Expiration time' claim ('exp') is too far in the future")
        if claims.get("iss") != app["app"]:
            raise refusal(401, "'Issuer' claim ('iss') must be an Integer or the app's client id")
        if set(claims) != {"iss", "iat", "exp"}:
            raise refusal(401, "claims that are not documented")
        return claims

    def check_limits(self, app):
        try:
            with open(self.server.options.limits, encoding="utf-8") as file:
                wait_s = json.load(file).get(app["installation"], 0)
        except (FileNotFoundError, TypeError):
            return
        if wait_s:
            raise Refused(error_answer(403, "You have reached the limit of this installation.", [
                ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", str(int(self.now()) + wait_s))]),
                "installation %s is limited" % app["installation"])

    def check_repositories(self, ids, has):
        if not isinstance(ids, list) or not ids or len(ids) > REPOSITORIES_MAX or \
                not all(type(number) is int for number in ids):
            raise refusal(422, "Invalid request. repository_ids: 1 to 500 integers")
        if not set(ids) <= set(has):
            raise refusal(422, "There is at least one repository that does not exist or is not accessible to the "
                          "parent installation.")

    def check_permissions(self, permissions):
        has = self.server.options.permissions
        if not isinstance(permissions, dict) or not permissions:
            raise refusal(422, "Invalid request. permissions: what this stand-in is never asked for: all")
        for name, level in permissions.items():
            if level not in LEVELS or LEVELS.index(level) > LEVELS.index(has.get(name, "read")) or name not in has:
                raise refusal(422, "The permissions requested are not granted to this installation.")

    def take_token(self, app, body):
        claims = self.check_app(app)
        self.check_limits(app)
        if self.headers.get("Content-Type") != "application/json":
            raise refusal(415, "Unsupported Media Type")
        try:
            asked = json.loads(body)
        except ValueError as problem:
            raise refusal(400, "Problems parsing JSON") from problem
        if not isinstance(asked, dict) or set(asked) != {"repository_ids", "permissions"}:
            raise refusal(422, "Invalid request. Only repository_ids and permissions are asked for, and both")
        self.check_repositories(asked["repository_ids"], app["repositories"])
        self.check_permissions(asked["permissions"])
        return {"place": "token", "claims": claims, "repositories": asked["repository_ids"],
                "permissions": asked["permissions"]}

    def take_deletion(self, body):
        token = self.bearer()
        if body:
            raise refusal(400, "a body that nobody asked for")
        if self.mode({"place": "delete"}) in ("down", "denied", "throttled", "wall"):
            return {"place": "delete", "token": None}  # which changes nothing
        with self.server.lock:
            is_known = token in self.server.tokens
            self.server.tokens.discard(token)
        if not is_known:
            raise refusal(401, "Bad credentials")
        return {"place": "delete", "token": digest(token)}

    def take(self, body):
        self.check_headers()
        for app in self.server.apps:
            if (self.command, self.path) == ("POST", "/app/installations/%s/access_tokens" % app["installation"]):
                return self.take_token(app, body)
        if self.command == "DELETE" and self.path == "/installation/token":
            return self.take_deletion(body)
        raise refusal(404, "Not Found")

    def value(self, asked, life_s=LIFE_S, **changes):
        token = "ghs_12345_" + ".".join(secrets.token_urlsafe(160) for _ in range(3))
        with self.server.lock:
            self.server.tokens.add(token)
        end = datetime.datetime.fromtimestamp(self.now() + life_s, datetime.timezone.utc)
        value = {"token": token, "expires_at": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
                 "permissions": {"metadata": "read", **asked["permissions"]}, "repository_selection": "selected",
                 "repositories": [repository(number) for number in asked["repositories"]]}
        value.update(changes)
        return value

    def answer(self, asked):
        if asked["place"] == "delete":
            return Answer(204, "application/json", "")
        return json_answer(201, self.value(asked))

    def without(self, asked, name):
        value = self.value(asked)
        del value[name]
        return value

    own_modes = {
        "denied": lambda self, asked: error_answer(404, "Not Found"),
        "suspended": lambda self, asked: error_answer(403, "This installation has been suspended"),
        "unprocessable": lambda self, asked: error_answer(422, "The permissions requested are not granted."),
        "throttled": lambda self, asked: error_answer(429, "You have exceeded a secondary rate limit.",
                                                      [("Retry-After", "90")]),
        "limited": lambda self, asked: error_answer(403, "API rate limit exceeded for installation.",
                                                    [("x-ratelimit-remaining", "0")]),
        "down": lambda self, asked: error_answer(503, "Service unavailable"),
        "wall": lambda self, asked: Answer(401, "text/html", "<html><body>Sign in</body></html>"),
        "longer": lambda self, asked: json_answer(201, self.value(asked, 7200)),
        "over": lambda self, asked: json_answer(201, self.value(asked, -10)),
        "wider": lambda self, asked: json_answer(201, self.value(asked, permissions={"contents": "write"})),
        "more": lambda self, asked: json_answer(201, self.value(asked, permissions={
            "contents": "read", "administration": "read"})),
        "silent": lambda self, asked: json_answer(201, self.without(asked, "permissions")),
        "all": lambda self, asked: json_answer(201, self.value(asked, repository_selection="all")),
        "other": lambda self, asked: json_answer(201, self.value(asked, repositories=[
            repository(number) for number in (*asked["repositories"], 99)])),
        "unsaid": lambda self, asked: json_answer(201, self.without(asked, "repositories")),
        "empty": lambda self, asked: json_answer(201, self.value(asked, token="")),
        "both": lambda self, asked: json_answer(201, {**self.value(asked), "message": "Server Error"}),
    }


def main():
    parser = misbehaviour.parser_for("a strict stand-in for GitHub's API, on loopback", Handler)
    parser.add_argument("--issuer", help="not looked at: what is trusted is the app's key")
    parser.add_argument("--ca", help="likewise")
    parser.add_argument("--app", required=True, help="its client id")
    parser.add_argument("--public-key", required=True, metavar="FILE", help="PEM")
    parser.add_argument("--installation", required=True)
    parser.add_argument("--ahead", metavar="FILE", help="holds the seconds that the clock is ahead; read each time")
    parser.add_argument("--repositories", required=True, type=json.loads, help="ids, a JSON list")
    parser.add_argument("--more-apps", default=[], type=json.loads,
                        help="a JSON list of maps: app, installation, public_key, repositories")
    parser.add_argument("--limits", metavar="FILE", help="a JSON map of installations to seconds; read each time")
    parser.add_argument("--permissions", required=True, type=json.loads, help="a JSON object")
    options = parser.parse_args()
    server = misbehaviour.Server(Handler, options)
    server.apps = [{name: getattr(options, name) for name in ("app", "installation", "public_key", "repositories")},
                   *options.more_apps]
    for app in server.apps:
        with open(app["public_key"], "rb") as file:
            app["key"] = file.read()
    server.tokens = set()
    server.lock = threading.Lock()
    misbehaviour.serve(server)


main()
