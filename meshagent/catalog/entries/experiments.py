"""What is done to requests on purpose: copies of them, faults. Parts of `service-router` and `service-resolver`, ours.

Source: surface row M76; Envoy's RequestMirrorPolicy and HTTPFault for what they mean. What may change here: fields are
added with a default.
"""

from __future__ import annotations

import re

from meshagent.catalog.entries.entry import GoDuration, Part
from meshagent.durations import parse_duration

__all__ = ["Fault", "Mirror", "percent_of"]

MAX_DELAY_NS = 600_000_000_000
#: A token of RFC 9110 section 5.6.2; no `:`-headers.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")


class Mirror(Part, frozen=True, kw_only=True):
    """A copy of so many percent (all, when it is left out) goes to a service as well; its answers are thrown away."""

    service: str = ""
    service_subset: str = ""
    percent: float | int | None = None

    def problem(self) -> str:
        if not self.service and not self.service_subset:
            return " Mirror must name a Service or a ServiceSubset"
        return _percent_problem("Mirror.Percent", self.percent)


class Fault(Part, frozen=True, kw_only=True):
    """So many percent (all, when it is left out) wait before they are sent on, or are answered and not sent on.

    With a `header`, only requests that have it (with that value, when there is one).
    """

    delay: GoDuration = ""
    delay_percent: float | int | None = None
    abort_status: int = 0
    abort_percent: float | int | None = None
    header: str = ""
    header_value: str = ""

    def problem(self) -> str:
        if not self.delay and not self.abort_status:
            return " Fault must have a Delay or an AbortStatus"
        if self.delay and not 0 < parse_duration(self.delay) <= MAX_DELAY_NS:
            return f' Fault.Delay must be above 0 and at most 10m: "{self.delay}"'
        if self.abort_status and not 200 <= self.abort_status <= 599:
            return f" Fault.AbortStatus must be between 200 and 599: {self.abort_status}"
        if self.header and not _HEADER.fullmatch(self.header):
            return f' Fault.Header is not the name of a header: "{self.header}"'
        if self.header_value and not self.header:
            return " Fault.HeaderValue needs a Header"
        if {"\r", "\n", "\0"} & set(self.header_value):
            return " Fault.HeaderValue must be one line"
        return _percent_problem("Fault.DelayPercent", self.delay_percent) or _percent_problem(
            "Fault.AbortPercent", self.abort_percent
        )


def percent_of(value: float | None) -> float:
    """A percentage; one that is left out is all."""
    return 100.0 if value is None else float(value)


def _percent_problem(field: str, value: float | None) -> str:
    return "" if value is None or 0 <= value <= 100 else f" {field} must be between 0 and 100: {value}"
