#!/usr/bin/python3
"""A strict stand-in for Vault: a login at the JWT auth method, and a token that revokes itself.

One role, bound to --subject and --audience, in one namespace. It takes what is documented and refuses the rest
as Vault does: {"errors": [...]}, 400 for a login that does not hold, 403 for a token that is none. How it is told
what to answer: misbehaviour.py; places are "login" and "revoke". The record says what was asked, of tokens their
digests only.
"""

import hashlib
import json
import secrets
import sys
import threading
import uuid

sys.dont_write_bytecode = True

import assertion  # noqa: E402
import misbehaviour  # noqa: E402
from misbehaviour import Answer, Refused, json_answer  # noqa: E402

LOGIN_LIFE_MAX_S = 600  # of the token that a login is done with


def error_answer(status, *words):
    return json_answer(status, {"errors": list(words)})


def refusal(status, *words):
    return Refused(error_answer(status, *words), "%d %s" % (status, words))


def digest(token):
    return hashlib.sha256(token.encode()).hexdigest()


class Handler(misbehaviour.Handler):
    def check_jwt(self, token):
        options = self.server.options
        try:
            claims = self.server.issuer.claims(token)
            assertion.check_names(claims, self.server.issuer, options.audience)
            assertion.check_times(claims, LOGIN_LIFE_MAX_S)
        except assertion.Bad as bad:
            raise refusal(400, "error validating token: %s" % bad) from bad
        if claims.get("sub") != options.subject:
            raise refusal(400, "error validating token: sub claim does not match associated bound subject")
        return claims

    def check_namespace(self):
        if self.headers.get("X-Vault-Namespace", "").strip("/") != self.server.options.namespace:
            raise refusal(404, "namespace not found")

    def take_login(self, body):
        if self.headers.get("Content-Type") != "application/json":
            raise refusal(415, "unsupported media type")
        try:
            login = json.loads(body)
        except ValueError as problem:
            raise refusal(400, "failed to parse JSON input: %s" % problem) from problem
        if not isinstance(login, dict) or set(login) != {"role", "jwt"} or not all(
                isinstance(value, str) and value for value in login.values()):
            raise refusal(400, "missing role or token")
        if login["role"].lower() != self.server.options.role:
            raise refusal(400, "role %r could not be found" % login["role"])
        return {"place": "login", "role": login["role"], "claims": self.check_jwt(login["jwt"])}

    def take_revocation(self, body):
        token = self.headers.get("X-Vault-Token", "")
        if body:
            raise refusal(400, "a body that nobody asked for")
        with self.server.lock:
            is_known = token in self.server.tokens
            self.server.tokens.discard(token)
        if not is_known:
            if self.mode({"place": "revoke"}) == "old":
                raise refusal(403, "permission denied")
            raise refusal(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
        return {"place": "revoke", "token": digest(token)}

    def take(self, body):
        self.check_namespace()
        if self.path == "/v1/auth/%s/login" % self.server.options.mount:
            return self.take_login(body)
        if self.path == "/v1/auth/token/revoke-self":
            return self.take_revocation(body) if not self.is_down("revoke") else {"place": "revoke", "token": None}
        raise refusal(404, "no handler for route %s" % self.path)

    def is_down(self, place):
        """An answer that says so changes nothing."""
        return self.mode({"place": place}) in ("down", "denied")

    def value(self, **changes):
        token = "hvs." + secrets.token_urlsafe(72)
        with self.server.lock:
            self.server.tokens.add(token)
        auth = {"client_token": token, "accessor": secrets.token_urlsafe(18), "policies": ["default", "payments"],
                "token_policies": ["default", "payments"], "metadata": {"role": self.server.options.role},
                "lease_duration": 900, "renewable": True, "entity_id": str(uuid.uuid4()), "token_type": "service",
                "orphan": True, "num_uses": 0}
        auth.update(changes)
        return {"request_id": str(uuid.uuid4()), "lease_id": "", "renewable": False, "lease_duration": 0, "data": None,
                "wrap_info": None, "warnings": None, "auth": auth}

    def answer(self, asked):
        if asked["place"] == "revoke":
            return Answer(204, "application/json", "")
        return json_answer(200, self.value())

    own_modes = {
        "old": lambda self, asked: self.answer(asked),
        "denied": lambda self, asked: error_answer(403, "permission denied"),
        "throttle": lambda self, asked: error_answer(429, "request path rate limit quota exceeded"),
        "down": lambda self, asked: error_answer(503, "Vault is sealed"),
        "broken": lambda self, asked: error_answer(500, "internal error"),
        "longer": lambda self, asked: json_answer(200, self.value(lease_duration=2764800)),
        "for-ever": lambda self, asked: json_answer(200, self.value(lease_duration=0)),
        "root": lambda self, asked: json_answer(200, self.value(policies=["default", "root"])),
        "other-role": lambda self, asked: json_answer(200, self.value(metadata={"role": "admin"})),
        "batch": lambda self, asked: json_answer(200, self.value(token_type="batch", accessor="", renewable=False)),
        "both": lambda self, asked: json_answer(200, {**self.value(), "errors": ["internal error"]}),
        "none": lambda self, asked: json_answer(200, {**self.value(), "auth": None}),
    }


def main():
    parser = misbehaviour.parser_for("a strict stand-in for Vault's JWT login, on loopback", Handler)
    parser.add_argument("--issuer", required=True, metavar="URL", help="whose tokens are taken")
    parser.add_argument("--ca", metavar="FILE", help="who signed the issuer's certificate; default: the system's")
    parser.add_argument("--role", required=True)
    parser.add_argument("--subject", required=True, help="the role's bound_subject")
    parser.add_argument("--audience", required=True, help="the role's bound_audiences: one")
    parser.add_argument("--mount", default="jwt")
    parser.add_argument("--namespace", default="")
    options = parser.parse_args()
    server = misbehaviour.Server(Handler, options)
    server.issuer = assertion.Issuer(options.issuer, options.ca)
    server.tokens = set()
    server.lock = threading.Lock()
    misbehaviour.serve(server)


main()
