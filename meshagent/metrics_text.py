"""Numbers and lines of the Prometheus exposition text. Pure.

Source: prometheus.io/docs/instrumenting/exposition_formats; github.com/hashicorp/go-metrics for how names are joined.
What may change here: nothing that a scraper reads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

__all__ = ["QUANTILES", "Labels", "empty_family", "line", "mangle", "shown_number", "summary_lines"]

Labels = tuple[tuple[str, str], ...]

QUANTILES = (0.5, 0.9, 0.99)
_FORBIDDEN = re.compile(r"[ .=\-/]")


def summary_lines(
    full_name: str, labels: Labels, quantiles: Sequence[tuple[float, float]], total: float, count: int
) -> list[str]:
    """A summary: its quantiles, sum and count."""
    name = mangle(full_name)
    lines = [line(name, (*labels, ("quantile", f"{q:g}")), value) for q, value in quantiles]
    lines.append(line(f"{name}_sum", labels, total))
    lines.append(line(f"{name}_count", labels, count))
    return lines


def empty_family(name: str, kind: str) -> list[str]:
    """What a declared metric shows before anything happened."""
    if kind != "summary":
        return [f"{name} 0"]
    return [f'{name}{{quantile="{q:g}"}} NaN' for q in QUANTILES] + [f"{name}_sum 0", f"{name}_count 0"]


def mangle(name: str) -> str:
    """A dotted name as Prometheus takes it."""
    return _FORBIDDEN.sub("_", name)


def line(name: str, labels: Labels, value: float) -> str:
    """One sample; `name` is mangled already."""
    shown = "NaN" if math.isnan(value) else f"{shown_number(value)}"
    if not labels:
        return f"{name} {shown}"
    parts = ",".join(f'{mangle(key)}="{_escape(text)}"' for key, text in labels)
    return f"{name}{{{parts}}} {shown}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def shown_number(value: float) -> float | int:
    """Whole numbers without `.0`, as Go writes them."""
    return int(value) if math.isfinite(value) and value == int(value) and abs(value) < 2**53 else value
