"""A P-256 key of openssl's and DPoP proofs by it, for integration tests: nothing of ours signs."""

import base64
import hashlib
import json
import os
import subprocess
import time


def encode(data):
    if isinstance(data, dict):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """A P-256 key of openssl's, and proofs by it: nothing of ours signs."""

    def __init__(self, place):
        self.path = place.path("proof-%s.pem" % os.urandom(4).hex())
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-out", self.path], check=True,
                       stderr=subprocess.DEVNULL)
        point = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"],
                               check=True, capture_output=True).stdout[-64:]
        self.jwk = {"crv": "P-256", "kty": "EC", "x": encode(point[:32]), "y": encode(point[32:])}
        canonical = json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()
        self.thumbprint = encode(hashlib.sha256(canonical).digest())

    def prove(self, url, **changes):
        claims = dict({"jti": os.urandom(12).hex(), "htm": "POST", "htu": url,
                       "iat": int(time.time())}, **changes)
        text = "%s.%s" % (encode({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk}),
                          encode(claims))
        der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.path], check=True,
                             input=text.encode(), capture_output=True).stdout
        return text + "." + encode(raw_signature(der))


def raw_signature(der):
    """r and s of 32 bytes each out of openssl's DER."""
    r_len = der[3]
    r, s = der[4:4 + r_len], der[6 + r_len:]
    return b"".join(int.from_bytes(number, "big").to_bytes(32, "big") for number in (r, s))
