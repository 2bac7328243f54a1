"""Intentions as Consul's JSON, and names of services as intentions write them.

Source: surface rows CN3-CN7; texts of the golden scenario `intentions` and of the golden mesh data. What may change
here: fields of later releases.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.decode import to_builtins
from meshagent.agent.http.request import BadOption
from meshagent.catalog.entries.decoding import decode
from meshagent.catalog.entries.service_intentions import Permission
from meshagent.connect.intentions import BY_SERVERS, Default, Intention

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["IntentionBody", "default_in_force", "default_of", "service_of", "shown"]

_ENTERPRISE = "Namespaces is a Consul Enterprise feature"


class IntentionBody(msgspec.Struct):
    """What a write of an intention may hold; what the server knows better is taken and ignored."""

    ID: str = ""
    Description: str = ""
    SourcePeer: str = ""
    SourcePartition: str = ""
    SourceNS: str = ""
    SourceName: str = ""
    DestinationPartition: str = ""
    DestinationNS: str = ""
    DestinationName: str = ""
    SourceType: str = ""
    Action: str = ""
    DefaultAddr: str = ""
    DefaultPort: int = 0
    Permissions: list[dict[str, Any]] | None = None
    Meta: dict[str, str] | None = None
    Precedence: int = 0
    CreatedAt: str = ""
    UpdatedAt: str = ""
    Hash: str = ""
    CreateIndex: int = 0
    ModifyIndex: int = 0

    def permissions(self) -> tuple[Permission, ...]:
        """The permissions. Raises BadRequest naming what is wrong in them."""
        return tuple(decode(Permission, one) for one in self.Permissions or ())


def service_of(text: str, what: str = "") -> str:
    """The service of `web`, `default/web` or `default/default/web`. With `what` another namespace is refused."""
    parts = text.split("/")
    if len(parts) > 3:
        raise BadOption(f"name \"{text}\" is invalid: input can contain at most two '/'")
    if what and len(parts) > 1 and parts[-2] != "default":
        raise BadOption(f'Invalid {what} namespace "{parts[-2]}": {_ENTERPRISE}')
    return parts[-1]


def default_of(agent: Agent) -> Default:
    """What holds on this agent where no intention speaks."""
    acl = agent.config.acl
    return Default.of(not acl.enabled or acl.default_policy == "allow", agent.config.default_intention_policy)


def default_in_force(agent: Agent) -> Default:
    """The same for a decision that this agent makes itself: what the servers deny by default it does not allow, so that
    a host whose configuration was forgotten is not the way in."""
    own = default_of(agent)
    denied = agent.upstream is not None and agent.upstream.standing.denies
    return Default(False, BY_SERVERS) if own.allow and denied else own


def shown(one: Intention) -> dict[str, Any]:
    """The JSON object of an intention."""
    fields: dict[str, Any] = {}
    if one.id:
        fields["ID"] = one.id
    if one.description:
        fields["Description"] = one.description
    fields |= {"SourceNS": "default", "SourceName": one.source}
    if one.peer:
        fields["SourcePeer"] = one.peer
    fields |= {"DestinationNS": "default", "DestinationName": one.destination, "SourceType": "consul"}
    if one.permissions:
        fields["Permissions"] = [to_builtins(permission) for permission in one.permissions]
    else:
        fields["Action"] = one.action
    if one.jwt is not None:
        fields["JWT"] = to_builtins(one.jwt)
    if one.meta:
        fields["Meta"] = dict(one.meta)
    if one.id:
        fields |= {"CreatedAt": one.created, "UpdatedAt": one.updated, "Hash": _hash(one)}
    return {**fields, "Precedence": one.precedence, "CreateIndex": one.create_index, "ModifyIndex": one.modify_index}


def _hash(one: Intention) -> str:
    """Tells contents of the old form apart."""
    text = "\0".join((one.id, one.description, one.source, one.destination, one.action, repr(one.meta), one.updated))
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
