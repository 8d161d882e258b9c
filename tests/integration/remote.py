"""A fake of a remote target beside a broker, and what must hold when it answers badly."""

import datetime
import http.client
import json
import os
import re
import signal
import sys
import threading
import time

from harness import ROOT, Process, check, wait_until

sys.path.insert(0, os.path.join(ROOT, "tests", "fakes"))

import misbehaviour  # noqa: E402


LEFT_S = 601  # a lease that is requested for longer was left by a broker that is gone
ALL_OVER_S = 7200


def start_fake(place, name, *arguments, issuer=None):
    """The fake and its URL. It trusts the broker, and is told in place's file "mode" what to answer."""
    place.write("mode", "ok")
    fake = Process(name, ["/usr/bin/python3", os.path.join(ROOT, "tests", "fakes", name + ".py"),
                          "--issuer", issuer or place.url, "--ca", place.path("pki", "ca.crt"),
                          "--control", place.path("mode"), "--record", place.path("record"), *arguments],
                   place.path(name + ".log"))
    return fake, fake.wait_for(r"READY (https?://\S+)").group(1)


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


def entries_of(place, lease, kind):
    return [entry for entry in place.entries(kind) if entry.get("lease") == lease["id"]]


def restart(place):
    """The clock is that of the issuer again."""
    place.broker.stop()
    place.restart_broker()


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


def ask_in_vain(place, token, stage):
    """An exchange whose broker is killed under way: in the background; what it got stands in the list."""
    answers = []

    def ask():
        try:
            answers.append(place.exchange(token, stage=stage))
        except (OSError, http.client.HTTPException):
            pass

    asking = threading.Thread(target=ask)
    asking.start()
    return asking, answers


def live_leases(place):
    return int(re.search(r"^stagepass_leases_live (\d+)$", place.admin_request("GET", "/metrics").body, re.M)[1])


def seconds_ahead(entry):
    """Of the clock of now: entries' times never go back, where the clock of a test was ahead before."""
    written = datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00"))
    return int(written.timestamp() - time.time()) + 1


def killed_between_intent_and_outcome(place, where="", stage="deploy-prod"):
    """kill -9 while the target has made what it was asked for: the lease is left, with its credential.unknown as `unknown`.

    `where` is the place of the fake that keeps its answer to itself.
    """
    what = "kill -9 behind the intent" + (", at " + where if where else "")
    place.write("mode", "hang@" + where if where else "hang")
    before = len(recorded(place))
    token = place.token("main")
    asking, answers = ask_in_vain(place, token, stage)
    check("%s: the target is asked" % what, wait_until(
        lambda: [asked for asked in recorded(place)[before:] if where in ("", asked.get("place"))]), recorded(place))
    place.broker.stop(signal.SIGKILL)  # at once: it waits for some seconds only
    asking.join()
    intent = place.entries("lease.requested")[-1]
    lease = {"id": intent["lease"]}
    place.write("mode", "ok")
    place.restart_broker()
    answer = place.exchange(token, stage=stage)
    check("%s: the token stays used" % what, answer.json().get("reason") == "token_used", answer)
    place.advance_clock(LEFT_S + max(0, seconds_ahead(intent)))
    check("%s: the lease becomes unknown" % what, wait_until(lambda: entries_of(place, lease, "credential.unknown")),
          place.broker.log()[-2000:])
    lease["unknown"] = entries_of(place, lease, "credential.unknown")[0]
    check("%s: which names what may have been made, and why nobody knows" % what,
          lease["unknown"]["credentials"] == intent["credentials"] and lease["unknown"]["detail"], lease["unknown"])
    check("%s: nothing was handed out" % what, not answers and not entries_of(place, lease, "credential.issued"), answers)
    return lease


def only_expires(place, lease):
    """What nobody can end: no entry claims that anybody did, or will, and it does not count for ever."""
    remote = [c for c in lease["unknown"]["credentials"] if "target" in c]  # tokens of ours stand in a list
    check("nothing claims that it can be ended", remote and not [c for c in remote if "revoke" in c], lease["unknown"])
    place.advance_clock(ALL_OVER_S)
    check("once it has expired it counts no more", wait_until(lambda: live_leases(place) == 0),
          place.admin_request("GET", "/metrics").body)
    ended = [c for entry in entries_of(place, lease, "credential.revoked") for c in entry["credentials"]]
    check("and was neither ended nor left to be", not [c for c in ended if "target" in c]
          and "credential.revoke_failed" not in place.broker.log(), place.broker.log()[-2000:])
