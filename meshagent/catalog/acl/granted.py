"""What a token or role grants, spelled out: its policies, those of its roles, and what its identities stand for.

Source: surface rows AC8 (expanded), L21-L27. An identity becomes a synthetic policy, as the API shows it. Pure: rows
in, policies out. What may change here: another kind of identity is another line in `_identities`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from meshagent.catalog.acl.identities import TEMPLATES, Template
from meshagent.catalog.acl.model import Policy, Role, Token
from meshagent.catalog.acl.rules import Rule, parse_rules
from meshagent.catalog.acl.tables import AclTables
from meshagent.catalog.watch import Topic
from meshagent.errors import MeshError

__all__ = ["Granted", "granted", "rules_of", "synthetic"]

#: The end of the ids of synthetic policies: the offset basis of FNV-1 with 128 bits, as upstream appends it.
_FNV_BASIS = "6c62272e07bb014262b821756295c58d"


@dataclass(frozen=True, slots=True)
class Granted:
    """All policies, each once, by id; all roles that exist; the topics that tell when this changes."""

    policies: tuple[Policy, ...]
    roles: tuple[Role, ...]
    topics: tuple[Topic, ...]


def synthetic(template: Template, name: str, datacenters: tuple[str, ...] = ()) -> Policy:
    """A template with its name filled in, as a policy. Raises BadRequest: the name cannot be one."""
    rules = template.rules_text(name)
    policy_id = rules.encode().hex() + _FNV_BASIS
    return Policy(
        id=policy_id,
        name=f"synthetic-policy-{policy_id}",
        description=f"synthetic policy generated from templated policy: {template.name}",
        rules=rules,
        datacenters=datacenters,
    )


def granted(tables: AclTables, token: Token) -> Granted:
    """What `token` grants, in every datacenter."""
    roles = tuple(tables.roles[key] for key in token.roles if key in tables.roles)
    found: dict[str, Policy] = {}
    topics: list[Topic] = [("acl-token", token.accessor_id)]
    topics += [("acl-role", key) for key in token.roles]
    holders: tuple[Token | Role, ...] = (token, *roles)
    for row in holders:
        for key in row.policies:
            topics.append(("acl-policy", key))
            if key in tables.policies:
                found.setdefault(key, tables.policies[key])
        for policy in _identities(row):
            found.setdefault(policy.id + ",".join(policy.datacenters), policy)
    return Granted(tuple(sorted(found.values(), key=lambda policy: policy.id)), roles, tuple(dict.fromkeys(topics)))


def rules_of(policies: tuple[Policy, ...], datacenter: str) -> tuple[Rule, ...]:
    """The rules that count in a datacenter. A policy that does not parse any more grants nothing."""
    rules: list[Rule] = []
    for policy in policies:
        if policy.datacenters and datacenter not in policy.datacenters:
            continue
        try:
            rules += _parsed(policy.rules)
        except MeshError:
            continue
    return tuple(rules)


def _identities(row: Token | Role) -> list[Policy]:
    found = [
        synthetic(TEMPLATES["builtin/service"], one.service_name, one.datacenters) for one in row.service_identities
    ]
    found += [
        synthetic(TEMPLATES["builtin/node"], one.node_name, (one.datacenter,) if one.datacenter else ())
        for one in row.node_identities
    ]
    for one in row.templated_policies:
        template = TEMPLATES.get(one.template_name)
        if template is not None:
            found.append(synthetic(template, one.name, one.datacenters))
    return found


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Rule, ...]:
    return parse_rules(text)
