"""IAM as sts.py has it: signed requests for the inline policies of roles, and who is denied by them.

Signatures are made again by botocore's own signer, and compared. Sessions are those that sts.py gave: a
request is one's own role's to allow (the broker's role may change policies, every other may do all), its session
policy's to narrow, and an inline policy's to deny.
"""

import datetime
import fnmatch
import json
import os
import re
import urllib.parse
from xml.sax.saxutils import escape

import awscli  # noqa: F401 - it brings its own botocore, which is found behind it
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import misbehaviour

NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
REVOKER_SUBJECT = "stagepass::revoker"
SECRET = "fake/secret+access+key+000000000000000001"
TOKEN = "fakesessiontoken" * 64 + "=="

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w{16,128})/(\d{8})/us-east-1/iam/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}", re.ASCII)
NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
DOCUMENT = re.compile("[\t\n\r\u0020-\u00ff]{1,131072}")
INLINE_MAX = 10240  # characters of all of a role's inline policies, without white space
LEEWAY = datetime.timedelta(minutes=5)

FIELDS = {
    "PutRolePolicy": {"RoleName", "PolicyName", "PolicyDocument"},
    "DeleteRolePolicy": {"RoleName", "PolicyName"},
    "ListRolePolicies": {"RoleName"},
}


def list_of(value):
    return value if isinstance(value, list) else [value]


def meets(conditions, session):
    for operator, keys in conditions.items():
        if operator != "StringEquals" or set(keys) != {"aws:SourceIdentity"}:
            return False
        if session["source"] not in list_of(keys["aws:SourceIdentity"]):
            return False
    return True


def covers(statement, effect, action, resource, session):
    return (statement["Effect"] == effect and meets(statement.get("Condition", {}), session)
            and any(fnmatch.fnmatchcase(action, one) for one in list_of(statement["Action"]))
            and any(fnmatch.fnmatchcase(resource, one) for one in list_of(statement["Resource"])))


class Iam:
    def __init__(self, path, revoker, xml):
        self.path = path
        self.revoker = revoker
        self.xml = xml
        self.sessions = {}

    # --- who asks ---

    def session_new(self, asked):
        key = "ASIAFAKE%012d" % (len(self.sessions) + 1)
        self.sessions[key] = {
            "role": asked["name"], "account": asked["account"], "policy": asked["policy"],
            "source": asked["claims"].get("https://aws.amazon.com/source_identity")}
        return key

    def refusal(self, code, message, status):
        text = (f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
                f"<Message>{escape(message)}</Message></Error><RequestId>fake</RequestId></ErrorResponse>")
        return misbehaviour.Refused(self.xml(status, text), f"{code}: {message}")

    def session_of(self, headers, body):
        """Whose signature it is, once botocore signs the same."""
        given = headers["Authorization"]
        parts = AUTHORIZATION.fullmatch(given)
        if not parts or parts[1] not in self.sessions:
            raise self.refusal("InvalidClientTokenId", "The security token included in the request is invalid", 403)
        names = parts[3].split(";")
        stamp = headers.get("X-Amz-Date", "")
        if names != sorted(names) or not {"host", "x-amz-date", "x-amz-security-token"} <= set(names):
            raise self.refusal("IncompleteSignature", "not all is signed", 400)
        if not re.fullmatch(parts[2] + r"T\d{6}Z", stamp):
            raise self.refusal("SignatureDoesNotMatch", "the date is another day's", 403)
        when = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if abs(datetime.datetime.now(datetime.timezone.utc) - when) > LEEWAY:
            raise self.refusal("SignatureDoesNotMatch", "Signature expired", 403)
        request = AWSRequest(
            "POST", f"http://{headers['Host']}/", data=body,
            headers={name: headers.get(name, "") for name in names
                     if name not in ("host", "x-amz-date", "x-amz-security-token")})
        signer = SigV4Auth(Credentials(parts[1], SECRET, TOKEN), "iam", "us-east-1")
        request.context["timestamp"] = stamp
        signer._modify_request_before_signing(request)
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        signer._inject_signature_to_request(request, signature)
        if request.headers["Authorization"] != given or headers.get("X-Amz-Security-Token") != TOKEN:
            raise self.refusal("SignatureDoesNotMatch", "The request signature we calculated does not match", 403)
        return self.sessions[parts[1]]

    # --- what is asked ---

    def form(self, headers, body):
        if headers.get("Content-Type") != CONTENT_TYPE:
            raise self.refusal("ValidationError", "not " + CONTENT_TYPE, 400)
        pairs = urllib.parse.parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True,
                                       errors="strict")
        form = dict(pairs)
        action = form.pop("Action", "")
        if len(form) + 1 != len(pairs) or form.pop("Version", "") != "2010-05-08" or action not in FIELDS:
            raise self.refusal("InvalidAction", "no action of version 2010-05-08", 400)
        if set(form) != FIELDS[action]:
            raise self.refusal("ValidationError", "other fields", 400)
        if not NAME.fullmatch(form["RoleName"]) or len(form["RoleName"]) > 64:
            raise self.refusal("ValidationError", "RoleName", 400)
        if not NAME.fullmatch(form.get("PolicyName", "a")):
            raise self.refusal("ValidationError", "PolicyName", 400)
        return action, form

    def authorize(self, session, action, role, roles):
        # Roles of the tests have no path.
        resource = f"arn:aws:iam::{session['account']}:role/{role}"
        inline = [statement for policy in roles.get(session["role"], {}).values()
                  for statement in list_of(policy["Statement"])]
        narrowed = list_of(session["policy"]["Statement"]) if session["policy"] else None
        if any(covers(statement, "Deny", action, resource, session) for statement in inline):
            raise self.refusal("AccessDenied", "with an explicit deny in an identity-based policy", 403)
        if narrowed is not None and not any(
                covers(statement, "Allow", action, resource, session) for statement in narrowed):
            raise self.refusal("AccessDenied", "because no session policy allows the action", 403)

    # --- the roles ---

    def load(self):
        if not self.path or not os.path.exists(self.path):
            return {}
        with open(self.path, encoding="utf-8") as file:
            return json.load(file)

    def save(self, roles):
        if self.path:
            with open(self.path + ".new", "w", encoding="utf-8") as file:
                json.dump(roles, file)
            os.replace(self.path + ".new", self.path)

    def put(self, form, policies):
        try:
            document = json.loads(form["PolicyDocument"])
        except ValueError as problem:
            raise self.refusal("MalformedPolicyDocument", "Syntax errors in policy.", 400) from problem
        if not DOCUMENT.fullmatch(form["PolicyDocument"]) or set(document) != {"Version", "Statement"}:
            raise self.refusal("MalformedPolicyDocument", "Syntax errors in policy.", 400)
        policies[form["PolicyName"]] = document
        size = sum(len(json.dumps(policy, separators=(",", ":")).replace(" ", "")) for policy in policies.values())
        if size > INLINE_MAX:
            raise self.refusal("LimitExceeded", f"Maximum policy size of {INLINE_MAX} bytes exceeded for role", 409)

    def take(self, headers, body, is_refused):
        session = self.session_of(headers, body)
        action, form = self.form(headers, body)
        roles = self.load()
        self.authorize(session, "iam:" + action, form["RoleName"], roles)
        policies = roles.setdefault(form["RoleName"], {})
        result = ""
        if action == "PutRolePolicy" and not is_refused:
            self.put(form, policies)
        elif action == "DeleteRolePolicy" and not is_refused:
            if form["PolicyName"] not in policies:
                raise self.refusal("NoSuchEntity", "The role policy cannot be found.", 404)
            del policies[form["PolicyName"]]
        elif action == "ListRolePolicies":
            members = "".join(f"<member>{escape(name)}</member>" for name in sorted(policies)[:100])
            result = (f"<ListRolePoliciesResult><PolicyNames>{members}</PolicyNames>"
                      "<IsTruncated>false</IsTruncated></ListRolePoliciesResult>")
        self.save(roles)
        return {"place": "iam", "action": action, "as": session["role"], **form,
                "answer": f'<{action}Response xmlns="{NAMESPACE}">{result}<ResponseMetadata>'
                          f"<RequestId>fake</RequestId></ResponseMetadata></{action}Response>"}
