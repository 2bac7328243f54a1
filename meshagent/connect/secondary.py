"""I/O edge: the authority of a secondary datacenter: it trusts the primary's roots, and signs with an intermediate of
its own below the active one.

The intermediate's private key is made here and stays in this datacenter; only a request goes to the primary. Another
one is asked for when the active root is another, when half of its life is over, and when the configuration wants
another kind of key. While the primary cannot be reached, everything goes on with what is here.

Source: surface row M67; "Secondary datacenter" of leaf.md of the golden mesh data; RFC 5280 section 4.2.1.9 (path
length). What may change here: nothing that a client of Consul reads from roots or leafs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from meshagent.catalog.ca import CARoot
from meshagent.catalog.commands import CAAdopt, Command
from meshagent.catalog.store import Store
from meshagent.clock import Clock
from meshagent.connect import spiffe
from meshagent.connect.ca import signing_certificate
from meshagent.connect.ca_config import CASettings
from meshagent.connect.sealing import SealingKey, seal_key
from meshagent.errors import Conflict, MeshError, Unavailable

__all__ = ["Primary", "PrimaryRoots", "Secondary"]

log = logging.getLogger("agent.server.connect")

#: Pauses after a failure.
RETRY_S, LONGEST_RETRY_S = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class PrimaryRoots:
    """What the primary trusts, and the index of that."""

    cluster_id: str
    roots: tuple[CARoot, ...]
    index: int


class Primary(Protocol):
    """The primary datacenter, as this one asks it. Everything raises MeshError when it cannot be reached or refuses."""

    async def roots(self, index: int) -> PrimaryRoots:
        """All roots, as soon as their index is another one than `index`, and now and then in any case."""

    async def sign_intermediate(self, request_pem: bytes) -> str:
        """The intermediate (PEM) for a request."""


class Secondary:
    """That of a server; `follow` runs while it leads."""

    def __init__(
        self,
        store: Store,
        write: Callable[[Command], Awaitable[Any]],
        clock: Clock,
        primary: Primary,
        settings: Callable[[], CASettings],
        sealing: SealingKey | None,
    ) -> None:
        self._store = store
        self._write = write
        self._clock = clock
        self._primary = primary
        self._settings = settings
        self._sealing = sealing
        self._adopting = asyncio.Lock()

    async def follow(self) -> None:
        """Trust what the primary trusts, for ever."""
        index, pause_s, told = 0, RETRY_S, ""
        while True:
            try:
                index = await self.round(index)
                if told:
                    log.info("the primary datacenter's authority is followed again")
                pause_s, told = RETRY_S, ""
            except MeshError as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("the primary datacenter's authority cannot be followed now: %s", error)
                index, pause_s = 0, min(pause_s * 2, LONGEST_RETRY_S)
            await self._clock.sleep(pause_s)

    async def round(self, index: int) -> int:
        """Wait for other roots than at `index`, trust them, and renew the intermediate if it is due. Their index.

        Raises:
            MeshError: the primary cannot be asked, or what it says cannot be used.
        """
        found = await self._primary.roots(index)
        await self._adopt(found)
        return found.index

    async def renew(self) -> None:
        """Have another intermediate if the settings of now, or its age, ask for one. Raises MeshError."""
        await self._adopt(await self._primary.roots(0))

    # --- inside ------------------------------------------------------------------------------------------------

    async def _adopt(self, there: PrimaryRoots) -> None:
        async with self._adopting:
            table = self._store.ca
            active = next((root for root in there.roots if root.active), None)
            if active is None:
                raise Unavailable("the primary datacenter has no active root yet")
            expect = table.roots_index
            own, key = self._usable(active), None
            if not own or table.cluster_id != there.cluster_id:
                own, key = await self._signed(active, there.cluster_id)
            signer = msgspec.structs.replace(
                active, intermediates=(*active.intermediates, own), signing_key_id=_key_id(own)
            )
            rows = tuple(signer if root is active else root for root in there.roots)
            kept = tuple(map(_bare, sorted(table.roots.values(), key=_id))) == tuple(map(_bare, sorted(rows, key=_id)))
            if kept and key is None and table.cluster_id == there.cluster_id:
                return
            sealed = seal_key(active.id, key, self._sealing) if key is not None else None
            if not await self._write(CAAdopt(there.cluster_id, rows, expect, sealed)):
                raise Conflict("the roots were changed by somebody else at the same time")
            log.info("roots of the primary datacenter in force: active=%s roots=%d", active.id, len(rows))

    def _usable(self, active: CARoot) -> str:
        """The intermediate that is here, while it does: below the active root, of the wanted key, in its first half."""
        from meshagent.connect import certs

        held = self._store.ca.active
        if held is None or held.id != active.id or self._store.ca.key_of(held) is None:
            return ""
        own = signing_certificate(held)
        if own == held.root_cert:
            return ""  # an authority of its own, before there was a primary
        facts, settings = certs.facts(own.encode()), self._settings()
        half = facts.not_before + (facts.not_after - facts.not_before) / 2
        wanted = (facts.key_type, facts.key_bits) == (settings.key_type, settings.key_bits)
        return own if wanted and self._clock.now() < half else ""

    async def _signed(self, active: CARoot, cluster_id: str) -> tuple[str, bytes]:
        """(a new intermediate, its private key)."""
        from meshagent.connect import certs

        settings = self._settings()
        loop = asyncio.get_running_loop()
        key = await loop.run_in_executor(None, certs.new_key, settings.key_type, settings.key_bits)
        uri = spiffe.format(spiffe.SpiffeID(f"{cluster_id}.consul", spiffe.AUTHORITY))
        pem = await self._primary.sign_intermediate(certs.request(key, uri))
        own, root = pem.encode(), active.root_cert.encode()
        if not certs.key_matches(key, own) or not certs.verify_signed_by(own, root):
            raise Conflict("the primary datacenter signed with another root than its active one: it is asked again")
        facts = certs.facts(own)
        log.info("intermediate certificate signed by the primary datacenter: not_after=%s", _text(facts.not_after))
        return pem, key


def _id(root: CARoot) -> str:
    return root.id


def _bare(root: CARoot) -> CARoot:
    """A row without what each datacenter counts itself."""
    return msgspec.structs.replace(root, create_index=0, modify_index=0, rotated_out_at="")


def _key_id(pem: str) -> str:
    from meshagent.connect import certs

    return certs.facts(pem.encode()).subject_key_id


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
