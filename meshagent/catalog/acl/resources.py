"""The resources that rules speak of: one row each.

Source: surface rows L1-L12; developer.hashicorp.com/consul/docs/security/acl/acl-rules. Pure data; a new resource is a
row. What must not change: names (they stand in policies).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ACCESS", "RESOURCES", "Resource"]

#: Level of a rule -> what it lets one do.
ACCESS: Mapping[str, frozenset[str]] = {
    "read": frozenset({"read"}),
    "list": frozenset({"read", "list"}),
    "write": frozenset({"read", "list", "write"}),
    "deny": frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """`label`: what the name in a rule is, "" for a resource without names. `like`: where nothing is said of it, it is
    as this one. `rule` and `field` are Go's names, which stand in refusals."""

    name: str
    label: str = ""
    levels: tuple[str, ...] = ("read", "write", "deny")
    intentions: bool = False
    like: str = ""
    rule: str = ""
    field: str = ""


RESOURCES: Mapping[str, Resource] = {
    row.name: row
    for row in (
        Resource(name="acl"),
        Resource(name="agent", label="node", rule="AgentRule", field="Node"),
        Resource(name="event", label="event", rule="EventRule", field="Event"),
        Resource(name="identity", label="identity", rule="IdentityRule", field="Name"),
        Resource(name="key", label="key", levels=("read", "list", "write", "deny"), rule="KeyRule", field="Prefix"),
        Resource(name="keyring"),
        Resource(name="mesh", like="operator"),
        Resource(name="node", label="node", rule="NodeRule", field="Name"),
        Resource(name="operator"),
        Resource(name="peering", like="operator"),
        Resource(name="query", label="query", rule="PreparedQueryRule", field="Prefix"),
        Resource(name="service", label="service", intentions=True, rule="ServiceRule", field="Name"),
        Resource(name="session", label="node", rule="SessionRule", field="Node"),
    )
}
