"""The rule language: a text to rules.

    key_prefix "app/" { policy = "write" }
    service "web" { policy = "read"  intentions = "write" }
    operator = "read"

Source: surface rows L1-L13, L20; developer.hashicorp.com/consul/docs/security/acl/acl-rules. HCL 1, or the same as
JSON. Resources that are not known are accepted and mean nothing, as upstream does: a policy written for a newer
release or for Enterprise must load. What may change: rows of `resources.py`; refusals keep upstream's words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from meshagent.catalog.acl.resources import RESOURCES, Resource
from meshagent.errors import ConfigError, InternalError
from meshagent.hcl import parse_hcl

__all__ = ["MAX_RULES_BYTES", "Rule", "parse_rules"]

_PREFIX = "_prefix"
#: A policy travels through the log; upstream's limit is that of a log entry.
MAX_RULES_BYTES = 512 << 10


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `name` is the label, or its beginning when it is not `exact`; "" and exact for a resource without
    names. `intentions` is a level of its own for `service`, "" where nothing is said."""

    resource: str
    name: str
    exact: bool
    level: str
    intentions: str = ""


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a policy, in the order of their resources; of one that is written twice the last counts.

    Raises:
        InternalError: it is not HCL, or a level does not exist; with upstream's words.
    """
    if len(text) > MAX_RULES_BYTES:
        raise InternalError(f"Failed to parse ACL rules: more than {MAX_RULES_BYTES} bytes")
    try:
        root = parse_hcl(text, "rules").root
    except ConfigError as error:
        raise InternalError(f"Failed to parse ACL rules: {error}") from None
    found: dict[tuple[str, bool, str], Rule] = {}
    for key, value in root.items():
        resource = RESOURCES.get(key.removesuffix(_PREFIX))
        if resource is None or (key.endswith(_PREFIX) and not resource.label):
            continue
        exact = not key.endswith(_PREFIX)
        for rule in _scalar(resource, value) if not resource.label else _labelled(resource, exact, value):
            found[rule.resource, rule.exact, rule.name] = rule
    return tuple(found[key] for key in sorted(found))


def _scalar(resource: Resource, value: Any) -> Iterator[Rule]:
    if not isinstance(value, str):
        raise InternalError(f"Failed to parse ACL rules: {resource.name} is one of {', '.join(resource.levels)}")
    if value and value not in resource.levels:
        raise InternalError(f'Invalid {resource.name} policy: "{value}"')
    if value:
        yield Rule(resource.name, "", True, value)


def _labelled(resource: Resource, exact: bool, value: Any) -> Iterator[Rule]:
    for block in value if isinstance(value, list) else [value]:
        if not isinstance(block, dict):
            raise InternalError(
                f'Failed to parse ACL rules: {resource.name} needs a name: {resource.name} "web" {{ policy = "read" }}'
            )
        for name, bodies in block.items():
            for body in bodies if isinstance(bodies, list) else [bodies]:
                yield _rule(resource, exact, name, body)


def _rule(resource: Resource, exact: bool, name: str, body: Any) -> Rule:
    if not isinstance(body, dict):
        raise InternalError(f'Failed to parse ACL rules: {resource.name} "{name}" needs {{ policy = "read" }}')
    level, intentions = body.get("policy", ""), body.get("intentions", "")
    if not isinstance(level, str) or level not in resource.levels:
        raise InternalError(f"Invalid {resource.name} policy: {_shown(resource, name, level, intentions)}")
    if not resource.intentions:
        intentions = ""
    elif not isinstance(intentions, str) or (intentions and intentions not in resource.levels):
        shown = _shown(resource, name, level, intentions)
        raise InternalError(f"Invalid {resource.name} intentions policy: {shown}")
    return Rule(resource.name, name, exact, level, intentions)


def _shown(resource: Resource, name: str, level: Any, intentions: Any) -> str:
    also = f', Intentions:"{intentions}"' if resource.intentions else ""
    fields = f'{resource.field}:"{name}", Policy:"{level}"{also}, EnterpriseRule:acl.EnterpriseRule{{}}'
    return f"&acl.{resource.rule}{{{fields}}}"
