"""Forms as strict servers read them."""

import urllib.parse

CONTENT_TYPE = "application/x-www-form-urlencoded"


class BadForm(Exception):
    pass


def read_form(headers, body, required, optional=()):
    """The fields of a form in which each that is needed stands once, and nothing else."""
    if headers.get("Content-Type", "").partition(";")[0] != CONTENT_TYPE:
        raise BadForm("not " + CONTENT_TYPE)
    try:
        pairs = urllib.parse.parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True,
                                       errors="strict")
    except ValueError as problem:
        raise BadForm("not a form") from problem
    form = dict(pairs)
    if len(form) != len(pairs):
        raise BadForm("a field is there twice")
    unknown = set(form) - set(required) - set(optional)
    if unknown:
        raise BadForm(f"an unknown field: {sorted(unknown)[0]}")
    for name in required:
        if not form.get(name):
            raise BadForm(f"{name} is missing")
    return form
