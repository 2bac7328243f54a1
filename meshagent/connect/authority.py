"""I/O edge: the certificate authority of a server: it joins `ca.py` to the store, the log and the clock.

Cluster id, configuration and roots are written by the leader; leafs are signed by whichever server is asked, for every
server holds the keys: only serial numbers come from the log. Each server has its own signing limit.

Source: surface rows CN2, M62-M66. What may change here: further providers stand beside the built-in one.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from meshagent.catalog.ca import CAConfig, CARoot
from meshagent.catalog.commands import CADrop, CASerials, CASet, ClusterInit, Command
from meshagent.catalog.store import Store
from meshagent.clock import Clock
from meshagent.connect import ca, ca_config
from meshagent.connect.ca import BuiltRoot, SignedLeaf, Vouched, build_root
from meshagent.connect.ca_config import CASettings
from meshagent.connect.gateways.names import may_bear
from meshagent.connect.root_process import build_apart
from meshagent.connect.sealing import SealingKey, open_key, seal_key
from meshagent.connect.secondary import Primary, Secondary
from meshagent.connect.signing_limit import SigningLimit
from meshagent.connect.vault import Vault, is_credentials, parse_vault
from meshagent.connect.vault_roots import build_vault_root, intermediate_ends_soon, sign_in_vault
from meshagent.errors import Conflict, InternalError, MeshError, Unavailable
from meshagent.ids import new_uuid

__all__ = ["Authority", "AuthoritySettings"]

log = logging.getLogger("agent.server.connect")

#: How often the leader looks whether roots have outlived their leafs, or near their end.
HOUSEKEEPING_S = 600.0
#: First pause after a failure.
RETRY_S = 1.0
#: A root that ends within this time is told of in the log.
ROOT_WARNING = timedelta(days=30)

T = TypeVar("T")
Write = Callable[[Command], Awaitable[Any]]


@dataclass(frozen=True, slots=True, repr=False)
class AuthoritySettings:
    """What the agent's configuration says: used when a cluster is new, but for the key file, used always."""

    provider: str = "consul"
    config: Mapping[str, Any] = field(default_factory=dict)
    sealing: SealingKey | None = None
    #: Make the first root in a process of its own (see root_process.py).
    apart: bool = True
    #: The id of a new cluster; "" for a random one.
    cluster_id: str = ""


class Authority:
    """Signs for the trust domain of `store`."""

    def __init__(
        self,
        store: Store,
        write: Write,
        clock: Clock,
        rng: random.Random,
        datacenter: str,
        settings: AuthoritySettings,
        primary: Primary | None = None,
    ) -> None:
        """With `primary` this is the authority of a secondary datacenter."""
        self._store = store
        self._write = write
        self._clock = clock
        self._rng = rng
        self._datacenter = datacenter
        self._settings = settings
        self._limit = SigningLimit()
        self._changing = asyncio.Lock()
        self._parsed: tuple[int, CASettings] = (-1, CASettings())
        self._key: tuple[str, bytes] = ("", b"")
        self._held_vault: tuple[str, Vault] | None = None
        self.secondary: Secondary | None = None
        if primary is not None:
            self.secondary = Secondary(store, write, clock, primary, self.settings, settings.sealing)

    # --- what the leader does ----------------------------------------------------------------------------------

    async def initialise(self) -> None:
        """Give a new cluster its id, its configuration and its first root. To be called on the leader; may be repeated.

        Raises:
            MeshError: it could not be done; `agent.server.connect` says why.
        """
        table = self._store.ca
        async with self._changing:
            if table.config is None:
                provider = self._settings.provider
                config = {**ca_config.DEFAULTS, **self._settings.config} if provider == "consul" else {}
                config = ca_config.without_secrets(config or dict(self._settings.config))
                cluster_id = "" if self.secondary is not None else await self._cluster_id()
                await self._write(CASet(CAConfig(provider, config), 0, self._at(), cluster_id=cluster_id))
            config_row = table.config
            if config_row is None or table.active is not None or self.secondary is not None:
                return
            if config_row.provider == "vault":
                wanted = {**config_row.config, **self._settings.config}
                await self._store_root(config_row, await self._at_vault(wanted), self.settings())
                return
            if config_row.provider != "consul":
                return
            # An own key of the agent's configuration is used now; it is stored with the root, not in the configuration.
            settings = ca_config.parse({**config_row.config, **_secrets(self._settings.config)})
            built = await self._build(settings, apart=True)
            await self._store_root(config_row, built, settings)

    async def _cluster_id(self) -> str:
        held = self._store.cluster_id
        return held or str(await self._write(ClusterInit(self._settings.cluster_id or new_uuid())))

    async def configure(self, provider: str, config: Mapping[str, Any], force: bool) -> None:
        """Take a new configuration, with another root if it needs one.

        Raises:
            InternalError: it cannot be used; nothing has changed.
            Conflict: somebody else wrote it at the same time.
        """
        problem = ca_config.provider_problem(provider, config)
        if problem:
            raise InternalError(problem)
        settings = ca_config.parse(config)
        table = self._store.ca
        if self.secondary is not None:
            await self._configure_secondary(self.secondary, provider, config, settings)
            return
        async with self._changing:
            old_row = table.config
            active = table.active
            active_key = self.key_of(active) if active is not None else None
            row = CAConfig(provider, ca_config.without_secrets(config), force)
            expect = old_row.modify_index if old_row is not None else 0
            at_vault = await self._at_vault(config, active_key) if provider == "vault" else None
            if at_vault is not None and active is not None and active.id == at_vault.row.id:
                await self._store_root(msgspec.structs.replace(row, modify_index=expect), at_vault, settings)
                return  # the same root: other credentials, paths or lives
            moved = at_vault is not None or (active_key is not None and is_credentials(active_key))
            reason = "another provider" if moved else ca.rotation_reason(settings, active, active_key)
            if not reason:
                await self._commit(CASet(row, expect, self._at()))
                return
            log.info("rotating the root: reason=%s", reason)
            built = at_vault or await self._build(settings, apart=False)
            if active is not None and active_key is not None and not force:
                built = await self._cross_signed(built, active, active_key)
            await self._store_root(msgspec.structs.replace(row, modify_index=expect), built, settings)

    async def _configure_secondary(
        self, secondary: Secondary, provider: str, config: Mapping[str, Any], settings: CASettings
    ) -> None:
        """Take a configuration where roots are the primary's: it says how the intermediate and leafs are made."""
        if provider != "consul":
            raise InternalError(f"error configuring provider: a secondary datacenter signs itself, not by {provider}")
        if settings.private_key or settings.root_cert:
            raise InternalError("error configuring provider: the root is that of the primary datacenter")
        async with self._changing:
            expect = self._store.ca.config.modify_index if self._store.ca.config is not None else 0
            await self._commit(CASet(CAConfig(provider, ca_config.without_secrets(config)), expect, self._at()))
        await secondary.renew()

    async def keep_house(self) -> None:
        """Drop roots that have outlived their leafs, and tell of one that nears its end. On the leader."""
        table = self._store.ca
        now = self._clock.now()
        gone = ca.outlived(table.roots.values(), self.settings(), now)
        if gone:
            await self._write(CADrop(gone))
            log.info("roots dropped after their last leafs have ended: ids=%s", ",".join(gone))
        active = table.active
        if active is not None:
            await self._keep_vault(active)
            left = datetime.fromisoformat(active.not_after) - now
            if left < ROOT_WARNING:
                log.warning(
                    "the root certificate ends soon, rotate it: id=%s not_after=%s", active.id, active.not_after
                )

    # --- what every server does --------------------------------------------------------------------------------

    def settings(self) -> CASettings:
        """The settings in force."""
        row = self._store.ca.config
        if row is None or row.provider not in ("consul", "vault"):
            return CASettings()
        if self._parsed[0] != row.modify_index:
            self._parsed = (row.modify_index, ca_config.parse(row.config))
        return self._parsed[1]

    def key_of(self, root: CARoot) -> bytes:
        """The private key of a root (PEM). Raises Unavailable when this server cannot open it."""
        if self._key[0] != f"{root.id} {root.modify_index}":
            row = self._store.ca.key_of(root)
            if row is None:
                raise Unavailable("the private key of the root is not kept here")
            self._key = (f"{root.id} {root.modify_index}", open_key(row, self._settings.sealing))
        return self._key[1]

    async def sign(self, request_pem: bytes, agent: str = "", *, server: bool = False) -> SignedLeaf:
        """Sign a request of a service, or that of the client agent `agent`.

        Raises:
            TooManyRequests: over the signing limit.
            Unavailable: there is no root yet, or its key cannot be opened here.
            MeshError: a request that is not to be signed.
        """
        if self._store.ca.active is None:
            raise Unavailable("the certificate authority has no root yet, try again in a moment")
        settings = self.settings()
        now = self._clock.monotonic()
        wait_s = self._limit.enter(now, settings.csr_max_per_second, settings.csr_max_concurrent)
        try:
            if wait_s:
                await self._clock.sleep(wait_s)
            vouched = self._vouch(request_pem, agent, server)
            serial, index = await self._write(CASerials())
            root = self._store.ca.active
            if root is None:
                raise Unavailable("the certificate authority lost its root")
            key = self.key_of(root)
            if is_credentials(key):
                if server:
                    raise Unavailable("certificates of the peering port are signed by the built-in provider only")
                return await self._in_thread(
                    sign_in_vault, self._vault(root, key), request_pem, vouched, root, settings, index
                )
            life = self.settings().leaf_life
            return ca.sign(request_pem, vouched, root, key, life, serial, index, self._clock.now())
        finally:
            self._limit.leave()

    def _vouch(self, request_pem: bytes, agent: str, server: bool) -> Vouched:
        trust_domain, datacenter = self._store.ca.trust_domain, self._datacenter
        if server:
            return ca.server_identity(request_pem, trust_domain, datacenter)
        if agent:
            return ca.agent_identity(request_pem, trust_domain, datacenter, agent)
        entries = self._store.config.lookup()
        return ca.service_identity(
            request_pem, trust_domain, datacenter, lambda service, name: may_bear(entries, service, name)
        )

    async def sign_intermediate(self, request_pem: bytes) -> str:
        """The certificate (PEM) that a secondary datacenter signs its leafs with, for its request.

        Raises:
            InternalError: this is no primary datacenter.
            Unavailable: there is no root yet, or its key is not here.
            MeshError: a request that is not to be signed.
        """
        table = self._store.ca
        if self.secondary is not None:
            raise InternalError("intermediates are signed by the primary datacenter only")
        if table.active is None:
            raise Unavailable("the certificate authority has no root yet, try again in a moment")
        serial, _ = await self._write(CASerials())
        root = table.active
        key = self.key_of(root) if root is not None else b""
        if root is None or is_credentials(key):
            raise InternalError("intermediates of other datacenters are signed by the built-in provider only")
        life = self.settings().intermediate_life
        pem = ca.sign_intermediate(request_pem, table.trust_domain, root, key, life, serial, self._clock.now())
        log.info("intermediate certificate signed for another datacenter: serial=%d", serial)
        return pem

    async def serve_sign(self, payload: bytes) -> bytes:
        """`sign` for the RPC port: a request (PEM) in, an encoded `SignedLeaf` out."""
        return msgspec.msgpack.encode(await self.sign(payload))

    # --- Vault -------------------------------------------------------------------------------------------------

    async def _at_vault(self, config: Mapping[str, Any], active_key: bytes | None = None) -> BuiltRoot:
        """The root that Vault keeps, with a fresh intermediate. A secret that reads as hidden is the stored one."""
        stored = active_key if active_key is not None and is_credentials(active_key) else None
        held = Vault.of(stored).settings if stored is not None else None
        vault = Vault(parse_vault(config, held))
        cluster_id = self._store.ca.cluster_id
        label = ca.label_of(f"{cluster_id} vault {self._rng.random()}".encode())
        return await self._in_thread(build_vault_root, vault, ca_config.parse(config), cluster_id, label)

    def _vault(self, root: CARoot, key: bytes) -> Vault:
        """One for the credentials of a root: it keeps the token of its login."""
        at = f"{root.id} {root.modify_index}"
        if self._held_vault is None or self._held_vault[0] != at:
            self._held_vault = (at, Vault.of(key))
        return self._held_vault[1]

    async def _keep_vault(self, active: CARoot) -> None:
        """Renew the token, and the intermediate before it ends."""
        row = self._store.ca.config
        if row is None or row.provider != "vault":
            return
        key = self.key_of(active)
        vault = self._vault(active, key)
        try:
            await self._in_thread(vault.renew)
        except MeshError as error:
            log.warning("the Vault token cannot be renewed: %s", error)
        if intermediate_ends_soon(active, self._clock.now()):
            log.info("the intermediate at Vault ends soon: another one is made")
            async with self._changing:
                settings = self.settings()
                label = ca.label_of(f"{active.id} {self._rng.random()}".encode())
                built = await self._in_thread(build_vault_root, vault, settings, self._store.ca.cluster_id, label)
                kept = (*built.row.intermediates, *active.intermediates[1:])
                built = BuiltRoot(msgspec.structs.replace(built.row, intermediates=kept), key)
                await self._store_root(row, built, settings)

    async def _cross_signed(self, built: BuiltRoot, old: CARoot, old_key: bytes) -> BuiltRoot:
        """The new root, also vouched for by the old one."""
        if not is_credentials(old_key):
            serial, _ = await self._write(CASerials())
            return ca.cross_signed(built, old, old_key, serial, self._clock.now())
        crossed = await self._in_thread(self._vault(old, old_key).cross_sign, built.row.root_cert)
        kept = (*built.row.intermediates, crossed)
        return BuiltRoot(msgspec.structs.replace(built.row, intermediates=kept), built.key)

    @staticmethod
    async def _in_thread(function: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, function, *given)

    # --- inside ------------------------------------------------------------------------------------------------

    async def _build(self, settings: CASettings, *, apart: bool) -> BuiltRoot:
        serial, _ = await self._write(CASerials())
        cluster_id = self._store.ca.cluster_id
        label = ca.label_of(f"{cluster_id} {serial} {self._rng.random()}".encode())
        now = self._clock.now()
        if apart and self._settings.apart and self._settings.sealing is None:
            try:
                return await build_apart(settings, cluster_id, label, serial, now)
            except (Unavailable, TimeoutError) as error:
                log.warning("%s; it is made in this process", error or "the process that makes the root hangs")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, build_root, settings, cluster_id, label, serial, now)

    async def _store_root(self, config: CAConfig, built: BuiltRoot, settings: CASettings) -> None:
        key = seal_key(built.row.id, built.key, self._settings.sealing)
        if self._settings.sealing is None:
            log.info("the root's private key is stored unsealed: connect.ca_key_file on every server would seal it")
        await self._commit(CASet(config, config.modify_index, self._at(), root=built.row, key=key))
        log.info(
            "root certificate in force: id=%s key=%s-%d not_after=%s leaf_ttl=%s",
            built.row.id, built.row.key_type, built.row.key_bits, built.row.not_after, settings.leaf_life,
        )  # fmt: skip

    async def _commit(self, command: CASet) -> None:
        if not await self._write(command):
            raise Conflict("the CA configuration was changed by somebody else at the same time: try again")

    def _at(self) -> str:
        return self._clock.now().isoformat()

    async def lead(self) -> None:
        """What a leader does while it leads: initialise, then keep house, for ever."""
        pause_s = RETRY_S
        while True:
            try:
                await self.initialise()
                if self.secondary is not None:
                    await self.secondary.follow()
                await self.keep_house()
                pause_s = HOUSEKEEPING_S
            except MeshError as error:
                log.error("the certificate authority is not ready: %s", error)
                pause_s = min(60.0, pause_s * 2)
            await self._clock.sleep(pause_s)


def _secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key.replace("_", "").lower() == "privatekey"}
