"""IAM as sts.py has it: signed requests for the inline policies of roles, and who is denied by them.

Signatures: aws_signature.py. Sessions are those that sts.py gave: a
request is one's own role's to allow (the broker's role may change policies, every other may do all), its session
policy's to narrow, and an inline policy's to deny.
"""

import fnmatch
import json
import os
import re
import urllib.parse
from xml.sax.saxutils import escape

import aws_signature
import misbehaviour

NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
REVOKER_SUBJECT = "stagepass::revoker"
SECRET = "fake/secret+access+key+000000000000000001"
TOKEN = "fakesessiontoken" * 64 + "=="

NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
DOCUMENT = re.compile("[\t\n\r\u0020-\u00ff]{1,131072}")
INLINE_MAX = 10240  # characters of all of a role's inline policies, without white space

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


def session_arn(asked):
    return f"arn:{asked['partition']}:sts::{asked['account']}:assumed-role/{asked['name']}/{asked['session']}"


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
            "source": asked["source"], "arn": session_arn(asked)}
        return key

    def refusal(self, code, message, status):
        text = (f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
                f"<Message>{escape(message)}</Message></Error><RequestId>fake</RequestId></ErrorResponse>")
        return misbehaviour.Refused(self.xml(status, text), f"{code}: {message}")

    def signer(self, headers, body, service, region):
        """The session whose signature it is."""
        return self.sessions[aws_signature.check(
            headers, body, service, region, lambda key: (SECRET, TOKEN) if key in self.sessions else None)]

    def session_of(self, headers, body):
        try:
            return self.signer(headers, body, "iam", "us-east-1")
        except aws_signature.Bad as bad:
            raise self.refusal(bad.code, str(bad), bad.status) from bad

    # --- what is asked ---

    def form(self, headers, body):
        if headers.get("Content-Type") != aws_signature.CONTENT_TYPE:
            raise self.refusal("ValidationError", "not " + aws_signature.CONTENT_TYPE, 400)
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
