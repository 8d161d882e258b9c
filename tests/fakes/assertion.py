"""Verifying the broker's tokens as a cloud does it, by other means than the broker's.

Discovery and keys are fetched from the issuer's URL; the signature is checked by the openssl program.
"""

import base64
import json
import re
import ssl
import subprocess
import tempfile
import time
import urllib.request

LEEWAY_S = 60
OPENSSL = "/usr/bin/openssl"


class Bad(Exception):
    """A token that is not taken. `kind`: token, algorithm, keys, signature, issuer, audience, early, expired."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def decode_base64url(text):
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise Bad("token", "a part of the token is not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def der(tag, *parts):
    content = b"".join(parts)
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    size = (len(content).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(content).to_bytes(size, "big") + content


def der_integer(number):
    return der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def der_bits(content):
    return der(3, b"\0" + content)


OID_RSA = bytes.fromhex("06092a864886f70d010101")
OID_EC = bytes.fromhex("06072a8648ce3d0201")
OID_P256 = bytes.fromhex("06082a8648ce3d030107")


def public_key(jwk):
    """The SubjectPublicKeyInfo of a JWK."""
    if jwk["kty"] == "EC" and jwk["crv"] == "P-256":
        point = b"\x04" + decode_base64url(jwk["x"]) + decode_base64url(jwk["y"])
        return der(0x30, der(0x30, OID_EC, OID_P256), der_bits(point))
    if jwk["kty"] == "RSA":
        numbers = [int.from_bytes(decode_base64url(jwk[name]), "big") for name in ("n", "e")]
        key = der(0x30, *[der_integer(number) for number in numbers])
        return der(0x30, der(0x30, OID_RSA, der(5)), der_bits(key))
    raise Bad("token", "the issuer's key is neither RSA nor P-256")


def signature_for_openssl(algorithm, signature):
    if algorithm == "RS256":
        return signature
    if len(signature) != 64:
        raise Bad("token", "an ES256 signature has 64 bytes")
    halves = [int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")]
    return der(0x30, *[der_integer(half) for half in halves])


def pem_of(jwk):
    return b"-----BEGIN PUBLIC KEY-----\n%s-----END PUBLIC KEY-----\n" % base64.encodebytes(public_key(jwk))


def verifies(pem, algorithm, signature, message):
    with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as signed:
        key.write(pem)
        key.flush()
        signed.write(signature_for_openssl(algorithm, signature))
        signed.flush()
        result = subprocess.run([OPENSSL, "dgst", "-sha256", "-verify", key.name, "-signature", signed.name],
                                input=message, capture_output=True, check=False)
    return result.returncode == 0


def split(token, algorithms, longest):
    """Header, claims, what is signed and the signature."""
    parts = token.split(".")
    if len(token) > longest or len(parts) != 3:
        raise Bad("token", "not a token")
    try:
        header = json.loads(decode_base64url(parts[0]))
        claims = json.loads(decode_base64url(parts[1]))
    except ValueError as problem:
        raise Bad("token", "a part of the token is not JSON") from problem
    if header.get("alg") not in algorithms:
        raise Bad("algorithm", "an algorithm that is not taken")
    return header, claims, ".".join(parts[:2]).encode(), decode_base64url(parts[2])


def claims_by(pem, token, algorithms=("RS256",), longest=16384):
    """The claims of a token whose signature one key verifies: a public one, PEM."""
    header, claims, message, signature = split(token, algorithms, longest)
    if not verifies(pem, header["alg"], signature, message):
        raise Bad("signature", "the signature does not verify")
    return claims


class Issuer:
    """Whose tokens a fake takes; its discovery and keys are fetched as the real clouds do it."""

    def __init__(self, url, ca):
        self.url = url
        self.context = ssl.create_default_context(cafile=ca) if url.startswith("https:") else None

    def fetch(self, url):
        try:
            with urllib.request.urlopen(url, timeout=5, context=self.context) as answer:
                return json.load(answer)
        except (OSError, ValueError) as problem:
            raise Bad("keys", f"{url}: {problem}") from problem

    def key(self, header):
        discovery = self.fetch(self.url + "/.well-known/openid-configuration")
        if discovery.get("issuer") != self.url:
            raise Bad("token", "discovery names another issuer")
        keys = self.fetch(discovery["jwks_uri"])["keys"]
        found = [key for key in keys if key.get("kid") == header.get("kid")]
        if len(found) != 1:
            raise Bad("token", "no key of the issuer has the token's kid")
        return found[0]

    def claims(self, token, algorithms=("RS256", "ES256"), longest=16384):
        """The claims of a token whose signature holds."""
        header, claims, message, signature = split(token, algorithms, longest)
        if not header.get("kid"):
            raise Bad("token", "no kid")
        if not verifies(pem_of(self.key(header)), header["alg"], signature, message):
            raise Bad("signature", "the signature does not verify")
        return claims


def check_times(claims, life_max_s=300, now=None):
    for name in ("exp", "iat"):
        if type(claims.get(name)) is not int:
            raise Bad("token", f"{name} is not an integer")
    if "nbf" in claims and type(claims["nbf"]) is not int:
        raise Bad("token", "nbf is not an integer")
    now = time.time() if now is None else now
    if claims["exp"] + LEEWAY_S < now:
        raise Bad("expired", "the token has expired")
    if max(claims["iat"], claims.get("nbf", 0)) - LEEWAY_S > now:
        raise Bad("early", "the token is not valid yet")
    if claims["exp"] - claims["iat"] > life_max_s:
        raise Bad("token", f"the token lives longer than {life_max_s} s")


def check_names(claims, issuer, audience):
    """One issuer, one audience as text, and an id of its own."""
    if claims.get("iss") != issuer.url:
        raise Bad("issuer", "the token is of another issuer")
    if claims.get("aud") != audience:
        raise Bad("audience", "the token is for another audience")
    if not claims.get("jti"):
        raise Bad("token", "the token has no jti")
