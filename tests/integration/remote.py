"""A fake of a remote target beside a broker, and what must hold when it answers badly."""

import json
import os
import sys

from harness import ROOT, Process, check, wait_until

sys.path.insert(0, os.path.join(ROOT, "tests", "fakes"))

import misbehaviour  # noqa: E402


def start_fake(place, name, *arguments, issuer=None):
    """The fake and its URL. It trusts the broker, and is told in place's file "mode" what to answer."""
    place.write("mode", "ok")
    fake = Process(name, ["/usr/bin/python3", os.path.join(ROOT, "tests", "fakes", name + ".py"),
                          "--issuer", issuer or place.url, "--ca", place.path("pki", "ca.crt"),
                          "--control", place.path("mode"), "--record", place.path("record"), *arguments],
                   place.path(name + ".log"))
    return fake, fake.wait_for(r"READY (http://\S+)").group(1)


def recorded(place):
    """What the fake was asked for, good requests only."""
    try:
        return [json.loads(line) for line in place.read("record").splitlines()]
    except FileNotFoundError:
        return []


def wait_for_requests(place, count):
    """Until so many good requests have come in all: who sent them has the intent in the ledger, and waits."""
    if not wait_until(lambda: len(recorded(place)) >= count):
        raise RuntimeError("%d requests came, not %d" % (len(recorded(place)), count))


def outcomes(place, since=0):
    """The types of entries, but for those that come later, of tokens used again and of what is ended."""
    return [entry["type"] for entry in place.entries()[since:]
            if entry["type"] not in ("exchange.denied", "credential.revoked")]


def withheld(place, mode, outcome, may_retry, stage="deploy-prod", secrets=()):
    """Nothing is released; the ledger says how it ended; the token counts as used or does not."""
    place.write("mode", mode)
    token = place.token("main")
    before = len(place.entries())
    answer = place.exchange(token, stage=stage)
    check("%s: nothing is released, 503 with Retry-After" % mode,
          answer.status == 503 and answer.json()["error"] == "temporarily_unavailable"
          and answer.headers["Retry-After"] and "credentials" not in answer.json(), answer)
    check("%s: nothing of the target's words is told" % mode,
          not [word for word in secrets if word in answer.body], answer)
    kinds = outcomes(place, before)
    check("%s: the ledger says %s" % (mode, outcome), kinds == ["lease.requested", outcome], kinds)
    place.write("mode", "ok")
    answer = place.exchange(token, stage=stage)
    if may_retry:
        check("%s: the token may be used again" % mode, answer.status == 200, answer)
    else:
        check("%s: the token stays used" % mode, answer.json().get("reason") == "token_used", answer)


def whatever_it_answers(place, failed, unknown, places=("",), **more):
    """All bad answers: those of the fake's own that say no, its others, and those of every fake."""
    for where in places:
        for mode in failed:
            withheld(place, mode + where, "credential.failed", True, **more)
        for mode in [*unknown, *misbehaviour.UNKNOWN]:
            withheld(place, mode + where, "credential.unknown", False, **more)
