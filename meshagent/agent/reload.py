"""What changed between two configurations, what of it holds now, and what waits for a restart.

Source: surface row G4: an option says itself whether a reload takes it, and whether somebody must have asked for that
reload: what decides whom we trust does not change because a file did (`auto_reload_config`). Pure: the daemon takes
`effective(...)` as its configuration and logs `Report.lines()`. A change that waits is told on every reload until it is
made.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from meshagent.agent.config.convert import show
from meshagent.agent.config.option import Group, Option
from meshagent.agent.config.root import Config

__all__ = ["Change", "Report", "Rows", "diff", "effective"]


class Change(NamedTuple):
    """An option that differs; `old` and `new` are as a person would write them, secrets hidden."""

    key: str
    old: str
    new: str
    applied: bool
    by_hand: bool = False
    """It waits for a reload that is asked for."""


class Rows(NamedTuple):
    """Ids of registrations that came, changed and went."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Report(NamedTuple):
    """All differences; `services` and `checks` by id."""

    changes: tuple[Change, ...]
    services: Rows
    checks: Rows

    @property
    def applied(self) -> tuple[str, ...]:
        """Keys whose new value holds now."""
        return tuple(change.key for change in self.changes if change.applied)

    @property
    def needs_restart(self) -> tuple[str, ...]:
        """Keys whose new value waits for one."""
        return tuple(change.key for change in self.changes if not change.applied and not change.by_hand)

    def lines(self) -> list[str]:
        """What to log."""
        if not self.changes:
            return ["configuration is unchanged"]
        found = []
        for what, rows in (("service", self.services), ("check", self.checks)):
            for word, ids in zip(("added", "changed", "removed"), rows, strict=True):
                found += [f"{what} {id_!r} {word}" for id_ in ids]
        for change in self.changes:
            if change.key in {"services", "checks"}:
                continue
            needed = "a reload by SIGHUP, `reload` or the API" if change.by_hand else "a restart"
            end = "" if change.applied else f"; this needs {needed}"
            found.append(f"{change.key}: {change.old} -> {change.new}{end}")
        return found


def diff(old: Config, new: Config, *, asked: bool = True) -> Report:
    """What is different in `new`; `asked`: somebody wants this reload, it is not because a file has changed."""
    changes = []
    for key, option in Config.every_option():
        before, after = _get(old, key), _get(new, key)
        if before != after:
            waits = option.by_hand and not asked
            changes.append(
                Change(key, _show(option, before), _show(option, after), option.reload and not waits, by_hand=waits)
            )
    return Report(
        tuple(changes),
        _rows({s.service_id: s for s in old.services}, {s.service_id: s for s in new.services}),
        _rows({c.id: c for c in old.checks}, {c.id: c for c in new.checks}),
    )


def _get(config: Group, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _show(option: Option, value: Any) -> str:
    if option.secret:
        return "(hidden)" if value else "(empty)"
    return show(option, value)


def _rows(old: dict[str, Any], new: dict[str, Any]) -> Rows:
    return Rows(
        tuple(id_ for id_ in new if id_ not in old),
        tuple(id_ for id_ in new if id_ in old and new[id_] != old[id_]),
        tuple(id_ for id_ in old if id_ not in new),
    )


def effective(old: Config, new: Config, *, asked: bool = True) -> Config:
    """`old` with what a reload may take from `new`; addresses and ports stay."""
    config: Config = _effective(old, new, asked)
    return config


def _effective(old: Any, new: Any, asked: bool) -> Any:
    changes = {}
    for name, option in type(old).options.items():
        if option.kind == "group":
            changes[name] = _effective(getattr(old, name), getattr(new, name), asked)
        elif option.reload and (asked or not option.by_hand):
            changes[name] = getattr(new, name)
    return old.replace(**changes)
