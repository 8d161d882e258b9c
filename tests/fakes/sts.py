#!/usr/bin/python3
"""A strict stand-in for AWS STS: AssumeRoleWithWebIdentity and nothing else.

It takes what the real one takes and refuses the rest with AWS's own error codes. The token is verified as
AWS does it: discovery and keys are fetched from the issuer's URL, the signature is checked (by the openssl
program), then audience, times and the roles claim.

When it listens it prints "READY http://127.0.0.1:PORT". What it does after a good request is its mode: the
content of the file of --control, read at each request, else the end of the role's name behind a '+'
(role/deploy+longer), else "ok". With --record each good request is a line of JSON, without the token.
"""

import argparse
import base64
import datetime
import http.server
import json
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from xml.sax.saxutils import escape

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
BODY_MAX = 128 * 1024
LEEWAY_S = 60
HANG_S = 60
SLOW_S = 3  # within what the broker waits
OPENSSL = "/usr/bin/openssl"

ROLE = re.compile(r"arn:(aws|aws-cn|aws-us-gov):iam::(\d{12}):role/(?:[\w+=,.@-]+/)*([\w+=,.@-]{1,64})", re.ASCII)
NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
TAG_KEY = re.compile(r"[A-Za-z0-9 _.:/=+@-]{1,128}")
TAG_VALUE = re.compile(r"[A-Za-z0-9 _.:/=+@-]{0,256}")
POLICY_TEXT = re.compile("[\t\n\r\u0020-\u00ff]{1,2048}")
ARN_FIELD = re.compile(r"PolicyArns\.member\.([1-9]|10)\.arn")

REQUIRED = ["Action", "Version", "RoleArn", "RoleSessionName", "WebIdentityToken"]
OPTIONAL = ["DurationSeconds", "Policy"]


class Refused(Exception):
    """A request that STS answers with an error."""

    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code = code
        self.status = status


def invalid(message):
    return Refused("ValidationError", message)


# --- the token ----------------------------------------------------------------------------------


def decode_base64url(text):
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise Refused("InvalidIdentityToken", "a part of the token is not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def der(tag, *parts):
    content = b"".join(parts)
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    size = (len(content).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(content).to_bytes(size, "big") + content


def der_integer(number):
    return der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def der_bits(content):
    return der(3, b"\0" + content)


OID_RSA = bytes.fromhex("06092a864886f70d010101")
OID_EC = bytes.fromhex("06072a8648ce3d0201")
OID_P256 = bytes.fromhex("06082a8648ce3d030107")


def public_key(jwk):
    """The SubjectPublicKeyInfo of a JWK."""
    if jwk["kty"] == "EC" and jwk["crv"] == "P-256":
        point = b"\x04" + decode_base64url(jwk["x"]) + decode_base64url(jwk["y"])
        return der(0x30, der(0x30, OID_EC, OID_P256), der_bits(point))
    if jwk["kty"] == "RSA":
        numbers = [int.from_bytes(decode_base64url(jwk[name]), "big") for name in ("n", "e")]
        key = der(0x30, *[der_integer(number) for number in numbers])
        return der(0x30, der(0x30, OID_RSA, der(5)), der_bits(key))
    raise Refused("InvalidIdentityToken", "the issuer's key is neither RSA nor P-256")


def signature_for_openssl(algorithm, signature):
    if algorithm == "RS256":
        return signature
    if len(signature) != 64:
        raise Refused("InvalidIdentityToken", "an ES256 signature has 64 bytes")
    halves = [int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")]
    return der(0x30, *[der_integer(half) for half in halves])


def verifies(jwk, algorithm, signature, message):
    pem = b"-----BEGIN PUBLIC KEY-----\n%s-----END PUBLIC KEY-----\n" % base64.encodebytes(public_key(jwk))
    with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as signed:
        key.write(pem)
        key.flush()
        signed.write(signature_for_openssl(algorithm, signature))
        signed.flush()
        result = subprocess.run([OPENSSL, "dgst", "-sha256", "-verify", key.name, "-signature", signed.name],
                                input=message, capture_output=True, check=False)
    return result.returncode == 0


class Issuer:
    """The identity provider that the accounts trust."""

    def __init__(self, url, audience, ca):
        self.url = url
        self.audience = audience
        self.context = ssl.create_default_context(cafile=ca) if url.startswith("https:") else None

    def fetch(self, url):
        try:
            with urllib.request.urlopen(url, timeout=5, context=self.context) as answer:
                return json.load(answer)
        except (OSError, ValueError) as problem:
            raise Refused("IDPCommunicationError", f"{url}: {problem}") from problem

    def key(self, header):
        discovery = self.fetch(self.url + "/.well-known/openid-configuration")
        if discovery.get("issuer") != self.url:
            raise Refused("InvalidIdentityToken", "discovery names another issuer")
        keys = self.fetch(discovery["jwks_uri"])["keys"]
        found = [key for key in keys if key.get("kid") == header.get("kid")]
        if len(found) != 1:
            raise Refused("InvalidIdentityToken", "no key of the issuer has the token's kid")
        return found[0]

    def claims(self, token):
        """The claims of a token whose signature holds."""
        parts = token.split(".")
        if not 4 <= len(token) <= 20000 or len(parts) != 3:
            raise Refused("InvalidIdentityToken", "not a token")
        try:
            header = json.loads(decode_base64url(parts[0]))
            claims = json.loads(decode_base64url(parts[1]))
        except ValueError as problem:
            raise Refused("InvalidIdentityToken", "a part of the token is not JSON") from problem
        if header.get("alg") not in ("RS256", "ES256"):
            raise Refused("InvalidIdentityToken", "an algorithm that is not taken")
        message = ".".join(parts[:2]).encode()
        if not verifies(self.key(header), header["alg"], decode_base64url(parts[2]), message):
            raise Refused("InvalidIdentityToken", "the signature does not verify")
        return claims


def check_times(claims):
    for name in ("exp", "iat"):
        if type(claims.get(name)) is not int:
            raise Refused("InvalidIdentityToken", f"{name} is not an integer")
    if "nbf" in claims and type(claims["nbf"]) is not int:
        raise Refused("InvalidIdentityToken", "nbf is not an integer")
    now = time.time()
    if claims["exp"] + LEEWAY_S < now:
        raise Refused("ExpiredTokenException", "the token has expired")
    if max(claims["iat"], claims.get("nbf", 0)) - LEEWAY_S > now:
        raise Refused("InvalidIdentityToken", "the token is not valid yet")
    if claims["exp"] - claims["iat"] > 300:
        raise Refused("InvalidIdentityToken", "the token lives longer than 300 s")


def check_tags(tags):
    if not isinstance(tags, dict) or not set(tags) <= {"principal_tags", "transitive_tag_keys"}:
        raise Refused("InvalidIdentityToken", "the tags claim has another form")
    principal = tags.get("principal_tags", {})
    if len(principal) > 50 or len({key.lower() for key in principal}) != len(principal):
        raise Refused("InvalidIdentityToken", "more than 50 tags, or two of one name")
    for key, values in principal.items():
        if not TAG_KEY.fullmatch(key) or key.lower().startswith("aws:"):
            raise Refused("InvalidIdentityToken", "a tag's name is not taken")
        if not isinstance(values, list) or len(values) != 1 or not TAG_VALUE.fullmatch(values[0]):
            raise Refused("InvalidIdentityToken", "a tag's value is not one text that is taken")


def check_claims(claims, issuer, role):
    if claims.get("iss") != issuer.url:
        raise Refused("InvalidIdentityToken", "the token is of another issuer")
    if claims.get("azp", claims.get("aud")) != issuer.audience:
        raise Refused("InvalidIdentityToken", "Incorrect token audience")
    if not 6 <= len(claims.get("sub", "")) <= 255:
        raise Refused("InvalidIdentityToken", "sub has 6 to 255 characters")
    if not claims.get("jti"):
        raise Refused("InvalidIdentityToken", "the token has no jti")
    check_times(claims)
    roles = claims.get("https://aws.amazon.com/roles")
    if roles != role and roles != [role]:
        raise Refused("InvalidIdentityToken", "the target role is not in the roles claim")
    if not NAME.fullmatch(claims.get("https://aws.amazon.com/source_identity", "")):
        raise Refused("InvalidIdentityToken", "the source identity is not taken")
    check_tags(claims.get("https://aws.amazon.com/tags", {}))


# --- the form -----------------------------------------------------------------------------------


def read_form(headers, body):
    if headers.get("Content-Type") != CONTENT_TYPE:
        raise invalid("not " + CONTENT_TYPE)
    if headers.get("Authorization"):
        raise invalid("this action is not signed")
    try:
        pairs = urllib.parse.parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True,
                                       errors="strict")
    except ValueError as problem:
        raise invalid("not a form") from problem
    form = dict(pairs)
    if len(form) != len(pairs):
        raise invalid("a field is there twice")
    for name in form:
        if name not in REQUIRED + OPTIONAL and not ARN_FIELD.fullmatch(name):
            raise invalid(f"an unknown field: {name}")
    for name in REQUIRED:
        if not form.get(name):
            raise invalid(f"{name} is missing")
    return form


def check_statement(statement):
    if not isinstance(statement, dict) or not set(statement) <= {
            "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}:
        raise Refused("MalformedPolicyDocument", "a statement has another form")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise Refused("MalformedPolicyDocument", "a statement without an effect")
    if not statement.get("Action") or not statement.get("Resource"):
        raise Refused("MalformedPolicyDocument", "a statement without actions or resources")
    for operator, keys in statement.get("Condition", {}).items():
        if not operator or not isinstance(keys, dict) or not keys:
            raise Refused("MalformedPolicyDocument", "a condition has another form")


def check_policy(text):
    if not POLICY_TEXT.fullmatch(text):
        raise invalid("the policy has 1 to 2048 characters of U+0009, A, D, 20 to FF")
    try:
        policy = json.loads(text)
    except ValueError as problem:
        raise Refused("MalformedPolicyDocument", "the policy is not JSON") from problem
    if set(policy) != {"Version", "Statement"} or policy["Version"] != "2012-10-17":
        raise Refused("MalformedPolicyDocument", "the policy has another form")
    if not isinstance(policy["Statement"], list) or not policy["Statement"]:
        raise Refused("MalformedPolicyDocument", "the policy has no statements")
    for statement in policy["Statement"]:
        check_statement(statement)
    return policy


def check_form(form):
    """What was asked for, in Python's types."""
    if form["Action"] != "AssumeRoleWithWebIdentity":
        raise Refused("InvalidAction", "not AssumeRoleWithWebIdentity")
    if form["Version"] != "2011-06-15":
        raise Refused("InvalidAction", "not version 2011-06-15")
    role = ROLE.fullmatch(form["RoleArn"])
    if not role:
        raise invalid("RoleArn is not a role's ARN")
    if not NAME.fullmatch(form["RoleSessionName"]):
        raise invalid("RoleSessionName is not taken")
    duration = form.get("DurationSeconds", "3600")
    if not re.fullmatch(r"[0-9]{3,5}", duration) or not 900 <= int(duration) <= 43200:
        raise invalid("DurationSeconds is not in 900 to 43200")
    return {
        "partition": role[1], "account": role[2], "name": role[3], "role": form["RoleArn"],
        "session": form["RoleSessionName"], "duration_s": int(duration),
        "policy": check_policy(form["Policy"]) if "Policy" in form else None,
        "policy_arns": [value for name, value in sorted(form.items()) if ARN_FIELD.fullmatch(name)],
    }


# --- answers ------------------------------------------------------------------------------------


def error_xml(code, message):
    return (f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{escape(code)}</Code>'
            f"<Message>{escape(message)}</Message></Error><RequestId>fake</RequestId></ErrorResponse>")


def answer_xml(asked, claims, extra=""):
    expiration = datetime.datetime.fromtimestamp(int(time.time()) + asked["duration_s"], datetime.timezone.utc)
    arn = f"arn:{asked['partition']}:sts::{asked['account']}:assumed-role/{asked['name']}/{asked['session']}"
    issuer = claims["iss"].split("://", 1)[1]
    provider = f"arn:{asked['partition']}:iam::{asked['account']}:oidc-provider/{issuer}"
    return f"""<AssumeRoleWithWebIdentityResponse xmlns="{NAMESPACE}">
 <AssumeRoleWithWebIdentityResult>
  <SourceIdentity>{escape(claims["https://aws.amazon.com/source_identity"])}</SourceIdentity>
  <AssumedRoleUser><AssumedRoleId>AROAFAKE:{asked["session"]}</AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser>
  <Credentials><AccessKeyId>ASIAFAKE000000000001</AccessKeyId>
   <SecretAccessKey>fake/secret+access+key+000000000000000001</SecretAccessKey>
   <SessionToken>{"fakesessiontoken" * 64}==</SessionToken>
   <Expiration>{expiration:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>
  <SubjectFromWebIdentityToken>{escape(claims["sub"])}</SubjectFromWebIdentityToken>
  <Audience>{escape(claims["aud"])}</Audience><Provider>{escape(provider)}</Provider>
  <PackedPolicySize>23</PackedPolicySize>{extra}
 </AssumeRoleWithWebIdentityResult>
 <ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>
"""


def hang(_asked, _claims):
    time.sleep(HANG_S)


def slow(asked, claims):
    time.sleep(SLOW_S)
    return 200, answer_xml(asked, claims)


BOMB = ('<!DOCTYPE a [<!ENTITY a "aaaaaaaaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
        '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]>'
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Code>&d;</Code></Error></ErrorResponse>')
BOTH = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"

# What a mode answers: status and body; None closes the connection.
MODES = {
    "ok": lambda asked, claims: (200, answer_xml(asked, claims)),
    "hang": hang,
    "slow": slow,
    "close": lambda asked, claims: None,
    "denied": lambda asked, claims: (403, error_xml("AccessDenied", "Not authorized to perform "
                                                    "sts:AssumeRoleWithWebIdentity")),
    "throttle": lambda asked, claims: (400, error_xml("Throttling", "Rate exceeded")),
    "down": lambda asked, claims: (503, error_xml("ServiceUnavailable", "try \"later\"\n")),
    "longer": lambda asked, claims: (200, answer_xml({**asked, "duration_s": 43200}, claims)),
    "other-role": lambda asked, claims: (200, answer_xml({**asked, "name": "admin"}, claims)),
    "other-account": lambda asked, claims: (200, answer_xml({**asked, "account": "000000000000"}, claims)),
    "garbage": lambda asked, claims: (200, "<AssumeRoleWithWebIdentityResponse><"),
    "gateway": lambda asked, claims: (502, "<html><body>Bad Gateway</body></html>"),
    "both": lambda asked, claims: (200, answer_xml(asked, claims, BOTH)),
    "bomb": lambda asked, claims: (200, BOMB),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        try:
            asked, claims = self.take()
            answer = self.mode(asked)(asked, claims)
        except Refused as refused:
            print(f"refused: {refused.code}: {refused}", flush=True)
            answer = refused.status, error_xml(refused.code, str(refused))
        if answer is None:
            self.close_connection = True
            return
        self.reply(*answer)

    def take(self):
        length = self.headers.get("Content-Length", "")
        if self.path != "/" or not length.isdigit() or int(length) > BODY_MAX:
            raise invalid("not a POST of a form to /")
        form = read_form(self.headers, self.rfile.read(int(length)))
        asked = check_form(form)
        claims = self.server.issuer.claims(form["WebIdentityToken"])
        check_claims(claims, self.server.issuer, asked["role"])
        if self.server.options.record:
            with open(self.server.options.record, "a", encoding="utf-8") as file:
                file.write(json.dumps({**asked, "claims": claims}) + "\n")
        return asked, claims

    def mode(self, asked):
        name = asked["name"].rpartition("+")[2] if "+" in asked["name"] else "ok"
        try:
            with open(self.server.options.control or "", encoding="utf-8") as file:
                name = file.read().strip() or name
        except FileNotFoundError:
            pass
        if name not in MODES:
            raise invalid(f"no such mode: {name}")
        return MODES[name]

    def reply(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *values):
        print("request: " + format % values, flush=True)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, options):
        super().__init__(("127.0.0.1", options.port), Handler)
        self.options = options
        self.issuer = Issuer(options.issuer, options.audience, options.ca)


def main():
    parser = argparse.ArgumentParser(description="a strict stand-in for AWS STS, on loopback")
    parser.add_argument("--issuer", required=True, metavar="URL", help="whose tokens are taken")
    parser.add_argument("--ca", metavar="FILE", help="who signed the issuer's certificate; default: the system's")
    parser.add_argument("--audience", default="sts.amazonaws.com")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--control", metavar="FILE", help="holds the mode: " + ", ".join(MODES))
    parser.add_argument("--record", metavar="FILE", help="gets a line for each good request")
    server = Server(parser.parse_args())
    print(f"READY http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
