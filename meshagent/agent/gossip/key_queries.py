"""Queries about gossip keys: what a member does with one, and what all answers together say.

Source: surface rows S50, OP7; golden notes "Queries" for names, payloads and words of refusal, which operators of other
agents read. A change is kept on disk before it is answered (`serf_signals.KeysChanged`). What may change here: nothing
that a peer sees.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from meshagent.agent.gossip.keyring import Keyring, encode_key
from meshagent.agent.gossip.serf_codec import decode, encode
from meshagent.agent.gossip.serf_messages import KeyRequest, KeyResponse
from meshagent.agent.gossip.serf_signals import QueryResult
from meshagent.errors import BadRequest, RemoteProtocolError

__all__ = ["INSTALL", "LIST", "REMOVE", "USE", "KeyReport", "answer_key_query", "fitting", "report"]

INSTALL = "_serf_install-key"
USE = "_serf_use-key"
REMOVE = "_serf_remove-key"
LIST = "_serf_list-keys"


def answer_key_query(name: str, payload: bytes, ring: Keyring) -> KeyResponse:
    """Do what the query asks to `ring`; whether it changed shows in `ring.version`."""
    if not ring.keys:
        empty = name == LIST
        return KeyResponse(
            False,
            "Keyring is empty (encryption not enabled)" if empty else "No keyring to modify (encryption not enabled)",
        )
    if name == LIST:
        return KeyResponse(True, keys=tuple(map(encode_key, ring.keys)), primary_key=encode_key(ring.keys[0]))
    try:
        request = decode(payload)
        if not isinstance(request, KeyRequest):
            raise RemoteProtocolError("no key request")
    except RemoteProtocolError as error:
        return KeyResponse(False, str(error))
    change = {INSTALL: ring.install, USE: ring.use, REMOVE: ring.remove}[name]
    try:
        change(request.key)
    except BadRequest as error:
        return KeyResponse(False, str(error))
    return KeyResponse(True)


def fitting(response: KeyResponse, limit: int) -> bytes:
    """The answer as a payload of at most `limit` bytes; a longer list of keys is cut, and says so."""
    data = encode(response)
    keys = response.keys or ()
    shown = len(keys)
    while len(data) > limit and shown > 0:
        shown -= 1
        told = f"truncated key list response, showing first {shown} of {len(keys)} keys"
        data = encode(KeyResponse(response.result, told, keys[:shown], response.primary_key))
    return data


@dataclass(slots=True)
class KeyReport:
    """What the members of a pool said: `messages` by name; how many hold each key, and encrypt with it."""

    nodes: int = 0
    responses: int = 0
    errors: int = 0
    messages: dict[str, str] = field(default_factory=dict)
    keys: Counter[str] = field(default_factory=Counter)
    primary_keys: Counter[str] = field(default_factory=Counter)

    @property
    def problem(self) -> str | None:
        """Why the request did not hold everywhere, in serf's words."""
        if self.errors:
            return f"{self.errors}/{self.nodes} nodes reported failure"
        if self.responses != self.nodes:
            return f"{self.responses}/{self.nodes} nodes reported success"
        return None


def report(result: QueryResult) -> KeyReport:
    """Add up the answers."""
    told = KeyReport(nodes=result.nodes, responses=len(result.responses))
    for sender, payload in result.responses.items():
        try:
            response = decode(payload)
            if not isinstance(response, KeyResponse):
                raise RemoteProtocolError("no key response")
        except RemoteProtocolError as error:
            told.errors += 1
            told.messages[sender] = f"Invalid key query response: {error}"
            continue
        if not response.result:
            told.errors += 1
            told.messages[sender] = response.message
            continue
        if response.message:
            told.messages[sender] = response.message
        told.keys.update(response.keys or ())
        if response.primary_key:
            told.primary_keys[response.primary_key] += 1
    return told
