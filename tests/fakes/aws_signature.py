"""Whose signature a request to a fake of AWS has: made again by botocore's own signer, and compared.

What is signed must be: host, date, and the session token where there is one.
"""

import datetime
import re

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
LEEWAY = datetime.timedelta(minutes=5)

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w{16,128})/(\d{8})/([a-z0-9-]+)/([a-z]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}", re.ASCII)


class Bad(Exception):
    """What AWS says to a signature that is none: a code and a status."""

    def __init__(self, code, message, status=403):
        super().__init__(message)
        self.code = code
        self.status = status


def service_of(headers):
    """The service that a request is signed for; "" where it is not signed."""
    parts = AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
    return parts[4] if parts else ""


def check_date(headers, day):
    stamp = headers.get("X-Amz-Date", "")
    if not re.fullmatch(day + r"T\d{6}Z", stamp):
        raise Bad("SignatureDoesNotMatch", "the date is another day's")
    when = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if abs(datetime.datetime.now(datetime.timezone.utc) - when) > LEEWAY:
        raise Bad("SignatureDoesNotMatch", "Signature expired")
    return stamp


def signed_again(headers, body, names, credentials, scope):
    """The Authorization that botocore makes of the same request."""
    service, region, stamp = scope
    kept = {name: headers.get(name, "") for name in names
            if name not in ("host", "x-amz-date", "x-amz-security-token")}
    request = AWSRequest("POST", f"http://{headers['Host']}/", data=body, headers=kept)
    signer = SigV4Auth(credentials, service, region)
    request.context["timestamp"] = stamp
    signer._modify_request_before_signing(request)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    signer._inject_signature_to_request(request, signature)
    return request.headers["Authorization"]


def check(headers, body, service, region, keys_of):
    """The id of the key that signed it. keys_of(ID) is its secret and session token ("": none), or None."""
    parts = AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
    keys = keys_of(parts[1]) if parts else None
    if not keys:
        raise Bad("InvalidClientTokenId", "The security token included in the request is invalid")
    secret, token = keys
    if (parts[3], parts[4]) != (region, service):
        raise Bad("SignatureDoesNotMatch", f"Credential should be scoped to a valid region and service: {region}")
    names = parts[5].split(";")
    if names != sorted(names) or not {"host", "x-amz-date", *(["x-amz-security-token"] if token else [])} <= set(names):
        raise Bad("IncompleteSignature", "not all is signed", 400)
    stamp = check_date(headers, parts[2])
    if headers.get("X-Amz-Security-Token", "") != token:
        raise Bad("SignatureDoesNotMatch" if token else "InvalidClientTokenId", "another session's token")
    made = signed_again(headers, body, names, Credentials(parts[1], secret, token or None), (service, region, stamp))
    if made != headers["Authorization"]:
        raise Bad("SignatureDoesNotMatch", "The request signature we calculated does not match")
    return parts[1]
