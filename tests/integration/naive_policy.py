"""Deciding, written from policy/README.md and nothing else: no index, no compiling, no early way out.

A policy is what its files say, as Python values. Besides that each pipeline has the `rails` of its folder, guardrails
with the `word` that they stand under, and each stage says by which it is `excused`, and until when.
"""

import datetime
import functools
import ipaddress
import re
import zoneinfo

# ---- the world, as the documents describe it ----

FACTS = {"ci.ref": "ref", "ci.event": "event_name"}  # a generic issuer: claims of the usual name
NEVER = ["ci.fork", "ci.runner", "ci.environment"]  # it cannot say these
DANGEROUS = {"pull_request_target", "issue_comment", "workflow_run", "issues", "discussion", "discussion_comment",
             "fork", "watch", "gollum"}
SETS = {"teams": ["red", "green"], "refs": ["refs/heads/main", "refs/tags/v1"], "numbers": ["1", "7"],
        "tagset": ["x86", "gpu"]}
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

ABSENT, CANNOT_SAY = object(), object()


def number_of(text):
    return seconds(text) if isinstance(text, str) and not text.isdigit() else int(text)


@functools.lru_cache(None)
def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=datetime.timezone.utc).timestamp()


@functools.lru_cache(None)
def is_in(address, networks):
    address = ipaddress.ip_address(address)
    return any(address in n for n in map(ipaddress.ip_network, networks) if n.version == address.version)


@functools.lru_cache(None)
def is_within_span(span, moment):
    """`[DAYS ]FROM-TO ZONE`, by what clocks show there."""
    days, clocks, zone = ([""] + span.split(" "))[-3:]
    local = datetime.datetime.fromtimestamp(seconds(moment), zoneinfo.ZoneInfo(zone))
    start, end = (int(c[:2]) * 60 + int(c[3:]) for c in clocks.split("-"))
    named = set()
    for part in days.split(",") if days else ["Mon..Sun"]:
        first, last = DAYS.index(part[:3]), DAYS.index(part[-3:])
        named |= set(range(first, last + 1))
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if start < end:
        return day in named and start <= minute < end
    return day in named and minute >= start or (day - 1) % 7 in named and minute < end


@functools.lru_cache(None)
def regex_of(pattern):
    """`*` is any text without / : @, `**` any without @."""
    out, rest = "", pattern
    while rest:
        if rest.startswith("**"):
            out, rest = out + "[^@]*", rest[2:]
        elif rest[0] == "*":
            out, rest = out + "[^/:@]*", rest[1:]
        elif rest[0] == "{":
            out, rest = out + "([^/:@]*?)", rest[rest.index("}") + 1:]
        else:
            out, rest = out + re.escape(rest[0]), rest[1:]
    return re.compile(out, re.S)


def fits_glob(pattern, value):
    return regex_of(pattern).fullmatch(value)


def value_of(name, job):
    """What a name stands for: ABSENT, CANNOT_SAY, or a list of values, which an array has several of."""
    if name == "request.address":
        return CANNOT_SAY if job["address"] is None else [job["address"]]
    if name in NEVER:
        return CANNOT_SAY
    value = job["claims"].get(FACTS.get(name, name))
    if value is None or value == "":
        return CANNOT_SAY if name in FACTS else ABSENT
    values = value if isinstance(value, list) else [value]
    values = [v for v in values if v != ""]
    return values or ABSENT


def one_test(operator, operand, value):
    if operator == "is":
        return value in [plain(o, value) for o in (operand if isinstance(operand, list) else [operand])]
    if operator == "in":
        return value in [plain(o, value) for o in SETS[operand]]
    if operator == "like":
        return bool(fits_glob(operand, value))
    if operator == "within":
        return is_in(value, tuple(operand))
    assert operator in ("before", "after")
    return (value < number_of(operand)) == (operator == "before")


def plain(written, value):
    """A written scalar is read as the claim's type."""
    if isinstance(value, bool) or not isinstance(value, int):
        return written
    return int(written) if isinstance(written, str) and written.isdigit() else written


def holds(name, condition, job):
    """True, False, or None: it cannot be known."""
    values = value_of(name, job)
    if values is CANNOT_SAY:
        return None
    tests = condition if isinstance(condition, dict) else {"is": condition}
    if tests.get("exists") is False:
        return values is ABSENT
    if values is ABSENT:
        return False
    positive = [(o, x) for o, x in tests.items() if o not in ("not", "exists")]
    negative = []
    if "not" in tests:
        inner = tests["not"]
        negative = list(inner.items()) if isinstance(inner, dict) else [("is", inner)]
    if not any(all(one_test(o, x, v) for o, x in positive) for v in values):
        return False
    return not any(one_test(o, x, v) for o, x in negative for v in values)


def maps_of(clause):
    if clause is None:
        return []
    return clause if isinstance(clause, list) else [clause]


def map_outcomes(one, job):
    return {n: holds(n, c, job) for n, c in one.items() if n != "issuer"}


def failed_when(clause, job):
    """Names of what does not hold in the map that comes nearest; empty where one holds."""
    best = None
    for one in maps_of(clause):
        missing = [n for n, o in map_outcomes(one, job).items() if o is not True]
        if best is None or len(missing) < len(best):
            best = missing
    return best or []


def failed_unless(clause, job):
    """Names of all maps that hold or may hold."""
    names = []
    for one in maps_of(clause):
        if all(o is not False for o in map_outcomes(one, job).values()):
            names += list(one)
    return names


def names_danger(clause, job):
    """Whether a map that holds says the event's exact name."""
    event = job["claims"].get("event_name")
    for one in maps_of(clause):
        for name in ("event_name", "ci.event"):
            exact = one.get(name)
            exact = exact.get("is", []) if isinstance(exact, dict) else exact if exact is not None else []
            exact = exact if isinstance(exact, list) else [exact]
            if event in exact and all(o is True for o in map_outcomes(one, job).values()):
                return True
    return False


def identity_maps(pipeline, job):
    return [one for one in maps_of(pipeline["identity"]) if one["issuer"] == job["issuer"]]


def fits(pipeline, job):
    return any(all(o is True for o in map_outcomes(one, job).values()) for one in identity_maps(pipeline, job))


def list_of(value):
    return value if isinstance(value, list) else [value]


def failed_words(stage, job):
    """What a stage asks for besides conditions."""
    if "proof" in stage and not set(stage["proof"]) & set(job["proof"]):
        yield "proof"
    if "from" in stage and (not job["address"] or not is_in(job["address"], tuple(list_of(stage["from"])))):
        yield "from"
    if "during" in stage and not any(is_within_span(span, job["at"]) for span in list_of(stage["during"])):
        yield "during"
    if "until" in stage and seconds(job["at"]) >= seconds(stage["until"]):
        yield "until"


# ---- guardrails ----

def binds(rail, pipeline, stage):
    """Whether a guardrail is for a stage."""
    has = {"environment": stage.get("environment"), "kind": stage["kind"], "tenant": pipeline.get("tenant")}
    return all(has[word] in list_of(names) for word, names in rail.get("for", {}).items())


def is_excused(rail, stage, moment):
    until = stage["excused"].get(rail["name"])
    return until is not None and (moment is None or seconds(moment) < seconds(until))


def minutes(ttl):
    return int(ttl[:-1])


def names_given(grant):
    """Those of a jwt grant."""
    audience = grant["jwt"]["audience"]
    return [audience] + [audience + " " + word for word in grant["jwt"].get("scope", [])]


def gives_too_much(rail, stage, grants):
    """`ttl` and `forbid`."""
    if rail["word"] == "ttl" and stage["kind"] in rail["ttl"]:
        return any(minutes(g["ttl"]) > minutes(rail["ttl"][stage["kind"]]) for g in grants)
    if rail["word"] == "forbid":
        return any(fits_glob(p, n) for p in rail["jwt"] for g in grants for n in names_given(g))
    return False


def is_below(inner, outer):
    inner, outer = ipaddress.ip_network(inner), ipaddress.ip_network(outer)
    return inner.version == outer.version and inner.subnet_of(outer)


def lacks_what_is_required(rail, pipeline, stage):
    """`require`, but for its conditions."""
    if "proof" in rail and not ("proof" in stage and set(stage["proof"]) <= set(rail["proof"])):
        return True
    if "from" in rail and not ("from" in stage and all(
            any(is_below(n, m) for m in list_of(rail["from"])) for n in list_of(stage["from"]))):
        return True
    return "review_by" in rail and "review_by" not in pipeline


def offends(rail, pipeline, stage):
    """What the files alone tell."""
    if not binds(rail, pipeline, stage):
        return False
    return gives_too_much(rail, stage, stage.get("grants", {}).values()) or (
        rail["word"] == "require" and lacks_what_is_required(rail, pipeline, stage))


def failed_rails(pipeline, stage, job):
    """`freeze` and `require`, which hold against the request and the time."""
    for rail in pipeline["rails"]:
        if rail.get("mode") == "warn" or not binds(rail, pipeline, stage) or is_excused(rail, stage, job["at"]):
            continue
        now = seconds(job["at"])
        if rail["word"] == "freeze" and seconds(rail["from"]) <= now < seconds(rail["to"]):
            yield rail["name"]
        if rail["word"] != "require":
            continue
        yield from failed_when(rail.get("when"), job)
        if lacks_what_is_required(rail, pipeline, stage) or (
                "review_by" in rail and now >= seconds(pipeline["review_by"]) + 86400 * int(
                    rail["review_by"].get("grace", "0d")[:-1])) or (
                "proof" in rail and not set(rail["proof"]) & set(job["proof"])) or (
                "from" in rail and not (job["address"] and is_in(job["address"], tuple(list_of(rail["from"]))))):
            yield rail["name"]


def failures(pipeline, stage, job):
    failed = failed_when(pipeline.get("when"), job) + failed_unless(pipeline.get("unless"), job)
    failed += failed_when(stage.get("when"), job) + failed_unless(stage.get("unless"), job)
    if job["claims"].get("event_name") in DANGEROUS and not (
            names_danger(stage.get("when"), job) or names_danger(pipeline.get("when"), job)
            or names_danger(identity_maps(pipeline, job), job)):
        failed.append("event_name")
    return set(failed) | set(failed_words(stage, job)) | set(failed_rails(pipeline, stage, job))


def alive(stage, job):
    """Its grants that are not over."""
    return {n: g for n, g in stage.get("grants", {}).items()
            if "until" not in g or seconds(job["at"]) < seconds(g["until"])}


def hole_is_good(stage, job):
    condition = stage.get("when", {}).get("ref") if isinstance(stage.get("when"), dict) else None
    if not isinstance(condition, dict) or "{branch}" not in str(condition.get("like")):
        return True
    return bool(re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
                             fits_glob(condition["like"], job["claims"]["ref"]).group(1)))


def decide(pipelines, job):
    """("allow", grants, who decides) or ("deny", failed names, who); nobody decides where no stage is clear."""
    fitting = [p for p in pipelines if fits(p, job)]
    if not fitting:
        return "deny", {"identity"}, None
    asked = job["stage"]
    named = [(p, n, s) for p in fitting for n, s in p["stages"].items()
             if not asked or asked in (n, p["pipeline"] + ":" + n)]
    if asked and ":" in asked and not any(asked.startswith(p["pipeline"] + ":") for p in fitting):
        return "deny", {"identity"}, None
    if not named or (asked and len(named) > 1):
        return "deny", {"stage"}, None
    outcomes = [(failures(p, s, job), p, s) for p, n, s in named]
    open_ones = [o for o in outcomes if not o[0]]
    if len(open_ones) > 1:
        return "deny", {"stage"}, None
    if not open_ones:
        nearest = min(outcomes, key=lambda o: len(o[0]))
        return "deny", nearest[0], nearest[1]
    pipeline, stage = open_ones[0][1:]
    grants = alive(stage, job)
    if stage.get("grants") and not grants:
        return "deny", {"until"}, pipeline
    if "hole" in grants and not hole_is_good(stage, job):
        return "deny", {"ref"}, pipeline
    broken = {rail["name"] for rail in pipeline["rails"] if rail.get("mode") != "warn" and binds(rail, pipeline, stage)
              and not is_excused(rail, stage, job["at"]) and gives_too_much(rail, stage, grants.values())}
    if broken:
        return "deny", broken, pipeline
    if "instance" in stage and not hole_is_good(stage, job):
        return "deny", {"ref"}, pipeline
    return "allow", sorted(grants), pipeline
