"""Where a request stands in a trace: read from headers, and written for the next hop. W3C and B3.

Source: w3.org/TR/trace-context (level 1, `traceparent` and `tracestate`); github.com/openzipkin/b3-propagation (one
header, and several). A context that breaks the rules counts as absent, as both ask for. What may change here: further
formats.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

__all__ = ["Headers", "TraceContext", "begun", "child", "read", "written"]

Headers = list[tuple[bytes, bytes]]

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_B3 = re.compile(rb"([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d])(?:-([0-9a-f]{16}))?)?")
_HEX_TRACE = re.compile(rb"[0-9a-f]{32}|[0-9a-f]{16}")
_HEX_SPAN = re.compile(rb"[0-9a-f]{16}")
_NAMES = frozenset(
    {b"traceparent", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid", b"x-b3-sampled", b"x-b3-flags"}
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Ids as lower-case hex: 32 and 16 digits. `b3` is how the caller spoke: "", "single" or "multi". `sampled` None:
    nobody has decided yet."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool | None = True
    b3: str = ""


def read(headers: Headers) -> TraceContext | None:
    """What the caller says; W3C goes before B3."""
    found = {name: value for name, value in headers if name in _NAMES}
    if not found:
        return None
    parent = found.get(b"traceparent")
    if parent is not None:
        match = _TRACEPARENT.fullmatch(parent)
        # Version ff is forbidden; version 00 has nothing behind its flags.
        if match is not None and match[1] != b"ff" and not (match[1] == b"00" and match[5]):
            context = _context(match[2], match[3], bool(int(match[4], 16) & 1), "")
            if context is not None:
                return context
    single = found.get(b"b3")
    if single is not None:
        match = _B3.fullmatch(single.lower())
        return _context(match[1], match[2], _b3_sampled(match[3]), "single") if match is not None else None
    trace, span = found.get(b"x-b3-traceid", b"").lower(), found.get(b"x-b3-spanid", b"").lower()
    if _HEX_TRACE.fullmatch(trace) and _HEX_SPAN.fullmatch(span):
        sampled = b"d" if found.get(b"x-b3-flags") == b"1" else found.get(b"x-b3-sampled")
        return _context(trace, span, _b3_sampled(sampled), "multi")
    return None


def _context(trace: bytes, span: bytes, sampled: bool | None, b3: str) -> TraceContext | None:
    if not int(trace, 16) or not int(span, 16):
        return None
    return TraceContext(trace.decode().rjust(32, "0"), span.decode(), "", sampled, b3)


def _b3_sampled(value: bytes | None) -> bool | None:
    if value in {b"1", b"d", b"true"}:
        return True
    return False if value in {b"0", b"false"} else None


def begun(rng: random.Random, sampled: bool) -> TraceContext:
    """A trace of one's own."""
    return TraceContext(f"{rng.getrandbits(128) or 1:032x}", f"{rng.getrandbits(64) or 1:016x}", "", sampled)


def child(context: TraceContext, rng: random.Random, sampled: bool) -> TraceContext:
    """The next span of a trace; what the caller decided on sampling holds."""
    decided = sampled if context.sampled is None else context.sampled
    return TraceContext(context.trace_id, f"{rng.getrandbits(64) or 1:016x}", context.span_id, decided, context.b3)


def written(context: TraceContext, headers: Headers) -> Headers:
    """The headers for the next hop, in which this span is the parent; `tracestate` goes on as it is."""
    flag = b"01" if context.sampled else b"00"
    kept = [one for one in headers if one[0] not in _NAMES]
    trace, span = context.trace_id.encode(), context.span_id.encode()
    kept.append((b"traceparent", b"00-%b-%b-%b" % (trace, span, flag)))
    decided = b"1" if context.sampled else b"0"
    if context.b3 == "single":
        kept.append((b"b3", b"%b-%b-%b" % (trace, span, decided)))
    elif context.b3 == "multi":
        kept += [(b"x-b3-traceid", trace), (b"x-b3-spanid", span), (b"x-b3-sampled", decided)]
        if context.parent_id:
            kept.append((b"x-b3-parentspanid", context.parent_id.encode()))
    return kept
