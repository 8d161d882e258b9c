"""docs/openapi.json, and what it says of an answer."""

import functools
import json
import os
import re

import jsonschema

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "openapi.json")

# What any path may answer before its handler runs; a body of these is a problem.
FRAMING = {400, 404, 405, 408, 413, 414, 415, 429, 431, 503}


@functools.lru_cache(maxsize=None)
def document():
    with open(DOCUMENT, encoding="utf-8") as file:
        return json.load(file)


def resolve(part):
    """What a part stands for: itself, or what its $ref names."""
    while "$ref" in part:
        found = document()
        for name in part["$ref"].split("/")[1:]:
            found = found[name.replace("~1", "/").replace("~0", "~")]
        part = found
    return part


@functools.lru_cache(maxsize=None)
def validator(text):
    resolver = jsonschema.RefResolver.from_schema(document())
    return jsonschema.Draft202012Validator(json.loads(text), resolver=resolver)


def operation_of(method, path):
    """The operation that a request is one of, with its path in the document; None: it is not in there."""
    path = path.split("?")[0]
    for template, operations in document()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in operations:
            return template, operations[method.lower()]
    return None


def mistakes_in(schema, body):
    try:
        value = json.loads(body)
    except ValueError as error:
        return "no JSON: %s" % error
    first = jsonschema.exceptions.best_match(validator(json.dumps(schema)).iter_errors(value))
    return None if first is None else "%s: %s" % ("/".join(map(str, first.absolute_path)), first.message[:300])


def mistake(method, path, status, content_type, body):
    """What an answer has that the document does not say; None: all is as it says, or it says nothing of the path."""
    found = operation_of(method, path)
    if found is None:
        return None
    responses = found[1]["responses"]
    media = (content_type or "").split(";")[0]
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/problem"}}}
    if str(status) in responses:
        content = resolve(responses[str(status)])["content"]
        if status in FRAMING and media == "application/problem+json":
            content = dict(content, **problem)
    elif status in FRAMING:
        content = problem
    else:
        return "status %s is not told" % status
    for told, part in content.items():
        if told.split(";")[0] == media:
            return mistakes_in(part["schema"], body) if media.endswith("json") else None
    return "%s with %s, told are %s" % (status, media, ", ".join(content))
