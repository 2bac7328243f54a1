"""The path of a request that comes in, made one of a kind, so that intentions see what the application will see.

`/public/../admin`, `/%61dmin` and `/a\\..\\admin` are `/admin`. What is passed on is the normal form. Filters, pure.

Source: RFC 3986 sections 5.2.4 and 6.2.2; Envoy's `normalize_path`, `merge_slashes`, `path_with_escaped_slashes_action`
and `headers_with_underscores_action` of the HTTP connection manager (400 where a request is rejected, 307 where it is
redirected); surface row M29. What may change here: further settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshagent.connect.mesh_settings import Normalization
from meshagent.connect.proxy.http.hooks import LocalReply

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.exchange import Exchange

__all__ = ["Normalizer", "normal_path"]

#: What may have another form.
_SUSPECT = re.compile(rb"[%\\]|/\.|//")
#: Paths that are remembered: so many, so long.
_MOST, _LONGEST = 1024, 256
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_ESCAPED_SLASH = re.compile(rb"%(?:2[Ff]|5[Cc])")
_SLASHES = re.compile(rb"/{2,}")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_BAD_PATH = LocalReply(400, b"", "", "path_normalization_failed")
_BAD_NAME = LocalReply(400, b"", "", "http1.unexpected_underscore")


class Normalizer:
    """`Filter`, the first of the inbound side. `rules` gives those of now."""

    def __init__(self, rules: Callable[[], Normalization]) -> None:
        self._rules = rules
        #: Paths seen before that have no other form, whatever the rules.
        self._normal: set[bytes] = set()

    def __call__(self, exchange: Exchange) -> LocalReply | None:
        rules = self._rules()
        head = exchange.head
        if rules.underscores and rules.underscores != "ALLOW" and any(b"_" in name for name, _ in head.headers):
            if rules.underscores == "REJECT_REQUEST":
                return _BAD_NAME
            head.headers = [one for one in head.headers if b"_" not in one[0]]
        path = head.path
        if path in self._normal:
            return None
        if _SUSPECT.search(path) is None or not path.startswith(b"/"):
            if len(path) <= _LONGEST:
                if len(self._normal) >= _MOST:
                    self._normal.clear()
                self._normal.add(path)
            return None
        before, mark, query = path.partition(b"?")
        if rules.escaped_slashes == "REJECT_REQUEST" and _ESCAPED_SLASH.search(before):
            return _BAD_PATH
        unescape = rules.escaped_slashes in {"UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"}
        redirect = rules.escaped_slashes == "UNESCAPE_AND_REDIRECT" and _ESCAPED_SLASH.search(before) is not None
        found = normal_path(before, rules.path, rules.merge_slashes, unescape)
        if found is None:
            return _BAD_PATH
        head.path = found + mark + query
        if redirect:
            return LocalReply(307, b"", "", "path_normalization_redirect", ((b"location", head.path),))
        return None


def normal_path(path: bytes, normalize: bool, merge_slashes: bool, unescape_slashes: bool) -> bytes | None:
    """The normal form of an absolute path without a query; None when it has an escaped NUL in it.

    `b"/a/%2e%2e/b"` is `b"/b"`. Escapes of what need not be escaped are taken away, those of anything else stay.
    """
    if unescape_slashes:
        path = _ESCAPED_SLASH.sub(lambda found: b"/" if found[0][1:2] == b"2" else b"\\", path)
    if normalize:
        path = _ESCAPED.sub(_unescaped, path.replace(b"\\", b"/"))
        if b"%00" in path:
            return None
        if b"/." in path:
            path = _without_dots(path)
    if merge_slashes:
        path = _SLASHES.sub(b"/", path)
    return path


def _unescaped(found: re.Match[bytes]) -> bytes:
    value = int(found[1], 16)
    return bytes([value]) if value in _UNRESERVED else found[0].upper()


def _without_dots(path: bytes) -> bytes:
    """What leads above the root ends there (RFC 3986 section 5.2.4)."""
    kept: list[bytes] = []
    parts = path.split(b"/")[1:]
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        if part == b"..":
            del kept[-1:]
        elif part != b".":
            kept.append(part)
            continue
        if last:
            kept.append(b"")
    return b"/" + b"/".join(kept)
