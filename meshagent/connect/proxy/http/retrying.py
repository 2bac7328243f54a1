"""Whether a try is followed by another one, and after how long. Pure.

Source: surface row M23 (retries); Envoy's `x-envoy-retry-on` and `x-envoy-retry-grpc-on`; back-off is fully jittered
exponential as in Envoy's router. What may change here: conditions.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from meshagent.connect.proxy.http.messages import Headers, get
from meshagent.connect.proxy.http.policy import RetryPolicy
from meshagent.connect.proxy.http.streams import Reset

__all__ = ["back_off", "retry_reset", "retry_status"]

_GATEWAY = frozenset({502, 503, 504})
_ON_STATUS: dict[str, Callable[[int], bool]] = {
    "5xx": lambda status: 500 <= status <= 599,
    "gateway-error": _GATEWAY.__contains__,
    "retriable-4xx": lambda status: status == 409,
}
#: gRPC statuses by condition (grpc/status codes).
_ON_GRPC = {
    "cancelled": b"1",
    "deadline-exceeded": b"4",
    "resource-exhausted": b"8",
    "internal": b"13",
    "unavailable": b"14",
}
_CONNECT = frozenset({Reset.CONNECT_FAILURE, Reset.CONNECT_TIMEOUT})


def retry_status(policy: RetryPolicy, status: int, headers: Headers) -> bool:
    """Whether an answer that began with this head is to be replaced by another try's."""
    if status in policy.statuses:
        return True
    for condition in policy.conditions:
        check = _ON_STATUS.get(condition)
        if check is not None and check(status):
            return True
        code = _ON_GRPC.get(condition)
        if code is not None and status == 200 and get(headers, b"grpc-status") == code:
            return True
        if condition == "envoy-ratelimited" and get(headers, b"x-envoy-ratelimited") is not None:
            return True
    return False


def retry_reset(policy: RetryPolicy, why: Reset) -> bool:
    """Whether a try that ended without an answer is followed by another one."""
    conditions = policy.conditions
    if why in _CONNECT:
        return not conditions.isdisjoint({"connect-failure", "5xx", "gateway-error", "reset"})
    if why is Reset.REFUSED:
        return not conditions.isdisjoint({"refused-stream", "5xx", "gateway-error", "reset"})
    if why is Reset.OVERFLOW:
        return False
    return not conditions.isdisjoint({"5xx", "gateway-error", "reset"})


def back_off(policy: RetryPolicy, retry: int, rng: random.Random) -> float:
    """Seconds to wait before retry number `retry` (from 1)."""
    return rng.random() * min(policy.max_s, policy.base_s * (2.0**retry - 1.0))
