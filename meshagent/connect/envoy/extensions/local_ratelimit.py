"""`builtin/http/localratelimit` at work.

Source: surface row M86; envoyproxy.io "Local rate limit" filter. What may change here: nothing.
"""

from __future__ import annotations

from meshagent.catalog.entries.extensions.local_ratelimit import LocalRateLimit
from meshagent.connect.envoy.extensions.context import INBOUND, Context
from meshagent.connect.envoy.extensions.insertion import insert
from meshagent.connect.envoy.resources import Resource, typed

__all__ = ["patch"]

_FILTER = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"


def patch(arguments: LocalRateLimit, context: Context) -> None:
    """Requests are counted before anything else looks at them."""
    for manager in context.managers(INBOUND):
        bucket: Resource = {"max_tokens": arguments.max_tokens, "fill_interval": f"{arguments.fill_interval}s"}
        if arguments.tokens_per_fill is not None:
            bucket["tokens_per_fill"] = arguments.tokens_per_fill
        limits: Resource = {"stat_prefix": "http_local_rate_limiter", "token_bucket": bucket}
        for name, percent in (
            ("filter_enabled", arguments.filter_enabled),
            ("filter_enforced", arguments.filter_enforced),
        ):
            share = {"numerator": 100 if percent is None else percent, "denominator": "HUNDRED"}
            limits[name] = {"default_value": share}
        made = {"name": "envoy.filters.http.local_ratelimit", "typed_config": typed(_FILTER, limits)}
        insert(manager["http_filters"], made, "First", "")
