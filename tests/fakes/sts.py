#!/usr/bin/python3
"""A strict stand-in for AWS STS and IAM: AssumeRoleWithWebIdentity, AssumeRole (aws_role.py), and the inline
policies of roles (aws_iam.py).

It takes what the real one takes and refuses the rest with AWS's own error codes. The token is verified as
AWS does it: discovery and keys are fetched from the issuer's URL, the signature is checked, then audience,
times and the roles claim. What is signed is verified by aws_signature.py.

How it is told what to answer: misbehaviour.py. Without a mode it is the end of the role's name behind a '+'
(role/deploy+longer), else "ok". The record is without the token.
"""

import datetime
import json
import re
import sys
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

sys.dont_write_bytecode = True

import assertion  # noqa: E402
import aws_iam  # noqa: E402
import aws_role  # noqa: E402
import aws_signature  # noqa: E402
import misbehaviour  # noqa: E402

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"

ROLE = re.compile(r"arn:(aws|aws-cn|aws-us-gov):iam::(\d{12}):role/(?:[\w+=,.@-]+/)*([\w+=,.@-]{1,64})", re.ASCII)
NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
TAG_KEY = re.compile(r"[A-Za-z0-9 _.:/=+@-]{1,128}")
TAG_VALUE = re.compile(r"[A-Za-z0-9 _.:/=+@-]{0,256}")
POLICY_TEXT = re.compile("[\t\n\r\u0020-\u00ff]{1,2048}")
ARN_FIELD = re.compile(r"PolicyArns\.member\.([1-9]|10)\.arn")

REQUIRED = ["Action", "Version", "RoleArn", "RoleSessionName", "WebIdentityToken"]
OPTIONAL = ["DurationSeconds", "Policy"]


def error_xml(code, message):
    return (f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{escape(code)}</Code>'
            f"<Message>{escape(message)}</Message></Error><RequestId>fake</RequestId></ErrorResponse>")


def xml(status, text):
    return misbehaviour.Answer(status, "text/xml", text)


def refusal(code, message, status=400):
    """A request that STS answers with an error."""
    return misbehaviour.Refused(xml(status, error_xml(code, message)), f"{code}: {message}")


def invalid(message):
    return refusal("ValidationError", message)


# --- the token ----------------------------------------------------------------------------------


def check_tags(tags):
    if not isinstance(tags, dict) or not set(tags) <= {"principal_tags", "transitive_tag_keys"}:
        raise refusal("InvalidIdentityToken", "the tags claim has another form")
    principal = tags.get("principal_tags", {})
    if len(principal) > 50 or len({key.lower() for key in principal}) != len(principal):
        raise refusal("InvalidIdentityToken", "more than 50 tags, or two of one name")
    for key, values in principal.items():
        if not TAG_KEY.fullmatch(key) or key.lower().startswith("aws:"):
            raise refusal("InvalidIdentityToken", "a tag's name is not taken")
        if not isinstance(values, list) or len(values) != 1 or not TAG_VALUE.fullmatch(values[0]):
            raise refusal("InvalidIdentityToken", "a tag's value is not one text that is taken")


def check_revoker(claims, role):
    """The broker's own role trusts one subject, and neither TagSession nor SetSourceIdentity."""
    if claims.get("sub") != aws_iam.REVOKER_SUBJECT or claims.get("https://aws.amazon.com/roles") != role:
        raise refusal("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
    if "https://aws.amazon.com/tags" in claims or "https://aws.amazon.com/source_identity" in claims:
        raise refusal("AccessDenied", "Not authorized to perform sts:TagSession", 403)


def check_claims(claims, issuer, role):
    assertion.check_names(claims, issuer, issuer.audience)
    if not 6 <= len(claims.get("sub", "")) <= 255:
        raise refusal("InvalidIdentityToken", "sub has 6 to 255 characters")
    assertion.check_times(claims)
    if role.endswith("/" + issuer.revoker):
        check_revoker(claims, role)
        return
    if claims["sub"] == aws_iam.REVOKER_SUBJECT:
        raise refusal("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
    roles = claims.get("https://aws.amazon.com/roles")
    if roles != role and roles != [role]:
        raise refusal("InvalidIdentityToken", "the target role is not in the roles claim")
    if not NAME.fullmatch(claims.get("https://aws.amazon.com/source_identity", "")):
        raise refusal("InvalidIdentityToken", "the source identity is not taken")
    check_tags(claims.get("https://aws.amazon.com/tags", {}))


# --- the form -----------------------------------------------------------------------------------


def read_form(headers, body):
    if headers.get("Content-Type") != CONTENT_TYPE:
        raise invalid("not " + CONTENT_TYPE)
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
        raise refusal("MalformedPolicyDocument", "a statement has another form")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise refusal("MalformedPolicyDocument", "a statement without an effect")
    if not statement.get("Action") or not statement.get("Resource"):
        raise refusal("MalformedPolicyDocument", "a statement without actions or resources")
    for operator, keys in statement.get("Condition", {}).items():
        if not operator or not isinstance(keys, dict) or not keys:
            raise refusal("MalformedPolicyDocument", "a condition has another form")


def check_policy(text):
    if not POLICY_TEXT.fullmatch(text):
        raise invalid("the policy has 1 to 2048 characters of U+0009, A, D, 20 to FF")
    try:
        policy = json.loads(text)
    except ValueError as problem:
        raise refusal("MalformedPolicyDocument", "the policy is not JSON") from problem
    if set(policy) != {"Version", "Statement"} or policy["Version"] != "2012-10-17":
        raise refusal("MalformedPolicyDocument", "the policy has another form")
    if isinstance(policy["Statement"], dict):
        policy["Statement"] = [policy["Statement"]]
    if not isinstance(policy["Statement"], list) or not policy["Statement"]:
        raise refusal("MalformedPolicyDocument", "the policy has no statements")
    for statement in policy["Statement"]:
        check_statement(statement)
    return policy


def check_form(form):
    """What was asked for, in Python's types."""
    if form["Action"] != "AssumeRoleWithWebIdentity":
        raise refusal("InvalidAction", "not AssumeRoleWithWebIdentity")
    if form["Version"] != "2011-06-15":
        raise refusal("InvalidAction", "not version 2011-06-15")
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


def of_token(asked, claims):
    """What only AssumeRoleWithWebIdentity answers."""
    issuer = claims["iss"].split("://", 1)[1]
    provider = f"arn:{asked['partition']}:iam::{asked['account']}:oidc-provider/{issuer}"
    return (f"<SubjectFromWebIdentityToken>{escape(claims['sub'])}</SubjectFromWebIdentityToken>"
            f"<Audience>{escape(claims['aud'])}</Audience><Provider>{escape(provider)}</Provider>")


def answer_xml(asked, extra=""):
    action = asked["action"]
    expiration = datetime.datetime.fromtimestamp(int(time.time()) + asked["duration_s"], datetime.timezone.utc)
    arn = aws_iam.session_arn(asked)
    source = f"<SourceIdentity>{escape(asked['source'])}</SourceIdentity>" if asked["source"] else ""
    return f"""<{action}Response xmlns="{NAMESPACE}">
 <{action}Result>
  {source}
  <AssumedRoleUser><AssumedRoleId>AROAFAKE:{asked["session"]}</AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser>
  <Credentials><AccessKeyId>{asked.get("key", "ASIAFAKE000000000001")}</AccessKeyId>
   <SecretAccessKey>fake/secret+access+key+000000000000000001</SecretAccessKey>
   <SessionToken>{"fakesessiontoken" * 64}==</SessionToken>
   <Expiration>{expiration:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>
  {of_token(asked, asked["claims"]) if "claims" in asked else ""}
  <PackedPolicySize>{asked.get("packed", 23)}</PackedPolicySize>{extra}
 </{action}Result>
 <ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata>
</{action}Response>
"""


def identity_xml(asked):
    return (f'<GetCallerIdentityResponse xmlns="{NAMESPACE}"><GetCallerIdentityResult><Arn>{escape(asked["arn"])}</Arn>'
            f'<UserId>AROAFAKE:{escape(asked["arn"].rpartition("/")[2])}</UserId><Account>{asked["account"]}</Account>'
            "</GetCallerIdentityResult><ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata>"
            "</GetCallerIdentityResponse>")


BOMB = ('<!DOCTYPE a [<!ENTITY a "aaaaaaaaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
        '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]>'
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Code>&d;</Code></Error></ErrorResponse>')
BOTH = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"



def changed(**changes):
    return lambda handler, asked: xml(200, answer_xml({**asked, **changes}))


def error(status, code, message):
    return lambda handler, asked: xml(status, error_xml(code, message))


class Handler(misbehaviour.Handler):
    own_modes = {
        "denied": error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
        "throttle": error(400, "Throttling", "Rate exceeded"),
        "down": error(503, "ServiceUnavailable", 'try "later"\n'),
        "longer": changed(duration_s=43200),
        "other-role": changed(name="admin"),
        "other-account": changed(account="000000000000"),
        "both": lambda handler, asked: xml(200, answer_xml(asked, BOTH)),
        "packed": changed(packed=83),
        "bomb": lambda handler, asked: xml(200, BOMB),
        "long-key": changed(key="ASIA" + "A" * 15000),
    }
    codes = {"keys": "IDPCommunicationError", "expired": "ExpiredTokenException"}

    def take(self, body):
        if self.path != "/":
            raise invalid("not a POST to /")
        if aws_signature.service_of(self.headers) == "sts":
            return self.take_role(body)
        if self.headers.get("Authorization"):
            return self.take_iam(body)
        return self.take_token(body)

    def take_identity(self, body):
        """Who a session is."""
        try:
            session = self.server.iam.signer(self.headers, body, "sts", self.server.options.region)
        except aws_signature.Bad as bad:
            raise refusal(bad.code, str(bad), bad.status) from bad
        if sorted(body.decode("ascii").split("&")) != ["Action=GetCallerIdentity", "Version=2011-06-15"]:
            raise invalid("GetCallerIdentity has no parameters")
        return {"place": "identity", "arn": session["arn"], "account": session["account"]}

    def take_role(self, body):
        if b"Action=GetCallerIdentity" in body:
            return self.take_identity(body)
        try:
            asked = self.server.roles.take(self.headers, body)
        except (aws_role.Bad, aws_signature.Bad) as bad:
            raise refusal(bad.code, str(bad), bad.status) from bad
        asked.update(place="assume", policy=check_policy(asked["policy"]) if asked["policy"] else None)
        asked["key"] = self.server.iam.session_new(asked)
        return asked

    def take_token(self, body):
        form = read_form(self.headers, body)
        asked = {"place": "assume", "action": form["Action"], **check_form(form)}
        try:
            asked["claims"] = self.server.issuer.claims(form["WebIdentityToken"], longest=20000)
            check_claims(asked["claims"], self.server.issuer, asked["role"])
        except assertion.Bad as bad:
            raise refusal(self.codes.get(bad.kind, "InvalidIdentityToken"), str(bad)) from bad
        asked["source"] = asked["claims"].get("https://aws.amazon.com/source_identity")
        asked["key"] = self.server.iam.session_new(asked)
        return asked

    def take_iam(self, body):
        """Where the mode says no nothing is changed."""
        is_refused = self.mode({"place": "iam"}) in self.own_modes
        with self.server.lock:
            return self.server.iam.take(self.headers, body, is_refused)

    def answer(self, asked):
        if asked["place"] == "iam":
            return xml(200, asked["answer"])
        if asked["place"] == "identity":
            return xml(200, identity_xml(asked))
        return xml(200, answer_xml(asked))

    def default_mode(self, asked):
        return asked["name"].rpartition("+")[2] if "+" in asked.get("name", "") else "ok"


def main():
    parser = misbehaviour.parser_for("a strict stand-in for AWS STS, on loopback", Handler)
    parser.add_argument("--issuer", required=True, metavar="URL", help="whose tokens are taken")
    parser.add_argument("--ca", metavar="FILE", help="who signed the issuer's certificate; default: the system's")
    parser.add_argument("--audience", default="sts.amazonaws.com")
    parser.add_argument("--revoker", default="stagepass-revoker", help="the name of the broker's own role")
    parser.add_argument("--roles", metavar="FILE", help="the roles' inline policies: read, and written")
    parser.add_argument("--region", default="eu-central-1", help="whose STS it is: that of signatures")
    parser.add_argument("--keys", metavar="FILE", help="who may sign AssumeRole, as aws_role.py says; read each time")
    parser.add_argument("--external-id", metavar="FILE", help="holds what AssumeRole must bring; read each time")
    parser.add_argument("--leeway", type=int, metavar="S", help="how far a moved clock may be ahead")
    options = parser.parse_args()
    if options.leeway:
        assertion.LEEWAY_S = options.leeway
        aws_signature.LEEWAY = datetime.timedelta(seconds=options.leeway)
    server = misbehaviour.Server(Handler, options)
    server.issuer = assertion.Issuer(options.issuer, options.ca)
    server.issuer.audience = options.audience
    server.issuer.revoker = options.revoker
    server.iam = aws_iam.Iam(options.roles, options.revoker, xml)
    server.roles = aws_role.Roles(options.keys, options.region, options.revoker, options.external_id)
    server.lock = threading.Lock()
    misbehaviour.serve(server)


main()
