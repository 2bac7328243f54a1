"""What the rules of a token together allow, with the reason.

Source: surface rows L21, L22, L10, L8; developer.hashicorp.com/consul/docs/security/acl/acl-rules. For a name the exact
rule counts, else the longest prefix; several policies merge rule by rule, and deny is stronger than write, write than
list, list than read. Where no rule speaks, the default policy does. Pure; a decision costs a few dictionary look-ups,
for it is made for each row of an answer.

What may change here: nothing that lets more through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from meshagent.catalog.acl.resources import ACCESS, RESOURCES
from meshagent.catalog.acl.rules import Rule

__all__ = ["Authorizer", "Decision"]

#: In which order levels win when several policies speak of the same.
_STRENGTH = {"": -1, "read": 0, "list": 1, "write": 2, "deny": 3}
_INTENTIONS = "intentions"
#: What `default_policy = "allow"` does not give: who may change tokens may do everything.
_NEVER_BY_DEFAULT = frozenset({"acl"})


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether, and why."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


class _Named:
    """The rules of one resource: exact names, and prefixes from the longest to the shortest."""

    def __init__(self) -> None:
        self.exact: dict[str, str] = {}
        self.prefixes: dict[str, str] = {}
        self.lengths: list[int] = []

    def add(self, name: str, exact: bool, level: str) -> None:
        rules = self.exact if exact else self.prefixes
        if _STRENGTH[level] > _STRENGTH[rules.get(name, "")]:
            rules[name] = level
        if not exact:
            self.lengths = sorted({len(prefix) for prefix in self.prefixes}, reverse=True)

    def find(self, name: str) -> tuple[str, str]:
        """(level, the rule's name as it is written) for a name; ("", "") where nothing is said."""
        level = self.exact.get(name)
        if level is not None:
            return level, f' "{name}"'
        return self.covering(name)

    def covering(self, name: str) -> tuple[str, str]:
        """The same by prefixes alone."""
        for length in self.lengths:
            if length <= len(name) and (level := self.prefixes.get(name[:length])) is not None:
                return level, f'_prefix "{name[:length]}"'
        return "", ""


class Authorizer:
    """Decides by `rules`; `default_allow` where they are silent. `manages`: everything is allowed."""

    def __init__(self, rules: Iterable[Rule] = (), *, default_allow: bool = False, manages: bool = False) -> None:
        self.manages = manages
        self._default = default_allow
        self._named: dict[str, _Named] = {}
        self._scalars: dict[str, str] = {}
        for rule in rules:
            if not RESOURCES[rule.resource].label:
                if _STRENGTH[rule.level] > _STRENGTH[self._scalars.get(rule.resource, "")]:
                    self._scalars[rule.resource] = rule.level
                continue
            self._of(rule.resource).add(rule.name, rule.exact, rule.level)
            if RESOURCES[rule.resource].intentions:
                level = rule.intentions or ("deny" if rule.level == "deny" else "read")
                self._of(_INTENTIONS).add(rule.name, rule.exact, level)

    def _of(self, resource: str) -> _Named:
        return self._named.setdefault(resource, _Named())

    def decide(self, resource: str, name: str, access: str) -> Decision:
        """Whether `access` (read, list, write) to `name` of `resource` is allowed; `name` is "" for a resource without
        names. "intentions" is a resource here: its names are destinations."""
        if self.manages:
            return Decision(True, "the token may do everything")
        level, rule = self._level(resource, name)
        if not level:
            if self._default and resource in _NEVER_BY_DEFAULT:
                return Decision(False, "no rule speaks of it, and the default never allows it")
            return Decision(self._default, f"no rule speaks of it; the default is {self._default_word}")
        return Decision(access in ACCESS[level], f"{resource}{rule} is {level}")

    def allows(self, resource: str, name: str, access: str) -> bool:
        """`decide` without the reason."""
        if self.manages:
            return True
        level, _ = self._level(resource, name)
        return access in ACCESS[level] if level else self._default and resource not in _NEVER_BY_DEFAULT

    def allows_tree(self, resource: str, prefix: str, access: str = "write") -> bool:
        """Whether `access` to everything that begins with `prefix` is allowed: by the rule that covers it, and by each
        rule below."""
        if self.manages:
            return True
        named = self._of(resource)
        level, _ = named.covering(prefix)
        if not (access in ACCESS[level] if level else self._default):
            return False
        below = [*named.exact.items(), *named.prefixes.items()]
        return all(access in ACCESS[level] for name, level in below if name.startswith(prefix))

    def allows_all(self, resource: str, access: str = "read") -> bool:
        """Whether `access` to every name is allowed, also to those no rule speaks of."""
        return self.allows_tree(resource, "", access)

    def allows_any(self, resource: str, access: str = "write") -> bool:
        """Whether there can be a name to which `access` is allowed."""
        if self.manages:
            return True
        named = self._of(resource)
        levels = [*named.exact.values(), *named.prefixes.values()]
        unruled = "" not in named.prefixes and self._default
        return unruled or any(access in ACCESS[level] for level in levels)

    @property
    def _default_word(self) -> str:
        return "allow" if self._default else "deny"

    def _level(self, resource: str, name: str) -> tuple[str, str]:
        row = RESOURCES.get(resource)
        if row is not None and not row.label:
            level = self._scalars.get(resource, "")
            if not level and row.like:
                return self._level(row.like, "")
            return level, ""
        named = self._named.get(resource)
        return ("", "") if named is None else named.find(name)
