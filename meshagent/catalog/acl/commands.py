"""The replicated writes of access control: part of `catalog/commands.py`, where all are joined and encoded.

What may change here: tags are append-only and never reused; fields are appended with a default. `since` in the comment
is the release that added the tag.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.acl.model import AuthMethod, BindingRule, Policy, Role, Token

__all__ = [
    "AclBindingRuleDelete",
    "AclBindingRuleSet",
    "AclBootstrap",
    "AclMethodDelete",
    "AclMethodSet",
    "AclPolicyDelete",
    "AclPolicySet",
    "AclRoleDelete",
    "AclRoleSet",
    "AclTokenSet",
    "AclTokensDelete",
    "AclTokensUsed",
]


class AclBootstrap(msgspec.Struct, frozen=True, array_like=True, tag=130):  # since 0.2
    """Make the first token. `reset_index` is the index of the last time, to do it again. Result: (created,
    modified).
    """

    token: Token
    reset_index: int = 0


class AclTokenSet(msgspec.Struct, frozen=True, array_like=True, tag=131):  # since 0.2
    """Write a token; with `create` its accessor must be new. `replicated`: it was made in the primary datacenter, whose
    auth methods need not be here. Result: (created, modified).
    """

    token: Token
    create: bool = False
    replicated: bool = False


class AclTokensDelete(msgspec.Struct, frozen=True, array_like=True, tag=132):  # since 0.2
    """Delete tokens: by request, or because their time is over. Result: how many there were."""

    accessors: tuple[str, ...]


class AclPolicySet(msgspec.Struct, frozen=True, array_like=True, tag=133):  # since 0.2
    """Write a policy. Result: (created, modified)."""

    policy: Policy


class AclPolicyDelete(msgspec.Struct, frozen=True, array_like=True, tag=134):  # since 0.2
    """Delete a policy. Result: whether it was there."""

    id: str


class AclRoleSet(msgspec.Struct, frozen=True, array_like=True, tag=135):  # since 0.2
    """Write a role. Result: (created, modified)."""

    role: Role


class AclRoleDelete(msgspec.Struct, frozen=True, array_like=True, tag=136):  # since 0.2
    """Delete a role. Result: whether it was there."""

    id: str


class AclMethodSet(msgspec.Struct, frozen=True, array_like=True, tag=137):  # since 0.2
    """Write an auth method. Result: (created, modified)."""

    method: AuthMethod


class AclMethodDelete(msgspec.Struct, frozen=True, array_like=True, tag=138):  # since 0.2
    """Delete an auth method with its binding rules and the tokens of its logins. Result: whether it was there."""

    name: str


class AclBindingRuleSet(msgspec.Struct, frozen=True, array_like=True, tag=139):  # since 0.2
    """Write a binding rule. Result: (created, modified)."""

    rule: BindingRule


class AclBindingRuleDelete(msgspec.Struct, frozen=True, array_like=True, tag=140):  # since 0.2
    """Delete a binding rule. Result: whether it was there."""

    id: str


class AclTokensUsed(msgspec.Struct, frozen=True, array_like=True, tag=141):  # since 0.2
    """When tokens were last used: (accessor, RFC 3339). Result: None."""

    used: tuple[tuple[str, str], ...]
