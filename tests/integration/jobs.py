"""Jobs of a CI system that take and give back leases, and what the ledger says of these."""

import threading
import time


ENDS = ("lease.released", "lease.revoked", "lease.expired", "credential.failed")


class Jobs:
    """Jobs at one place, on a clock that is moved."""

    def __init__(self, place):
        self.place = place
        self.issuer = place  # whose tokens they have
        self.late_s = 0

    def advance(self, seconds):
        self.place.advance_clock(seconds)
        self.late_s += seconds

    def tokens(self, count, **claims):
        return self.issuer.tokens(count, iat=int(time.time()) + self.late_s, **claims)

    def ask(self, stage, **claims):
        """One job asks for a stage's lease."""
        return self.place.exchange(self.tokens(1, **claims)[0], stage=stage)

    def ask_at_once(self, stage, count, places=None, **claims):
        """So many jobs that differ in nothing else ask at the same time, at these brokers in turn."""
        places = places or [self.place]
        tokens = self.tokens(count, **claims)
        answers = [None] * count

        def ask(i):
            answers[i] = places[i % len(places)].exchange(tokens[i], stage=stage)

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def release(self, answer, outcome="success", place=None):
        fields = {"token": answer.json()["lease"]["handle"]}
        if outcome:
            fields["outcome"] = outcome
        return (place or self.place).post_form("/revoke", fields).status

    def run(self, stage, outcome="success", **claims):
        """A whole job: whether it got its lease, which it then releases."""
        answer = self.ask(stage, **claims)
        return answer.status == 200 and self.release(answer, outcome) == 200


def is_denied(answer, *words):
    """403, and that much is told, and no more."""
    body = answer.json()
    return (answer.status == 403 and body["error"] == "access_denied" and body["failed"] == sorted(words)
            and body["error_description"] == "the policy does not allow this" and "credentials" not in body)


def is_full(answer):
    body = answer.json()
    return (answer.status == 429 and body["error"] == "temporarily_unavailable" and body["reason"] == "stage_full"
            and int(answer.headers["Retry-After"]) >= 1 and "credentials" not in body)


def most_live(entries, stage, instance=None):
    """How many leases of a stage lived at one time at most, by the entries alone (none of them expires)."""
    live = set()
    most = 0
    for entry in entries:
        if entry.get("stage") != stage or entry.get("instance") != instance or "lease" not in entry:
            continue
        if entry["type"] in ENDS:
            live.discard(entry["lease"])
        elif entry["type"] in ("lease.requested", "credential.issued") or (
                entry["type"] == "credential.unknown" and entry.get("reason") != "lease_ended"):
            live.add(entry["lease"])
        most = max(most, len(live))
    return most, live
