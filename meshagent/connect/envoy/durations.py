"""Spans of time in the JSON form of protocol buffers: seconds with up to nine digits, like "1.5s".

Source: protobuf.dev "ProtoJSON format", Duration. What may change here: nothing.
"""

from __future__ import annotations

from meshagent.durations import parse_duration

__all__ = ["of_milliseconds", "of_nanoseconds", "of_seconds", "of_text"]


def of_nanoseconds(nanoseconds: int) -> str:
    """A span of whole nanoseconds."""
    whole, part = divmod(abs(nanoseconds), 1_000_000_000)
    sign = "-" if nanoseconds < 0 else ""
    return f"{sign}{whole}.{part:09d}".rstrip("0").rstrip(".") + "s"


def of_milliseconds(milliseconds: int) -> str:
    """A span of whole milliseconds."""
    return of_nanoseconds(milliseconds * 1_000_000)


def of_seconds(seconds: float) -> str:
    """A span of seconds, to the microsecond."""
    return of_nanoseconds(round(seconds * 1e6) * 1000)


def of_text(text: str) -> str:
    """A span in Go's words. Raises ValueError."""
    return of_nanoseconds(parse_duration(text))
