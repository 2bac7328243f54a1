"""The built-in policies and tokens that every datacenter with access control has.

Source: surface row L24; the texts of a running Consul. Pure data; ids and names stand in other rows and must not
change.
"""

from __future__ import annotations

from meshagent.catalog.acl.model import ANONYMOUS_ACCESSOR, ANONYMOUS_SECRET, Policy, Token

__all__ = ["BUILTIN_PREFIX", "GLOBAL_MANAGEMENT", "GLOBAL_READ_ONLY", "POLICIES", "anonymous_token", "management_token"]

GLOBAL_MANAGEMENT = "00000000-0000-0000-0000-000000000001"
GLOBAL_READ_ONLY = "00000000-0000-0000-0000-000000000002"
BUILTIN_PREFIX = "builtin/"


def _named(resource: str, level: str) -> str:
    also = f'\n\tintentions = "{level}"' if resource == "service" else ""
    return f'{resource}_prefix "" {{\n\tpolicy = "{level}"{also}\n}}'


def _everything(level: str) -> str:
    scalars = frozenset({"acl", "keyring", "operator", "mesh", "peering"})
    order = (
        "acl", "agent", "event", "key", "keyring", "node", "operator", "mesh", "peering", "query", "service", "session",
    )  # fmt: skip
    lines = (f'{name} = "{level}"' if name in scalars else _named(name, level) for name in order)
    return "\n" + "\n".join(lines)


POLICIES = (
    Policy(
        id=GLOBAL_MANAGEMENT,
        name="global-management",
        description="A built-in policy that grants read and write access to all Consul features",
        rules=_everything("write"),
    ),
    Policy(
        id=GLOBAL_READ_ONLY,
        name="builtin/global-read-only",
        description="A built-in policy that grants read-only access to all Consul features",
        rules=_everything("read"),
    ),
)


def management_token(accessor: str, secret: str, description: str, created: str) -> Token:
    """A token that may do everything."""
    return Token(
        accessor_id=accessor,
        secret_id=secret,
        description=description,
        policies=(GLOBAL_MANAGEMENT,),
        create_time=created,
    )


def anonymous_token(created: str) -> Token:
    """The token of who brings none; at first it grants nothing."""
    return Token(
        accessor_id=ANONYMOUS_ACCESSOR,
        secret_id=ANONYMOUS_SECRET,
        description="Anonymous Token",
        create_time=created,
    )
