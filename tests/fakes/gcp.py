#!/usr/bin/python3
"""A strict stand-in for Google's STS (v1 token) and iamcredentials (generateAccessToken).

One provider trusts the issuer; one service account may be impersonated by --subject, and by nobody else. It
takes what is documented and refuses the rest as the real ones do. Tokens that it gave it knows again: only a
federated one impersonates, and what is bound is bound no second time.

How it is told what to answer: misbehaviour.py; its places are exchange, impersonate and bound. The record
says what was asked, without tokens.
"""

import datetime
import json
import re
import secrets
import sys
import time

sys.dont_write_bytecode = True

import assertion  # noqa: E402
import forms  # noqa: E402
import misbehaviour  # noqa: E402
from misbehaviour import Refused, json_answer  # noqa: E402

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
SUBJECT_TYPES = ("urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token")
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
SCOPE = re.compile(r"https://www\.googleapis\.com/auth/[a-z0-9._-]+")
CLOUD = "https://www.googleapis.com/auth/cloud-platform"
IAM = "https://www.googleapis.com/auth/iam"
BUCKET = re.compile(r"//storage\.googleapis\.com/projects/_/buckets/[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
PERMISSION = re.compile(r"inRole:(roles|projects/[a-z0-9-]+/roles|organizations/[0-9]+/roles)/[A-Za-z0-9_.]+")
LIFETIME = re.compile(r"([1-9][0-9]{0,5})s")
IMPERSONATE = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken")
FEDERATED_S = 3599
OPTIONS_MAX = 2048


def sts_error(code, words, status=400):
    return json_answer(status, {"error": code, "error_description": words})


def sts_refusal(code, words):
    return Refused(sts_error(code, words), f"{code}: {words}")


def iam_error(status, name, words):
    return json_answer(status, {"error": {"code": status, "message": words, "status": name}})


def iam_refusal(status, name, words):
    return Refused(iam_error(status, name, words), f"{name}: {words}")


# --- what is asked ------------------------------------------------------------------------------


def check_rule(rule):
    if not isinstance(rule, dict) or not set(rule) <= {"availableResource", "availablePermissions",
                                                       "availabilityCondition"}:
        raise sts_refusal("invalid_request", "a rule has another form")
    if not BUCKET.fullmatch(str(rule.get("availableResource"))):
        raise sts_refusal("invalid_request", "a rule is for something else than a bucket")
    permissions = rule.get("availablePermissions")
    if not isinstance(permissions, list) or not permissions:
        raise sts_refusal("invalid_request", "a rule without permissions")
    if not all(isinstance(one, str) and PERMISSION.fullmatch(one) for one in permissions):
        raise sts_refusal("invalid_request", "a permission has another form")
    condition = rule.get("availabilityCondition", {"expression": "true"})
    if not set(condition) <= {"expression", "title", "description"} or not 0 < len(condition["expression"]) <= 2048:
        raise sts_refusal("invalid_request", "a condition has another form")


def check_boundary(text):
    if len(text) > OPTIONS_MAX:
        raise sts_refusal("invalid_request", "options has at most 2048 characters")
    try:
        options = json.loads(text)
    except ValueError as problem:
        raise sts_refusal("invalid_request", "options is not JSON") from problem
    if set(options) != {"accessBoundary"} or set(options["accessBoundary"]) != {"accessBoundaryRules"}:
        raise sts_refusal("invalid_request", "options has another form")
    rules = options["accessBoundary"]["accessBoundaryRules"]
    if not isinstance(rules, list) or not 1 <= len(rules) <= 10:
        raise sts_refusal("invalid_request", "a boundary has 1 to 10 rules")
    for rule in rules:
        check_rule(rule)
    return options


def check_scopes(scopes, refusal):
    if not scopes or not all(isinstance(scope, str) and SCOPE.fullmatch(scope) for scope in scopes):
        raise refusal("a scope has another form")
    return scopes


class Handler(misbehaviour.Handler):
    def sts_form(self, body):
        needed = ["grant_type", "requested_token_type", "subject_token", "subject_token_type"]
        if self.headers.get("Authorization"):
            raise sts_refusal("invalid_client", "no Authorization is taken here")
        try:
            form = forms.read_form(self.headers, body, needed, ["audience", "scope", "options"])
        except forms.BadForm as bad:
            raise sts_refusal("invalid_request", str(bad)) from bad
        if form["grant_type"] != EXCHANGE:
            raise sts_refusal("unsupported_grant_type", "not a token exchange")
        if form["requested_token_type"] != ACCESS_TOKEN:
            raise sts_refusal("invalid_request", "requested_token_type is no access token")
        return form

    def subject_of(self, form):
        options = self.server.options
        try:
            claims = self.server.issuer.claims(form["subject_token"])
            assertion.check_names(claims, self.server.issuer, options.audience or "https:" + options.provider)
            assertion.check_times(claims, 48 * 3600)
        except assertion.Bad as bad:
            raise sts_refusal("invalid_grant", str(bad)) from bad
        if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"].encode()) <= 127:
            raise sts_refusal("invalid_grant", "google.subject has 1 to 127 bytes")
        return claims

    def take_exchange(self, form):
        if form.get("audience") != self.server.options.provider:
            raise sts_refusal("invalid_target", "The target service indicated by the \"audience\" parameters is "
                              "invalid. This might either be because the pool or provider is disabled or deleted")
        if "scope" not in form:
            raise sts_refusal("invalid_request", "scope is missing")
        scopes = check_scopes(form["scope"].split(" "), lambda words: sts_refusal("invalid_scope", words))
        return {"place": "exchange", "scopes": scopes, "claims": self.subject_of(form)}

    def take_bound(self, form):
        known = self.server.tokens.get(form["subject_token"])
        if not known or known["expires"] < time.time():
            raise sts_refusal("invalid_grant", "an unknown or expired token")
        if known["place"] == "bound":
            raise sts_refusal("invalid_request", "a token that is bound already")
        if "audience" in form or "scope" in form or "options" not in form:
            raise sts_refusal("invalid_request", "a token of ours is only bound here")
        return {"place": "bound", "scopes": known["scopes"], "boundary": check_boundary(form["options"]),
                "expires": known["expires"]}

    def take_impersonation(self, body, account):
        known = self.server.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if not known or known["place"] != "exchange" or known["expires"] < time.time():
            raise iam_refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if not {IAM, CLOUD} & set(known["scopes"]):
            raise iam_refusal(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
        if account != self.server.options.account or known["subject"] != self.server.options.subject:
            raise iam_refusal(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on "
                              "resource (or it may not exist).")
        return {"place": "impersonate", "account": account, **self.read_impersonation(body)}

    def read_impersonation(self, body):
        def bad(words):
            return iam_refusal(400, "INVALID_ARGUMENT", words)
        if self.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            raise bad("not application/json")
        try:
            asked = json.loads(body)
        except ValueError as problem:
            raise bad("Invalid JSON payload received.") from problem
        if not set(asked) <= {"scope", "lifetime", "delegates"} or asked.get("delegates", []) != []:
            raise bad("Invalid JSON payload received. Unknown name.")
        scopes = check_scopes(asked.get("scope"), bad)
        lifetime = LIFETIME.fullmatch(asked.get("lifetime", "3600s"))
        if not lifetime or int(lifetime[1]) > 3600:
            raise bad("The access token lifetime cannot exceed 3600 seconds.")
        return {"scopes": scopes, "lifetime_s": int(lifetime[1])}

    def take(self, body):
        account = IMPERSONATE.fullmatch(self.path)
        if account:
            return self.take_impersonation(body, account[1])
        if self.path != "/v1/token":
            raise iam_refusal(404, "NOT_FOUND", "no such method")
        form = self.sts_form(body)
        if form["subject_token_type"] in SUBJECT_TYPES:
            return self.take_exchange(form)
        if form["subject_token_type"] == ACCESS_TOKEN:
            return self.take_bound(form)
        raise sts_refusal("invalid_request", "a subject_token_type that is not taken")

    # --- what is answered ------------------------------------------------------------------------

    def remember(self, asked, expires):
        token = "ya29." + secrets.token_urlsafe(48)
        self.server.tokens[token] = {"place": asked["place"], "scopes": asked["scopes"], "expires": expires,
                                     "subject": asked.get("claims", {}).get("sub")}
        return token

    def value(self, asked, more_s=0):
        """The good answer as a dict; `more_s` is by how much it lives longer than it should."""
        life_s = asked.get("lifetime_s", FEDERATED_S) + more_s
        expires = asked.get("expires", int(time.time()) + life_s)
        token = self.remember(asked, expires)
        if asked["place"] == "impersonate":
            end = datetime.datetime.fromtimestamp(expires, datetime.timezone.utc)
            return {"accessToken": token, "expireTime": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
        value = {"access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"}
        if asked["place"] == "exchange" or more_s:
            value["expires_in"] = life_s
        return value

    def answer(self, asked):
        return json_answer(200, self.value(asked))

    def error(self, asked, status, code, name):
        if asked["place"] == "impersonate":
            return iam_error(status, name, "as it was told to")
        return sts_error(code, "as it was told to", status)

    own_modes = {
        "denied": lambda self, asked: self.error(asked, 403 if asked["place"] == "impersonate" else 400,
                                                 "invalid_grant", "PERMISSION_DENIED"),
        "throttle": lambda self, asked: self.error(asked, 429, "rate_limit_exceeded", "RESOURCE_EXHAUSTED"),
        "down": lambda self, asked: self.error(asked, 503, "temporarily_unavailable", "UNAVAILABLE"),
        "longer": lambda self, asked: json_answer(200, self.value(asked, 43200)),
        "wider": lambda self, asked: json_answer(200, {**self.value(asked), "scope": CLOUD}),
        "other-type": lambda self, asked: json_answer(200, {**self.value(asked), "token_type": "N_A",
                                                            "accessToken": ""}),
        "both": lambda self, asked: json_answer(200, {**self.value(asked), "error": {"status": "INTERNAL"}}),
    }


def main():
    parser = misbehaviour.parser_for("a strict stand-in for Google's STS and iamcredentials, on loopback", Handler)
    parser.add_argument("--issuer", required=True, metavar="URL", help="whose tokens are taken")
    parser.add_argument("--ca", metavar="FILE", help="who signed the issuer's certificate; default: the system's")
    parser.add_argument("--provider", required=True, help="//iam.googleapis.com/projects/...")
    parser.add_argument("--audience", help="of the tokens; default: https: and the provider")
    parser.add_argument("--account", default="deploy@acme-prod.iam.gserviceaccount.com")
    parser.add_argument("--subject", required=True, help="who may impersonate the account")
    options = parser.parse_args()
    server = misbehaviour.Server(Handler, options)
    server.issuer = assertion.Issuer(options.issuer, options.ca)
    server.tokens = {}
    misbehaviour.serve(server)


main()
