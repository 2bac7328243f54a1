"""The rows of access control: policies, roles, tokens, auth methods, binding rules.

Source: surface rows AC5-AC14, L23-L31; developer.hashicorp.com/consul/api-docs/acl. A link holds the id of what it
names; the name is looked up when the row is shown, so that a renamed policy keeps its tokens. `secret_id` is a secret:
it is never logged, and looked up by its SHA-256 only.

What may change here: fields may be added at the end with a default (rows live in logs and snapshots).
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec

from meshagent.catalog.model import Row, always

__all__ = [
    "ANONYMOUS_ACCESSOR",
    "ANONYMOUS_SECRET",
    "AuthMethod",
    "BindingRule",
    "NodeIdentity",
    "Policy",
    "Role",
    "ServiceIdentity",
    "TemplatedPolicy",
    "Token",
    "content_hash",
    "secret_digest",
]

ANONYMOUS_ACCESSOR = "00000000-0000-0000-0000-000000000002"
#: What the anonymous token is shown with; nobody can send it as a secret of their own.
ANONYMOUS_SECRET = "anonymous"  # noqa: S105  public


class ServiceIdentity(Row, frozen=True, kw_only=True):
    """Stands for what a service needs (surface row L25); no datacenters: everywhere."""

    service_name: str = always("")
    datacenters: tuple[str, ...] = ()


class NodeIdentity(Row, frozen=True, kw_only=True):
    """Stands for what a node needs, in its datacenter (surface row L26)."""

    node_name: str = always("")
    datacenter: str = always("")


class TemplatedPolicy(Row, frozen=True, kw_only=True):
    """A template with its variable filled in (surface row L27); `name` is "" for a template without one."""

    template_name: str = always("")
    name: str = ""
    datacenters: tuple[str, ...] = ()


class Policy(Row, frozen=True, kw_only=True):
    """Rules under a name. `datacenters` limits where they count, () is everywhere."""

    id: str = always("")
    name: str = always("")
    description: str = always("")
    rules: str = always("")
    datacenters: tuple[str, ...] = ()
    create_index: int = always(0)
    modify_index: int = always(0)


class Role(Row, frozen=True, kw_only=True):
    """Policies (by id) and identities under a name."""

    id: str = always("")
    name: str = always("")
    description: str = always("")
    policies: tuple[str, ...] = ()
    service_identities: tuple[ServiceIdentity, ...] = ()
    node_identities: tuple[NodeIdentity, ...] = ()
    templated_policies: tuple[TemplatedPolicy, ...] = ()
    create_index: int = always(0)
    modify_index: int = always(0)


class Token(Row, frozen=True, kw_only=True):
    """A token. `policies` and `roles` are ids; times are RFC 3339, `expiration_time` "" is never."""

    accessor_id: str = always("")
    secret_id: str = always("")
    description: str = always("")
    policies: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    service_identities: tuple[ServiceIdentity, ...] = ()
    node_identities: tuple[NodeIdentity, ...] = ()
    templated_policies: tuple[TemplatedPolicy, ...] = ()
    local: bool = always(False)
    auth_method: str = ""
    expiration_time: str = ""
    create_time: str = always("")
    create_index: int = always(0)
    modify_index: int = always(0)


class AuthMethod(Row, frozen=True, kw_only=True):
    """How strangers log in. `max_token_ttl` in nanoseconds, 0 is no limit; `token_locality` "" is local."""

    name: str = always("")
    type: str = always("")
    display_name: str = ""
    description: str = always("")
    max_token_ttl: int = 0
    token_locality: str = ""
    config: dict[str, Any] = always({})
    create_index: int = always(0)
    modify_index: int = always(0)


class BindingRule(Row, frozen=True, kw_only=True):
    """What a login by `auth_method` is given, if `selector` matches who logs in ("": everybody)."""

    id: str = always("")
    description: str = always("")
    auth_method: str = always("")
    selector: str = always("")
    bind_type: str = always("")
    bind_name: str = always("")
    bind_vars: dict[str, str] | None = None
    create_index: int = always(0)
    modify_index: int = always(0)


#: What does not belong to the content of a row (surface row L31).
_OUTSIDE = {"id", "accessor_id", "secret_id", "local", "expiration_time", "create_time", "create_index", "modify_index"}


def content_hash(row: Policy | Role | Token) -> str:
    """Base64 of a SHA-256 over the content of a row: two rows that grant the same under the same words have the
    same.
    """
    fields = [(name, getattr(row, name)) for name in row.__struct_fields__ if name not in _OUTSIDE]
    return base64.b64encode(hashlib.sha256(msgspec.msgpack.encode(fields)).digest()).decode()


def secret_digest(secret: str) -> bytes:
    """Under what a secret is looked up: comparing digests tells nothing of the secret, however long it takes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
