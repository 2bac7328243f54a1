"""I/O edge: a small document of another host, fetched over HTTPS: keys, descriptions of issuers. Blocks: for threads.

No redirect is followed: it could lead out of TLS, or to a host that nobody named. Plain HTTP is for loopback only.

Source: RFC 8725 section 3.10 (where keys come from); docs.python.org/3/library/urllib.request.html. What may change
here: the size that is taken.
"""

from __future__ import annotations

import ipaddress
import ssl
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from meshagent.errors import BadRequest, Unavailable

__all__ = ["MAX_BYTES", "fetch"]

MAX_BYTES = 1 << 20


def fetch(url: str, context: ssl.SSLContext, timeout_s: float) -> bytes:
    """The body at an address, `MAX_BYTES` at most.

    Raises:
        BadRequest: the address is not to be asked, or answers too much.
        Unavailable: it cannot be reached, or does not answer with success.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise BadRequest(f"{url}: documents are fetched over https only")
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=timeout_s) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unavailable(f"{url} cannot be fetched: {error}") from error
    if len(data) > MAX_BYTES:
        raise BadRequest(f"{url}: more than {MAX_BYTES} bytes")
    return data


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """A redirect is no success."""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
