"""Status lists as a service looks at them: fetched by nobody, checked by jose and OpenWallet's library, and by ourselves."""

import base64
import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
import zlib

from harness import ROOT, WAIT_S, check, jwt_part


def fetch(place, path):
    """Without a secret: the body and the headers, or None and the status."""
    context = ssl.create_default_context(cafile=place.path("pki", "ca.crt"))
    try:
        with urllib.request.urlopen("https://127.0.0.1:%d%s" % (place.port, path), timeout=WAIT_S,
                                    context=context) as answer:
            return answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return None, error.code


def reference(token):
    return jwt_part(token, 1)["status"]["status_list"]


def list_of(place, token):
    """The signed list of a token, by a broker's own port; None where there is none."""
    return fetch(place, reference(token)["uri"][len(place.url):])[0]


def bits(signed):
    """The list's bytes, read by Python alone."""
    claim = jwt_part(signed, 1)["status_list"]
    assert claim["bits"] == 1
    return zlib.decompress(base64.urlsafe_b64decode(claim["lst"] + "=" * (-len(claim["lst"]) % 4)))


def bit(signed, token):
    index = reference(token)["idx"]
    return bits(signed)[index // 8] >> (index % 8) & 1


def look(place, audience, tokens, ahead_s=0, lists=None):
    """What a service that uses others' libraries learns of tokens: {"status"} or {"error"} each."""
    if lists is None:
        lists = {reference(token)["uri"]: list_of(place, token) for token in tokens}
    asked = {"keys": json.loads(fetch(place, "/jwks.json")[0]), "issuer": place.url, "audience": audience,
             "now": int(time.time()) + ahead_s, "tokens": tokens, "lists": lists}
    result = subprocess.run([os.path.join(ROOT, "tests", "clouds", "run"), "status_list.mjs"], input=json.dumps(asked),
                            text=True, capture_output=True, timeout=60)
    return json.loads(result.stdout) if result.returncode == 0 else [{"error": result.stderr}] * len(tokens)


def wait_for(what, condition):
    """Until a deadline; how many seconds it took."""
    begun = time.monotonic()
    while not condition() and time.monotonic() < begun + WAIT_S:
        time.sleep(0.05)
    check(what, condition())
    return time.monotonic() - begun
