"""Request targets: split, decode, check, clean.

A target is `path?query` as sent. Routing sees the path as it was sent; only the name behind a prefix is decoded, so
`%2F` in a name is a slash and nowhere else. A path that is not clean (`//`, `/./`, `/../`) is answered with a redirect
to the clean one.

Source: surface rows C1, C29; RFC 3986 section 3.3; pkg.go.dev/net/http#ServeMux. What may change here: nothing a
client could tell apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from meshagent.agent.http.request import unescape

__all__ = ["Target", "clean_path", "parse_target", "without_token"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN = re.compile(r"(?<=[?&]token=)[^&]*")
_UNCLEAN = re.compile(r"//|/\.\.?(/|\Z)")


@dataclass(frozen=True, slots=True)
class Target:
    """A request target: the path as sent, the same decoded, and the raw query."""

    raw_path: str
    path: str
    query: str

    @property
    def printable(self) -> bool:
        """Whether the path is free of control characters."""
        return _CONTROL.search(self.path) is None

    @property
    def clean(self) -> bool:
        """Whether the path needs no redirect."""
        return _UNCLEAN.search(self.raw_path) is None


def parse_target(raw: str) -> Target:
    """The target of a request line; an absolute form (RFC 9112 section 3.2.2) loses scheme and host.

    Raises:
        ValueError: a bad percent-escape, or neither a path nor an absolute form.
    """
    if not raw.startswith("/"):
        scheme, separator, rest = raw.partition("://")
        if not separator or scheme.lower() not in {"http", "https"}:
            raise ValueError(f"not a path: {raw!r}")
        at = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
        raw = rest[at:]
        if not raw.startswith("/"):
            raw = "/" + raw
    path, _, query = raw.partition("?")
    return Target(path, unescape(path), query)


def clean_path(path: str) -> str:
    """The shortest path that names the same, with the trailing slash kept."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    cleaned = "/" + "/".join(parts)
    return cleaned + "/" if path.endswith("/") and parts else cleaned


def without_token(target: str) -> str:
    """A request target for the log."""
    return _TOKEN.sub("<hidden>", target)
