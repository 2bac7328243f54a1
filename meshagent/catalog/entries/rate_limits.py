"""How much a service takes in: requests a second for the instance, by route and by caller; connections a second.

`service-defaults` say it in Consul's words (`RateLimits`, of its Enterprise edition), a proxy's configuration in ours
(`rate_limits`), which adds callers and connections. Reading is strict: what is wrong is named, for at write time that
is the answer to the user.

Source: developer.hashicorp.com/consul/docs/connect/config-entries/service-defaults ("RateLimits"). What may change
here: fields are added with a default.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["NO_LIMITS", "Rate", "RateLimits", "RouteRate", "limits_of", "read_limits"]

#: Beyond these numbers nothing is limited any more.
_MOST = 1_000_000_000
_MOST_ROUTES = 1000


class Rate(msgspec.Struct, frozen=True):
    """So many a second, and `burst` at once."""

    per_second: float
    burst: int


class RouteRate(msgspec.Struct, frozen=True):
    """The rate of paths: one of `exact`, `prefix`, `regex` is set."""

    rate: Rate
    exact: str = ""
    prefix: str = ""
    regex: str = ""


class RateLimits(msgspec.Struct, frozen=True):
    """None is no limit. A request on one of `routes` counts there instead of for the `instance`."""

    instance: Rate | None = None
    routes: tuple[RouteRate, ...] = ()
    identity: Rate | None = None
    connections: Rate | None = None


NO_LIMITS = RateLimits()

_LEVEL = "InstanceLevel"


def read_limits(given: dict[str, Any]) -> RateLimits:
    """Limits in Consul's words or ours.

    Raises:
        ValueError: what is wrong, with the name of its field.
    """
    nested = _block(_pick(given, _LEVEL, _snake(_LEVEL)), _LEVEL)
    level = given if nested is None else nested
    at = f"{_LEVEL}." if nested is not None else ""
    routes = _pick(level, "Routes", "routes") or ()
    if not isinstance(routes, list | tuple) or len(routes) > _MOST_ROUTES:
        raise ValueError(f"{at}Routes must be a list of at most {_MOST_ROUTES}")
    return RateLimits(
        instance=_rate(level, "Requests", at, required=False),
        routes=tuple(_route(route, f"{at}Routes[{number}]") for number, route in enumerate(routes)),
        identity=_nested(given, "PerIdentity", "per_identity"),
        connections=_rate(given, "Connections", "", required=False),
    )


def limits_of(config: dict[str, Any]) -> RateLimits:
    """What a proxy's merged configuration says; what cannot be read is no limit."""
    given = config.get("rate_limits")
    if not isinstance(given, dict):
        return NO_LIMITS
    try:
        return read_limits(given)
    except ValueError:
        return NO_LIMITS


def _pick(given: dict[str, Any], *names: str) -> Any:
    return next((given[name] for name in names if given.get(name) is not None), None)


def _block(given: Any, name: str) -> dict[str, Any] | None:
    """An object; HCL gives a block as a list of one."""
    if isinstance(given, list) and len(given) == 1:
        (given,) = given
    if given is not None and not isinstance(given, dict):
        raise ValueError(f"{name} must be an object")
    return given


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def _nested(given: dict[str, Any], *names: str) -> Rate | None:
    block = _block(_pick(given, *names), names[0])
    if block is None:
        return None
    return _rate(block, "Requests", f"{names[0]}.", required=True)


def _rate(given: dict[str, Any], what: str, at: str, *, required: bool) -> Rate | None:
    per, burst = f"{what}PerSecond", f"{what}MaxBurst"
    rate = _pick(given, per, _snake(per))
    most = _pick(given, burst, _snake(burst))
    if rate is None:
        if required or most is not None:
            raise ValueError(f"{at}{per} is required")
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= _MOST:
        raise ValueError(f"{at}{per} must be above 0")
    if most is None:
        most = max(1, int(rate))
    if isinstance(most, bool) or not isinstance(most, int | float) or not 1 <= most <= _MOST:
        raise ValueError(f"{at}{burst} must be 1 or more")
    return Rate(float(rate), int(most))


def _route(given: Any, at: str) -> RouteRate:
    if not isinstance(given, dict):
        raise ValueError(f"{at} must be an object")
    rate = _rate(given, "Requests", f"{at}.", required=True)
    paths = {name: _pick(given, name, _snake(name)) for name in ("PathExact", "PathPrefix", "PathRegex")}
    chosen = {name: value for name, value in paths.items() if value not in {None, ""}}
    if len(chosen) != 1:
        raise ValueError(f"{at} must have one of PathExact, PathPrefix, PathRegex")
    ((name, value),) = chosen.items()
    if not isinstance(value, str):
        raise ValueError(f"{at}.{name} must be a string")
    if name != "PathRegex" and not value.startswith("/"):
        raise ValueError(f"{at}.{name} must begin with /")
    if name == "PathRegex":
        try:
            import re2  # linear time for the user's expressions; only where one is used

            re2.compile(value)
        except re2.error as error:
            raise ValueError(f"{at}.PathRegex: {error}") from None
    if rate is None:
        raise ValueError(f"{at}.RequestsPerSecond is required")
    return RouteRate(rate, **{name.removeprefix("Path").lower(): value})
