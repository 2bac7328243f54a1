"""Binding rules: which of them match who logs in, and what they give.

    Selector "value.role == app", BindType service, BindName "svc-${value.user}"

Source: surface rows AC14, section 6.2; the golden scenario acl-login. Names are filled in by `${...}`, made lower case
for services and nodes, and must then be names. Pure. What may change here: a kind of binding is a row in `_BINDS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from meshagent.agent.acl.methods import METHODS, Claims
from meshagent.catalog.acl.identities import TEMPLATES, named_identity
from meshagent.catalog.acl.model import AuthMethod, BindingRule, NodeIdentity, ServiceIdentity, TemplatedPolicy
from meshagent.catalog.acl.tables import AclTables
from meshagent.errors import InternalError

__all__ = ["Bound", "bind", "check_rule"]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9\-_]{1,256}\Z")


@dataclass(slots=True)
class Bound:
    """What a login is given; nothing at all means that it is refused."""

    policies: dict[str, None]
    roles: dict[str, None]
    services: dict[ServiceIdentity, None]
    nodes: dict[NodeIdentity, None]
    templated: dict[TemplatedPolicy, None]

    def __bool__(self) -> bool:
        return bool(self.policies or self.roles or self.services or self.nodes or self.templated)


def _filled(template: str, variables: Mapping[str, str]) -> str:
    """Raises InternalError: a variable is not known."""

    def put(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name not in variables:
            at = match.start() + 3
            raise InternalError(f"error interpreting template: 1:{at}: unknown variable accessed: {name}")
        return variables[name]

    return _VARIABLE.sub(put, template)


def _identity_name(template: str, variables: Mapping[str, str]) -> str:
    name = _filled(template, variables).lower()
    if not named_identity(name):
        raise InternalError(f'invalid bind name: "{name}"')
    return name


def _link_name(template: str, variables: Mapping[str, str]) -> str:
    name = _filled(template, variables)
    if not _NAME.match(name):
        raise InternalError(f'invalid bind name: "{name}"')
    return name


def _service(rule: BindingRule, variables: Mapping[str, str], bound: Bound, tables: AclTables, dc: str) -> None:
    bound.services[ServiceIdentity(service_name=_identity_name(rule.bind_name, variables))] = None


def _node(rule: BindingRule, variables: Mapping[str, str], bound: Bound, tables: AclTables, dc: str) -> None:
    bound.nodes[NodeIdentity(node_name=_identity_name(rule.bind_name, variables), datacenter=dc)] = None


def _role(rule: BindingRule, variables: Mapping[str, str], bound: Bound, tables: AclTables, dc: str) -> None:
    found = tables.role_named(_link_name(rule.bind_name, variables))
    if found is not None:
        bound.roles[found.id] = None


def _policy(rule: BindingRule, variables: Mapping[str, str], bound: Bound, tables: AclTables, dc: str) -> None:
    found = tables.policy_named(_link_name(rule.bind_name, variables))
    if found is not None:
        bound.policies[found.id] = None


def _templated(rule: BindingRule, variables: Mapping[str, str], bound: Bound, tables: AclTables, dc: str) -> None:
    given = (rule.bind_vars or {}).get("name", "")
    name = _identity_name(given, variables) if given else ""
    bound.templated[TemplatedPolicy(template_name=rule.bind_name, name=name)] = None


_BINDS: Mapping[str, Callable[[BindingRule, Mapping[str, str], Bound, AclTables, str], None]] = {
    "service": _service,
    "node": _node,
    "role": _role,
    "policy": _policy,
    "templated-policy": _templated,
}


def bind(tables: AclTables, method: AuthMethod, claims: Claims, datacenter: str) -> Bound:
    """What the rules of `method` give to who has `claims`. Raises InternalError: a name cannot be one."""
    bound = Bound({}, {}, {}, {}, {})
    variables = claims.variables()
    for rule in tables.rules_of(method.name):
        if _matches(rule, method, claims):
            _BINDS[rule.bind_type](rule, variables, bound, tables, datacenter)
    return bound


def _matches(rule: BindingRule, method: AuthMethod, claims: Claims) -> bool:
    if not rule.selector:
        return True
    from meshagent.catalog.filters import compile_filter

    return bool(compile_filter(rule.selector, METHODS[method.type].selects)(claims))


def check_rule(rule: BindingRule, method: AuthMethod) -> None:
    """Raises InternalError in upstream's words."""
    from meshagent.catalog.filters import compile_filter

    if rule.selector:
        try:
            compile_filter(rule.selector, METHODS[method.type].selects)
        except InternalError as error:
            why = str(error).removeprefix("Failed to create boolean expression evaluator: ")
            raise InternalError(f"invalid Binding Rule: Selector is invalid: {why}") from None
    if not rule.bind_type:
        raise InternalError("Invalid Binding Rule: no BindType is set")
    if rule.bind_vars and rule.bind_type != "templated-policy":
        raise InternalError("invalid Binding Rule: BindVars cannot be set when bind type is not templated-policy.")
    if not rule.bind_name:
        raise InternalError("Invalid Binding Rule: no BindName is set")
    before = "Invalid Binding Rule: invalid BindName or BindVars: "
    if rule.bind_type not in _BINDS:
        raise InternalError(f'{before}invalid Binding Rule: unknown BindType "{rule.bind_type}"')
    where = f'{before}failed to validate bindType "{rule.bind_type}": '
    if rule.bind_type == "templated-policy" and rule.bind_name not in TEMPLATES:
        raise InternalError(
            f"{where}Bind name for templated-policy bind type does not match existing template name: {rule.bind_name}"
        )
    variables = METHODS[method.type].example(method.config).variables()
    try:
        _check_names(rule, variables)
    except InternalError as error:
        raise InternalError(f"{where}{error}") from None


def _check_names(rule: BindingRule, variables: Mapping[str, Any]) -> None:
    if rule.bind_type in {"service", "node"}:
        _identity_name(rule.bind_name, variables)
    elif rule.bind_type in {"role", "policy"}:
        _link_name(rule.bind_name, variables)
    else:
        given = (rule.bind_vars or {}).get("name", "")
        if given:
            _identity_name(given, variables)
