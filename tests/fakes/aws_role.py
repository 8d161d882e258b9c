"""AssumeRole as sts.py has it: signed, with the parameters of the service's own model, which botocore brings.

Who may sign stands in a JSON file: {"AKIA...": {"secret": "...", "token": "..."}}. Keys with a token are a role's
session: what they ask for lives an hour at most. Roles trust all of them, under the conditions that the broker's
documents tell to set: a `stage` tag and a source identity. The revoker's trusts them for neither. All of them demand
the external id that stands in a file, if there is one.
"""

import json
import re
import urllib.parse

import botocore.session
from botocore.validate import ParamValidator

import aws_signature

CHAINED_MAX_S = 3600
ROLE = re.compile(r"arn:(aws|aws-cn|aws-us-gov):iam::(\d{12}):role/(?:[\w+=,.@-]+/)*([\w+=,.@-]{1,64})", re.ASCII)
NAME = re.compile(r"[\w+=,.@-]*", re.ASCII)
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]*", re.ASCII)
TAG = re.compile(r"[A-Za-z0-9 _.:/=+@-]*")


class Bad(Exception):
    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code = code
        self.status = status


def invalid(message):
    return Bad("ValidationError", message)


def members(shape, pairs, where):
    """The value of a parameter, from its flat names behind it."""
    if shape.type_name == "structure":
        grouped = group(pairs)
        unknown = set(grouped) - set(shape.members)
        if unknown:
            raise invalid(f"an undocumented parameter: {where}{sorted(unknown)[0]}")
        return {name: members(shape.members[name], found, f"{where}{name}.") for name, found in grouped.items()}
    if shape.type_name == "list":
        grouped = group(pairs)
        if set(grouped) != {"member"}:
            raise invalid(f"a list without members: {where}")
        grouped = group(grouped["member"])
        if sorted(grouped) != sorted(str(number + 1) for number in range(len(grouped))):
            raise invalid(f"members that are not counted: {where}")
        within(shape, len(grouped), where)
        return [members(shape.member, grouped[str(number + 1)], where) for number in range(len(grouped))]
    if list(pairs) != [""]:
        raise invalid(f"an undocumented parameter: {where}")
    if shape.type_name == "integer":
        if not re.fullmatch("[0-9]{1,6}", pairs[""]):
            raise invalid(f"no number: {where}")
        return within(shape, int(pairs[""]), where, int(pairs[""]))
    return within(shape, len(pairs[""]), where, pairs[""])


def within(shape, size, where, value=None):
    """The model's limits, of which botocore itself looks at the least only."""
    if not shape.metadata.get("min", 0) <= size <= shape.metadata.get("max", size):
        raise invalid(f"too little or too much: {where}")
    return value


def group(pairs):
    grouped = {}
    for name, value in pairs.items():
        head, _, rest = name.partition(".")
        grouped.setdefault(head, {})[rest] = value
    return grouped


class Roles:
    def __init__(self, path, region, revoker, external_id=None):
        self.path = path
        self.external_id = external_id
        self.region = region
        self.revoker = revoker
        model = botocore.session.get_session().get_service_model("sts").operation_model("AssumeRole")
        self.shape = model.input_shape

    def keys_of(self, key):
        if not self.path:
            return None
        with open(self.path, encoding="utf-8") as file:
            keys = json.load(file).get(key)
        return (keys["secret"], keys.get("token", "")) if keys else None

    def form(self, headers, body):
        if headers.get("Content-Type") != aws_signature.CONTENT_TYPE:
            raise invalid("not " + aws_signature.CONTENT_TYPE)
        try:
            pairs = urllib.parse.parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True,
                                           errors="strict")
        except ValueError as problem:
            raise invalid("not a form") from problem
        form = dict(pairs)
        if len(form) != len(pairs):
            raise invalid("a parameter is there twice")
        if (form.pop("Action", ""), form.pop("Version", "")) != ("AssumeRole", "2011-06-15"):
            raise Bad("InvalidAction", "not AssumeRole of version 2011-06-15")
        asked = members(self.shape, form, "")
        report = ParamValidator().validate(asked, self.shape)
        if report.has_errors():
            raise invalid(report.generate_report())
        return asked

    def check_tags(self, asked):
        tags = {tag["Key"]: tag["Value"] for tag in asked.get("Tags", [])}
        if len({name.lower() for name in tags}) != len(asked.get("Tags", [])):
            raise invalid("two tags of one name")
        if not all(TAG.fullmatch(text) for pair in tags.items() for text in pair):
            raise invalid("a tag with another character")
        if any(name.lower().startswith("aws:") for name in tags):
            raise invalid("a tag of AWS's own")
        if not set(asked.get("TransitiveTagKeys", [])) <= set(tags):
            raise invalid("a transitive tag that is not there")
        return tags

    def wanted_id(self):
        if not self.external_id:
            return None
        with open(self.external_id, encoding="utf-8") as file:
            return file.read()

    def authorize(self, asked, name, tags):
        if name == self.revoker:
            is_trusted = not tags and "SourceIdentity" not in asked
        else:
            is_trusted = bool(tags.get("stage")) and "SourceIdentity" in asked
        if not is_trusted or self.wanted_id() not in (None, asked.get("ExternalId")):
            raise Bad("AccessDenied", "is not authorized to perform: sts:AssumeRole", 403)

    def take(self, headers, body):
        key = aws_signature.check(headers, body, "sts", self.region, self.keys_of)
        asked = self.form(headers, body)
        role = ROLE.fullmatch(asked["RoleArn"])
        if not role:
            raise invalid("RoleArn is not a role's ARN")
        if not EXTERNAL_ID.fullmatch(asked.get("ExternalId", "")):
            raise invalid("an external id with another character")
        if not NAME.fullmatch(asked["RoleSessionName"]) or not NAME.fullmatch(asked.get("SourceIdentity", "")):
            raise invalid("a name with another character")
        tags = self.check_tags(asked)
        duration_s = asked.get("DurationSeconds", 3600)
        if self.keys_of(key)[1] and duration_s > CHAINED_MAX_S:
            raise invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
                          "role chaining")
        self.authorize(asked, role[3], tags)
        return {"action": "AssumeRole", "by": key, "partition": role[1], "account": role[2], "name": role[3],
                "role": asked["RoleArn"], "session": asked["RoleSessionName"], "duration_s": duration_s,
                "policy": asked.get("Policy"), "policy_arns": [arn["arn"] for arn in asked.get("PolicyArns", [])],
                "source": asked.get("SourceIdentity"), "tags": tags,
                "transitive": asked.get("TransitiveTagKeys", []), "external_id": asked.get("ExternalId")}
