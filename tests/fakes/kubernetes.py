#!/usr/bin/python3
"""A strict stand-in for a Kubernetes API server: Secrets without content, and TokenRequest.

It takes what the broker may ask there and refuses the rest by a Status, as the real one does. Who asks shows a
token of --issuer for --audience, with the --subject, which is verified as a cluster verifies it that trusts the
issuer; or the token in --token-file. Tokens that it gives are bound to a Secret; GET /fake/tokens tells which are good. How it is
told what to answer: misbehaviour.py; places are "secret", "token", "delete", "list" and "job". The record says what was
asked, without tokens. Who shows a good token of these finds a Pod, and what kubectl asks for before (place "job"). What there is outlives it where --state names a file.
"""

import base64
import datetime
import json
import os
import re
import secrets
import sys
import threading
import time
import urllib.parse
import uuid

sys.dont_write_bytecode = True

import assertion  # noqa: E402
import misbehaviour  # noqa: E402
from misbehaviour import Refused, json_answer  # noqa: E402

NAMES = r"/api/v1/namespaces/([a-z0-9-]{1,63})"
SECRET_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
           406: "NotAcceptable", 409: "Conflict", 415: "UnsupportedMediaType", 422: "Invalid", 429: "TooManyRequests",
           500: "InternalError", 503: "ServiceUnavailable"}

JOB = {  # by path, what a job's kubectl is told
    "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
        {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]}]},
    "/api/v1/namespaces/payments/pods": {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "79"},
                                         "items": [{"kind": "Pod", "apiVersion": "v1", "metadata": {
                                             "name": "web-0", "namespace": "payments"}}]},
}


def status(code, message, reason=None):
    return json_answer(code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                              "message": message, "reason": reason or REASONS[code], "code": code})


def refusal(code, message, reason=None):
    return Refused(status(code, message, reason), "%d %s" % (code, message))


def stamp(wall_s):
    return "%sZ" % datetime.datetime.fromtimestamp(wall_s, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def demand(value, keys, where):
    if not isinstance(value, dict) or set(value) != set(keys):
        raise refusal(400, "strict decoding error: %s has %s" % (where, sorted(value)))


class Handler(misbehaviour.Handler):
    def check_caller(self):
        """What the caller's token says, where an issuer is trusted."""
        options = self.server.options
        shown = self.headers.get("Authorization", "")
        if options.token_file:
            with open(options.token_file, encoding="utf-8") as file:
                if shown != "Bearer " + file.read().strip():
                    raise refusal(401, "Unauthorized")
            return {}
        if not shown.startswith("Bearer "):
            raise refusal(401, "Unauthorized")
        try:
            claims = self.server.issuer.claims(shown[len("Bearer "):])
            assertion.check_names(claims, self.server.issuer, options.audience or self.server.url())
            # A test may have the broker's clock ahead of ours.
            assertion.check_times(claims, now=max(time.time(), claims.get("iat", 0)))
        except assertion.Bad as bad:
            raise Refused(status(401, "Unauthorized"), "401 %s: %s" % (bad.kind, bad)) from bad
        if claims.get("sub") != options.subject:
            raise refusal(403, "User %r is forbidden" % claims.get("sub"))
        return claims

    def read_object(self, body, kind, version):
        if self.headers.get("Content-Type") != "application/json":
            raise refusal(415, "the body of the request was in an unknown format")
        try:
            value = json.loads(body)
        except ValueError as problem:
            raise refusal(400, "couldn't get version/kind; json parse error") from problem
        if not isinstance(value, dict) or (value.get("kind"), value.get("apiVersion")) != (kind, version):
            raise refusal(400, "the object provided is unrecognized")
        return value

    def take_secret(self, space, body):
        value = self.read_object(body, "Secret", "v1")
        demand(value, ["apiVersion", "kind", "metadata", "type", "immutable"], "Secret")
        metadata = value["metadata"]
        demand(metadata, ["name", "labels", "annotations"], "metadata")
        if not SECRET_NAME.fullmatch(metadata["name"]):
            raise refusal(422, "metadata.name: Invalid value: a lowercase RFC 1123 subdomain")
        if not all(LABEL.fullmatch(text) for text in metadata["labels"].values()):
            raise refusal(422, "metadata.labels: Invalid value")
        if value["type"] != "Opaque" or value["immutable"] is not True:
            raise refusal(422, "type: Invalid value")
        with self.server.lock:
            if (space, metadata["name"]) in self.server.secrets:
                raise refusal(409, "secrets %r already exists" % metadata["name"], "AlreadyExists")
        return {"place": "secret", "namespace": space, "name": metadata["name"], "labels": metadata["labels"],
                "annotations": metadata["annotations"]}

    def take_token(self, space, account, body):
        options = self.server.options
        if (space, account) != (options.namespace, options.service_account):
            raise refusal(403, "serviceaccounts %r is forbidden: cannot create resource \"serviceaccounts/token\""
                          % account)
        value = self.read_object(body, "TokenRequest", "authentication.k8s.io/v1")
        demand(value, ["apiVersion", "kind", "spec"], "TokenRequest")
        spec = value["spec"]
        demand(spec, ["audiences", "expirationSeconds", "boundObjectRef"], "spec")
        if type(spec["expirationSeconds"]) is not int or not 600 <= spec["expirationSeconds"] <= 1 << 32:
            raise refusal(422, "spec.expirationSeconds: Invalid value: may not specify a duration less than 10 minutes")
        if len(spec["audiences"]) != 1 or not spec["audiences"][0]:
            raise refusal(422, "spec.audiences: Invalid value")
        bound = spec["boundObjectRef"]
        demand(bound, ["apiVersion", "kind", "name", "uid"], "boundObjectRef")
        if (bound["apiVersion"], bound["kind"]) != ("v1", "Secret"):
            raise refusal(422, "spec.boundObjectRef: Invalid value")
        found = self.server.secrets.get((space, bound["name"]))
        if not found:
            raise refusal(404, "secrets %r not found" % bound["name"])
        if found["uid"] != bound["uid"]:
            raise refusal(409, "the UID in the bound object reference does not match")
        return {"place": "token", "namespace": space, "service_account": account, "spec": spec}

    def take_deletion(self, space, name, body):
        if body:
            raise refusal(400, "a body that nobody asked for")
        if self.mode({"place": "delete"}) == "down":
            return {"place": "delete", "name": name}
        with self.server.lock:
            found = self.server.secrets.pop((space, name), None)
            self.server.save()
        if not found:
            raise refusal(404, "secrets %r not found" % name)
        return {"place": "delete", "namespace": space, "name": name}

    def take_list(self, space, query):
        if self.headers.get("Accept") != METADATA:
            raise refusal(406, "only metadata is given")
        values = urllib.parse.parse_qs(query, strict_parsing=True)
        if set(values) != {"labelSelector", "limit"}:
            raise refusal(400, "unknown parameters")
        if space not in self.server.options.lists:
            raise refusal(403, "secrets is forbidden: cannot list resource \"secrets\" in the namespace %r" % space)
        return {"place": "list", "namespace": space, "selector": values["labelSelector"][0],
                "limit": int(values["limit"][0])}

    def good_tokens(self):
        there = {(space, name, found["uid"]) for (space, name), found in self.server.secrets.items()}
        return {token: tuple(given["bound"]) in there for token, given in self.server.tokens.items()}

    def take_job(self, path):
        """As kubectl asks: whoever has a token of ours that is good."""
        token = self.headers.get("Authorization", "").partition("Bearer ")[2]
        if not self.good_tokens().get(token):
            raise refusal(401, "Unauthorized")
        return {"place": "job", "path": path, "by": self.server.tokens[token]["account"]}

    def take(self, body):
        path, _, query = self.path.partition("?")
        if self.command == "GET" and path in JOB:
            return self.take_job(path)
        claims = self.check_caller()
        rows = [("POST", NAMES + "/secrets", lambda m: self.take_secret(m[1], body)),
                ("GET", NAMES + "/secrets", lambda m: self.take_list(m[1], query)),
                ("DELETE", NAMES + "/secrets/([^/]+)", lambda m: self.take_deletion(m[1], m[2], body)),
                ("POST", NAMES + "/serviceaccounts/([^/]+)/token", lambda m: self.take_token(m[1], m[2], body))]
        for method, pattern, take in rows:
            match = re.fullmatch(pattern, path)
            if match and method == self.command:
                return {**take(match), "by": {name: claims.get(name) for name in ("sub", "stage", "lease")}}
        raise refusal(404, "the server could not find the requested resource")

    def do_DELETE(self):
        if "Content-Length" not in self.headers:
            self.headers.add_header("Content-Length", "0")
        self.do_POST()

    def do_GET(self):
        if self.path == "/fake/tokens":
            self.reply(json_answer(200, self.good_tokens()))
            return
        self.do_DELETE()

    def answer_secret(self, asked):
        uid = str(uuid.uuid4())
        with self.server.lock:
            self.server.secrets[(asked["namespace"], asked["name"])] = {
                "uid": uid, "labels": asked["labels"], "since": stamp(time.time())}
            self.server.save()
        return json_answer(201, {"kind": "Secret", "apiVersion": "v1", "metadata": {
            "name": asked["name"], "namespace": asked["namespace"], "uid": uid, "labels": asked["labels"],
            "annotations": asked["annotations"], "resourceVersion": "77"}, "immutable": True, "type": "Opaque"})

    def token(self, asked, life_s=None, audiences=None, account=None, bound=None):
        spec, space = asked["spec"], asked["namespace"]
        account = account or asked["service_account"]
        bound = bound or {name: spec["boundObjectRef"][name] for name in ("name", "uid")}
        end = int(time.time()) + (life_s or spec["expirationSeconds"])
        claims = {"aud": audiences or spec["audiences"], "exp": end, "iat": end - 600, "jti": str(uuid.uuid4()),
                  "iss": "https://kubernetes.default.svc.cluster.local", "sub": "system:serviceaccount:%s:%s"
                  % (space, account), "kubernetes.io": {"namespace": space, "secret": bound, "serviceaccount": {
                      "name": account, "uid": "1b2c3d4e-5f60-4172-8394-a5b6c7d8e9fa"}}}
        token = ".".join([part({"alg": "RS256", "kid": "a"}), part(claims), secrets.token_urlsafe(256)])
        self.server.tokens[token] = {"bound": [space, bound["name"], bound["uid"]], "account": claims["sub"]}
        return {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
                "metadata": {"name": account, "namespace": space}, "spec": spec,
                "status": {"token": token, "expirationTimestamp": stamp(end)}}

    def answer_list(self, asked):
        wanted = dict(pair.split("=", 1) for pair in asked["selector"].split(","))
        items = [{"metadata": {"name": name, "namespace": space, "uid": found["uid"], "labels": found["labels"],
                               "creationTimestamp": found["since"]}}
                 for (space, name), found in sorted(self.server.secrets.items())
                 if space == asked["namespace"] and wanted.items() <= found["labels"].items()]
        return json_answer(200, {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                                 "metadata": {"resourceVersion": "78"}, "items": items[:asked["limit"]]})

    def answer(self, asked):
        if asked["place"] == "secret":
            return self.answer_secret(asked)
        if asked["place"] == "job":
            return json_answer(200, JOB[asked["path"]])
        if asked["place"] == "list":
            return self.answer_list(asked)
        if asked["place"] == "delete":
            return json_answer(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                                     "details": {"name": asked["name"], "kind": "secrets"}})
        return json_answer(201, self.token(asked))

    own_modes = {
        "denied": lambda self, asked: status(403, "forbidden: User \"ci-broker\" cannot create resource"),
        "throttle": lambda self, asked: status(429, "too many requests"),
        "down": lambda self, asked: status(503, "the server is currently unable to handle the request"),
        "longer": lambda self, asked: json_answer(201, self.token(asked, life_s=365 * 86400)),
        "expired": lambda self, asked: json_answer(201, self.token(asked, life_s=-5)),
        "wider": lambda self, asked: json_answer(201, self.token(asked, audiences=["vault"])),
        "both-audiences": lambda self, asked: json_answer(201, self.token(
            asked, audiences=asked["spec"]["audiences"] + ["vault"])),
        "other-account": lambda self, asked: json_answer(201, self.token(asked, account="default")),
        "unbound": lambda self, asked: json_answer(201, self.token(asked, bound={"name": "other", "uid": "1"})),
        "none": lambda self, asked: json_answer(201, {**self.token(asked), "status": {}}),
        "both": lambda self, asked: json_answer(201, {**self.token(asked), "kind": "Status", "status": "Failure"}),
    }


class Server(misbehaviour.Server):
    def __init__(self, handler, options):
        super().__init__(handler, options)
        self.issuer = assertion.Issuer(options.issuer, options.ca)
        self.lock = threading.Lock()
        self.tokens = {}
        self.secrets = {}
        if options.state and os.path.exists(options.state):
            with open(options.state, encoding="utf-8") as file:
                self.secrets = {tuple(key.split("/")): value for key, value in json.load(file).items()}

    def save(self):
        if self.options.state:
            with open(self.options.state + ".new", "w", encoding="utf-8") as file:
                json.dump({"/".join(key): value for key, value in self.secrets.items()}, file)
            os.replace(self.options.state + ".new", self.options.state)


def main():
    parser = misbehaviour.parser_for("a strict stand-in for an API server, on loopback", Handler)
    parser.add_argument("--issuer", required=True, metavar="URL", help="whose tokens say who asks")
    parser.add_argument("--ca", metavar="FILE", help="that the issuer's certificate is of")
    parser.add_argument("--audience", help="of these tokens; else the server's URL")
    parser.add_argument("--subject", default="stagepass::broker", help="who may ask")
    parser.add_argument("--token-file", metavar="FILE", help="instead: what who asks must show")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--service-account", required=True, help="the one whose tokens may be asked for")
    parser.add_argument("--lists", action="append", default=[], metavar="NAMESPACE", help="where Secrets may be listed")
    parser.add_argument("--state", metavar="FILE")
    misbehaviour.serve(Server(Handler, parser.parse_args()))


main()
