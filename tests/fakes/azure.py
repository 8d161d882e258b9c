#!/usr/bin/python3
"""A strict stand-in for Entra's v2.0 token endpoint: client credentials with a federated credential.

One directory with one application, whose one federated identity credential is the issuer and --subject. It
takes what is documented and refuses the rest with Entra's own numbers. How it is told what to answer:
misbehaviour.py. The record says what was asked, without tokens.
"""

import datetime
import re
import secrets
import sys
import uuid

sys.dont_write_bytecode = True

import assertion  # noqa: E402
import forms  # noqa: E402
import misbehaviour  # noqa: E402
from misbehaviour import Refused, json_answer  # noqa: E402

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SCOPE = re.compile(r"(https://[A-Za-z0-9.-]+(/[^ ]*)?|api://[^ ]+|[0-9a-fA-F-]{36})/\.default")
FIELDS = ["client_id", "grant_type", "scope", "client_assertion_type", "client_assertion"]
LIFE_S = 3599

KINDS = {  # of a bad assertion: number and words
    "token": (50027, "JWT token is invalid or malformed."),
    "algorithm": (700027, "The certificate with identifier used to sign the client assertion is not registered."),
    "keys": (700027, "The keys of the issuer cannot be read."),
    "signature": (700027, "Client assertion failed signature validation."),
    "issuer": (700211, "No matching federated identity record found for presented assertion issuer."),
    "audience": (700212, "No matching federated identity record found for presented assertion audience."),
    "early": (700024, "Client assertion is not within its valid time range."),
    "expired": (700024, "Client assertion is not within its valid time range."),
}


def error_answer(status, code, number, words):
    trace, correlation = uuid.uuid4(), uuid.uuid4()
    now = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M:%SZ}"
    text = f"AADSTS{number}: {words} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
    return json_answer(status, {
        "error": code, "error_description": text, "error_codes": [number], "timestamp": now,
        "trace_id": str(trace), "correlation_id": str(correlation),
        "error_uri": f"https://login.microsoftonline.com/error?code={number}"})


def refusal(code, number, words, status=400):
    return Refused(error_answer(status, code, number, words), f"{number}: {words}")


class Handler(misbehaviour.Handler):
    def check_subject(self, claims):
        subject = self.server.options.subject
        if claims.get("sub") == subject:
            return
        if str(claims.get("sub")).lower() == subject.lower():
            raise refusal("invalid_client", 7002138, "The subject matches except for letter case.", 401)
        raise refusal("invalid_client", 700213,
                      "No matching federated identity record found for presented assertion subject.", 401)

    def check_assertion(self, token):
        issuer = self.server.issuer
        try:
            claims = issuer.claims(token, ["RS256"])
            assertion.check_names(claims, issuer, self.server.options.audience)
            assertion.check_times(claims)
        except assertion.Bad as bad:
            number, words = KINDS[bad.kind]
            raise refusal("invalid_client", number, f"{words} {bad}", 401) from bad
        self.check_subject(claims)
        return claims

    def read_form(self, body):
        try:
            form = forms.read_form(self.headers, body, FIELDS)
        except forms.BadForm as bad:
            raise refusal("invalid_request", 900144, f"The request body is not taken: {bad}.") from bad
        if form["grant_type"] != "client_credentials":
            raise refusal("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        if form["client_assertion_type"] != ASSERTION_TYPE:
            raise refusal("invalid_request", 7000218, "'client_assertion' or 'client_secret' is needed.")
        if not SCOPE.fullmatch(form["scope"]):
            raise refusal("invalid_scope", 1002012, "The provided value for scope is not valid. Client credential "
                          "flows must have a scope value with /.default suffixed to the resource identifier.")
        return form

    def take(self, body):
        directory = re.fullmatch(r"/([^/]+)/oauth2/v2\.0/token", self.path)
        if not directory or not GUID.fullmatch(directory[1]):
            raise refusal("invalid_request", 900023, "The tenant is not an id.")
        if directory[1] != self.server.options.directory:
            raise refusal("invalid_request", 90002, "Tenant not found.")
        form = self.read_form(body)
        if form["client_id"].lower() != self.server.options.client.lower():
            raise refusal("unauthorized_client", 700016, "Application was not found in the directory.")
        return {"client_id": form["client_id"], "scope": form["scope"],
                "claims": self.check_assertion(form["client_assertion"])}

    def value(self, life_s=LIFE_S):
        token = "eyJ0eXAiOiJKV1QifQ." + secrets.token_urlsafe(600) + "." + secrets.token_urlsafe(256)
        return {"token_type": "Bearer", "expires_in": life_s, "ext_expires_in": life_s, "access_token": token}

    def answer(self, asked):
        return json_answer(200, self.value())

    own_modes = {
        "denied": lambda self, asked: error_answer(401, "invalid_client", 700213, "No matching record."),
        "throttle": lambda self, asked: error_answer(429, "temporarily_unavailable", 90055, "Too many requests."),
        "down": lambda self, asked: error_answer(503, "temporarily_unavailable", 90033, "A transient error."),
        "longest": lambda self, asked: json_answer(200, self.value(5399)),
        "longer": lambda self, asked: json_answer(200, self.value(86399)),
        "wider": lambda self, asked: json_answer(200, {**self.value(), "scope": "https://graph.microsoft.com/.default"}),
        "other-type": lambda self, asked: json_answer(200, {**self.value(), "token_type": "pop"}),
        "both": lambda self, asked: json_answer(200, {**self.value(), "error": "server_error"}),
    }


def main():
    parser = misbehaviour.parser_for("a strict stand-in for Entra's token endpoint, on loopback", Handler)
    parser.add_argument("--issuer", required=True, metavar="URL", help="whose tokens are taken")
    parser.add_argument("--ca", metavar="FILE", help="who signed the issuer's certificate; default: the system's")
    parser.add_argument("--directory", required=True, help="the tenant's id")
    parser.add_argument("--client", required=True, help="the application's id")
    parser.add_argument("--subject", required=True, help="of its federated identity credential")
    parser.add_argument("--audience", default="api://AzureADTokenExchange")
    options = parser.parse_args()
    server = misbehaviour.Server(Handler, options)
    server.issuer = assertion.Issuer(options.issuer, options.ca)
    misbehaviour.serve(server)


main()
