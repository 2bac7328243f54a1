"""Metrics as lines of statsd and DogStatsD. Pure.

Source: surface row G27; github.com/statsd/statsd/blob/master/docs/metric_types.md;
docs.datadoghq.com/developers/dogstatsd/datagram_shell (tags); github.com/hashicorp/go-metrics for how names and labels
become keys. A finished interval is sent at once: counters as their sum, levels as they are, samples one by one. What an
interval kept only a part of carries its rate (`|@0.25`). What may change here: other dialects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshagent.metrics import Interval, Labels

__all__ = ["PACKET_BYTES", "lines", "packets"]

#: A datagram of this size passes any Ethernet.
PACKET_BYTES = 1400
#: What ends a field in either dialect.
_FORBIDDEN = re.compile(r"[:|@#,\s]")


def lines(interval: Interval, *, tagged: bool = False, tags: tuple[str, ...] = ()) -> Iterator[str]:
    """One finished interval, a line each. `tagged` is DogStatsD: labels are tags, and `tags` go with each."""
    for name, labels, value in interval.gauges:
        if value < 0 and not tagged:  # statsd takes a sign for a step, so the level is set to 0 before
            yield _line(name, labels, "0|g", tagged, tags)
        yield _line(name, labels, f"{_shown(value)}|g", tagged, tags)
    for name, labels, total in interval.counters:
        yield _line(name, labels, f"{_shown(total)}|c", tagged, tags)
    for name, labels, values, count in interval.samples:
        rate = "" if len(values) == count else f"|@{len(values) / count:.6g}"
        for value in values:
            yield _line(name, labels, f"{_shown(value)}|ms{rate}", tagged, tags)


def packets(of: Iterable[str], limit: int = PACKET_BYTES) -> Iterator[bytes]:
    """Lines joined into datagrams of at most `limit` bytes; a longer line stands alone."""
    held: list[bytes] = []
    size = 0
    for line in of:
        data = line.encode()
        if held and size + 1 + len(data) > limit:
            yield b"\n".join(held)
            held, size = [], 0
        held.append(data)
        size += len(data) + (len(held) > 1)
    if held:
        yield b"\n".join(held)


def _line(name: str, labels: Labels, value: str, tagged: bool, tags: tuple[str, ...]) -> str:
    key = _FORBIDDEN.sub("_", name)
    if not tagged:
        return ".".join([key, *(_FORBIDDEN.sub("_", text) for _, text in labels)]) + f":{value}"
    found = [*tags, *(f"{_FORBIDDEN.sub('_', label)}:{_FORBIDDEN.sub('_', text)}" for label, text in labels)]
    return f"{key}:{value}" + (f"|#{','.join(found)}" if found else "")


def _shown(value: float) -> str:
    return f"{int(value)}" if value == int(value) else f"{value:.6f}".rstrip("0")
