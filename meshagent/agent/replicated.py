"""The rows that a secondary datacenter copies: out of the primary's answers, and out of the store here.

Both sides give rows without indexes, so that equal content compares equal. A listed policy comes without its rules: it
is compared by the hash of its content. Pure.

Source: surface rows AC5-AC12, CF2, L30, L31. What may change here: what is left out, with a reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from meshagent.agent.acl import shapes
from meshagent.agent.decode import decode_body
from meshagent.agent.http.acl_policies import PolicyBody
from meshagent.agent.http.acl_roles import RoleBody
from meshagent.agent.http.acl_rows import LinkBody, identities_of
from meshagent.agent.http.acl_tokens import TokenBody
from meshagent.catalog.acl.model import Policy, Role, Token, content_hash
from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.table import CONFIG_ENTRIES, content, parse
from meshagent.errors import InternalError, MeshError, RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.catalog.store import Store

__all__ = [
    "OWN_KINDS",
    "config_entries",
    "listed_policies",
    "listed_roles",
    "listed_tokens",
    "one_policy",
    "one_token",
    "own_entries",
    "own_policies",
    "own_roles",
    "own_tokens",
]

#: Kinds that every datacenter has for itself: its peers are its own.
OWN_KINDS = frozenset({"exported-services"})


def _decoded(kind: Any, body: bytes) -> Any:
    try:
        return decode_body(kind, body)
    except MeshError as error:
        raise RemoteProtocolError(f"the primary's answer cannot be read: {error}") from error


# --- policies --------------------------------------------------------------------------------------------------------


def listed_policies(body: bytes) -> dict[str, str]:
    """Hash by id."""
    return {row.id: row.hash for row in _decoded(tuple[PolicyBody, ...], body)}


def one_policy(body: bytes) -> Policy:
    """A policy with its rules."""
    row = _decoded(PolicyBody, body)
    return Policy(
        id=row.id,
        name=row.name,
        description=row.description,
        rules=row.rules,
        datacenters=tuple(row.datacenters or ()),
    )


def own_policies(store: Store) -> dict[str, str]:
    """Hash by id."""
    return {key: content_hash(row) for key, row in store.acl.policies.items()}


# --- roles and tokens ------------------------------------------------------------------------------------------------


def _links(links: tuple[LinkBody, ...] | None) -> tuple[str, ...]:
    return tuple(link.id for link in links or ())


def listed_roles(body: bytes) -> dict[str, Role]:
    """Roles by id."""
    return {
        row.id: Role(
            id=row.id,
            name=row.name,
            description=row.description,
            policies=_links(row.policies),
            **identities_of(row),
        )
        for row in _decoded(tuple[RoleBody, ...], body)
    }


def own_roles(store: Store) -> dict[str, Role]:
    """Roles by id, with the links that mean something."""
    return {key: _bare(row, policies=_known(row.policies, store)) for key, row in store.acl.roles.items()}


def listed_tokens(body: bytes) -> dict[str, Token]:
    """The tokens that count in every datacenter, by accessor.

    Raises:
        InternalError: their secrets are hidden, as the replication token may not write ACLs.
    """
    found = {}
    for row in _decoded(tuple[TokenBody, ...], body):
        if row.local:
            continue
        if not row.secret_id or row.secret_id == shapes.HIDDEN:
            raise InternalError("the replication token needs acl:write in the primary datacenter to copy tokens")
        found[row.accessor_id] = _token(row)
    return found


def one_token(body: bytes) -> Token:
    """A token as the primary shows it to itself; local ones, too. Raises InternalError: it is none."""
    row = _decoded(TokenBody, body)
    return msgspec.structs.replace(_token(row), local=bool(row.local))


def _token(row: TokenBody) -> Token:
    return Token(
        accessor_id=row.accessor_id,
        secret_id=row.secret_id,
        description=row.description,
        policies=_links(row.policies),
        roles=_links(row.roles),
        auth_method=row.auth_method,
        expiration_time=row.expiration_time,
        create_time=row.create_time,
        **identities_of(row),
    )


def own_tokens(store: Store) -> dict[str, Token]:
    """The same of here."""
    return {
        key: _bare(
            row,
            policies=_known(row.policies, store),
            roles=tuple(role for role in row.roles if role in store.acl.roles),
        )
        for key, row in store.acl.tokens.items()
        if not row.local
    }


def _known(policies: tuple[str, ...], store: Store) -> tuple[str, ...]:
    return tuple(policy for policy in policies if policy in store.acl.policies)


def _bare(row: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(row, create_index=0, modify_index=0, **changes)


# --- config entries --------------------------------------------------------------------------------------------------


def config_entries(body: bytes) -> dict[tuple[str, str], Entry]:
    """Entries by kind and name."""
    found = {}
    for raw in _decoded(cast("Any", list[dict[str, Any]]), body):
        if _is_copied(raw.get("Kind", "")):
            entry = _entry(raw)
            found[entry.kind, entry.name] = content(entry)
    return found


def own_entries(store: Store) -> dict[tuple[str, str], Entry]:
    """The same of here."""
    return {(entry.kind, entry.name): content(entry) for entry in store.config.all() if _is_copied(entry.kind)}


def _is_copied(kind: str) -> bool:
    return kind in CONFIG_ENTRIES and CONFIG_ENTRIES[kind].writable and kind not in OWN_KINDS


def _entry(raw: dict[str, Any]) -> Entry:
    kind = raw["Kind"]
    if kind == "mesh":  # its only name is not written
        raw = {key: value for key, value in raw.items() if key != "Name"}
    try:
        return parse(raw)
    except MeshError as error:
        raise RemoteProtocolError(f"an entry of the kind {kind} cannot be read: {error}") from error
