"""Faults and mirrors in Envoy's words. Pure.

Source: surface row M76; Envoy's HTTPFault and RequestMirrorPolicy; `connect/l7.py` for where they are said. What may
change here: further kinds of faults.
"""

from __future__ import annotations

from meshagent.connect.envoy import durations
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.connect.l7 import FaultSettings

__all__ = ["FILTER", "NAME", "fault", "mirror", "share"]

NAME = "envoy.filters.http.fault"
_MESSAGE = "envoy.extensions.filters.http.fault.v3.HTTPFault"
#: The filter of a listener does nothing by itself: each route says what is to happen to its requests.
FILTER: Resource = {"name": NAME, "typed_config": typed(_MESSAGE)}


def fault(settings: FaultSettings) -> Resource:
    """What a route says to the filter."""
    fields: Resource = {}
    if settings.delay_s:
        fields["delay"] = {
            "fixed_delay": durations.of_seconds(settings.delay_s),
            "percentage": share(settings.delay_percent),
        }
    if settings.abort_status:
        fields["abort"] = {"http_status": settings.abort_status, "percentage": share(settings.abort_percent)}
    if settings.header:
        how = {"string_match": {"exact": settings.header_value}} if settings.header_value else {"present_match": True}
        fields["headers"] = [{"name": settings.header, **how}]
    return typed(_MESSAGE, fields)


def mirror(cluster: str, percent: float) -> Resource:
    """A copy of so many percent of the requests goes to a cluster."""
    return {"cluster": cluster, "runtime_fraction": {"default_value": share(percent)}}


def share(percent: float) -> Resource:
    """A FractionalPercent."""
    if percent == int(percent):
        return {"numerator": int(percent), "denominator": "HUNDRED"}
    return {"numerator": round(percent * 10_000), "denominator": "MILLION"}
