"""Signing a request as Amazon's services want it: Signature Version 4, for a POST whose body is a form.

Source: docs.aws.amazon.com IAM "Create a signed AWS API request" (steps 1 to 5); its published test suite is in
`tests/agent/cli/test_sigv4.py`. Only what a login signs is here: the path "/" and no query. Pure: the time is an
argument.

What may change here: nothing that changes a signature.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

__all__ = ["Credentials", "signed_headers"]

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request is signed with; `session` goes with it where the key is a temporary one."""

    key_id: str
    secret: str = field(repr=False)
    session: str = field(default="", repr=False)


def signed_headers(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    *,
    region: str,
    service: str,
    now: datetime,
    method: str = "POST",
) -> dict[str, str]:
    """`headers` with X-Amz-Date, X-Amz-Security-Token and Authorization. `url` has no query and the path "/"; every
    header of `headers`, and Host, is signed. `now` is aware, in UTC.
    """
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "X-Amz-Date": stamp}
    if credentials.session:
        sent["X-Amz-Security-Token"] = credentials.session
    signed = {name.lower(): " ".join(value.split()) for name, value in sent.items()}
    signed["host"] = urlsplit(url).netloc
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        [method, "/", "", *(f"{name}:{signed[name]}" for name in sorted(signed)), "", names, _sha256(body)]
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join([_ALGORITHM, stamp, scope, _sha256(canonical.encode())])
    key = f"AWS4{credentials.secret}".encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = _hmac(key, part)
    signature = _hmac(key, to_sign).hex()
    sent["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
