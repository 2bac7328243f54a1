"""How one value of the configuration is shown in `DebugConfig`: as it is, as a duration, as a URL, or hidden.

Source: surface row A1; Consul hides what is named like a secret. What may change here: further kinds of values. Nothing
secret may become visible.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from meshagent.agent.decode import to_builtins
from meshagent.durations import format_duration

__all__ = ["Option", "dialled", "duration", "hidden", "listening", "own", "plain", "render", "secret", "words"]

#: Names of fields, headers and parameters whose values are not shown.
_SECRET_NAME = re.compile(r"token|secret|password|authorization|cookie|private|(^|[_-])key$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Option:
    """An option by its full key in a configuration file, and how its value is shown."""

    key: str
    show: Callable[[Any], Any]


def plain(key: str) -> Option:
    return Option(key, builtin)


def duration(key: str) -> Option:
    return Option(key, lambda seconds: format_duration(round((seconds or 0) * 1e9)))


def secret(key: str) -> Option:
    return Option(key, lambda value: "hidden" if value else "")


def words(key: str) -> Option:
    return Option(key, lambda value: [word.strip() for word in (value or "").split(",") if word.strip()])


def builtin(value: Any) -> Any:
    return _without_secrets(_builtin(value))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    if isinstance(value, dict):
        return {
            name: "hidden" if inner and _SECRET_NAME.search(name) else _without_secrets(inner)
            for name, inner in value.items()
        }
    return value


def _builtin(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, tuple | list):
        return [_builtin(inner) for inner in value]
    if isinstance(value, Mapping):
        return {key: _builtin(inner) for key, inner in value.items()}
    return to_builtins(value)


def own(key: str) -> Option:
    """An address where this agent listens or that it tells, out of `config.network`."""
    return Option(f"network.{key}", lambda value: "" if value is None else str(value))


def dialled(key: str) -> Option:
    """The same with its port, as Go's clients cut it."""
    return Option(f"network.{key}", lambda value: "" if value is None else f"tcp://{value}")


def listening(key: str, *schemes: str) -> Option:
    def show(places: Iterable[Any]) -> list[str]:
        return [
            str(place) if place.path else f"{scheme}://{place}" for place in places for scheme in schemes or ("tcp",)
        ]

    return Option(f"network.{key}", show)


def hidden(key: str) -> Option:
    """A map or list whose values are all secret."""
    return Option(key, lambda given: dict.fromkeys(given, "hidden"))


def render(value: Any, config: Any) -> Any:
    if isinstance(value, dict):
        return {name: render(inner, config) for name, inner in value.items()}
    if isinstance(value, Option):
        return value.show(_look_up(config, value.key))
    return value


def _look_up(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part)
    return config
