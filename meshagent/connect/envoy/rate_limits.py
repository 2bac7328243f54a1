"""Rate limits in Envoy's words: of the instance, of paths, of callers, of connections. Pure.

A path with a rate of its own does not count for the instance: its route carries another bucket. Callers are told apart
by the service that their sidecar names in `x-forwarded-client-cert`, which `header_to_metadata` has put into the
metadata; where nobody is told of callers (gRPC, or the mesh sanitizes it) they have no rates of their own.

Source: surface rows M21, M76; Envoy's local rate limit filters; `connect/proxy/limits` executes the same. What may
change here: further buckets.
"""

from __future__ import annotations

import math

from meshagent.catalog.entries.rate_limits import Rate, RateLimits, RouteRate
from meshagent.connect.envoy import durations
from meshagent.connect.envoy.request_matchers import expression
from meshagent.connect.envoy.resources import Resource, typed

__all__ = ["connections", "http", "of_route", "route_match"]

_HTTP = "envoy.filters.http.local_ratelimit"
#: The filter of callers has a name of its own: what a route says of the other one does not change it.
_CALLERS = "meshagent.callers"
_MESSAGE = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_STATS = "http_local_rate_limiter"
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
#: What callers' proxies go by when they are to try again (`envoy-ratelimited`).
_TOLD = {"header": {"key": "x-envoy-ratelimited", "value": "true"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
#: As many callers have a bucket of their own as with the built-in proxy.
_MOST_CALLERS = 4096
_CALLER = "caller"


def http(limits: RateLimits, *, told: bool = True) -> tuple[Resource, ...]:
    """The filters of requests: callers first, so that who is over his own rate takes nothing of what all share. `told`:
    the metadata says who asks."""
    found: list[Resource] = []
    if limits.identity is not None and told:
        found.append({"name": _CALLERS, "typed_config": _of_callers(limits.identity)})
    if limits.instance is not None or limits.routes:
        found.append({"name": _HTTP, "typed_config": _limit(_STATS, limits.instance)})
    return tuple(found)


def of_route(rule: RouteRate) -> Resource:
    """What the route of such paths has in `typed_per_filter_config`."""
    return {_HTTP: _limit(_STATS, rule.rate)}


def route_match(rule: RouteRate) -> Resource:
    """The paths of a rate."""
    if rule.exact:
        return {"path": rule.exact}
    return {"prefix": rule.prefix} if rule.prefix else expression(rule.regex)


def connections(limits: RateLimits) -> Resource | None:
    """The filter of connections, None without a limit."""
    if limits.connections is None:
        return None
    message = typed(
        "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
        {"stat_prefix": "connections", "token_bucket": _bucket(limits.connections)},
    )
    return {"name": "envoy.filters.network.local_ratelimit", "typed_config": message}


def _limit(stats: str, rate: Rate | None) -> Resource:
    fields: Resource = {
        "stat_prefix": stats,
        "filter_enabled": _ALWAYS,
        "filter_enforced": _ALWAYS,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "response_headers_to_add": [_TOLD],
    }
    if rate is not None:
        fields["token_bucket"] = _bucket(rate)
    return typed(_MESSAGE, fields)


def _of_callers(rate: Rate) -> Resource:
    return {
        **_limit("callers", None),
        "descriptors": [{"entries": [{"key": _CALLER}], "token_bucket": _bucket(rate)}],
        "max_dynamic_descriptors": _MOST_CALLERS,
        "rate_limits": [{"actions": [_by_caller()]}],
    }


def _by_caller() -> Resource:
    path = [{"key": "service"}]
    return {"metadata": {"descriptor_key": _CALLER, "metadata_key": {"key": "consul", "path": path}}}


def _bucket(rate: Rate) -> Resource:
    """As many tokens at once as a burst, then one after the other; an interval is a second at least."""
    tokens = math.ceil(rate.per_second)
    return {
        "max_tokens": rate.burst,
        "tokens_per_fill": tokens,
        "fill_interval": durations.of_seconds(tokens / rate.per_second),
    }
