"""I/O edge: hands certificates and configuration to client agents (`auto_encrypt.allow_tls`, `auto_config`).

Who has no certificate asks over TLS that asks for none: for a certificate, where `allow_tls` lets everybody who
reaches the port have one, as Consul does, unless `require_intro_token` wants an introduction; for a configuration, with
an introduction. Who has one asks for its renewal
on its ordinary connection, and only for its own name.

Source: surface row G16. What may change here: what a configuration says is one row of `_options`.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshagent.agent.auto.introductions import Introductions
from meshagent.agent.auto.messages import (
    CONFIGURE,
    SIGN,
    ConfigRequest,
    Configuration,
    Issued,
    SignRequest,
    decode,
    encode,
)
from meshagent.agent.gossip.member import Status
from meshagent.agent.jwt_keys import JwtKeys, KeySource
from meshagent.agent.server_tags import read_server
from meshagent.catalog.commands import IntroductionTake
from meshagent.catalog.rpc.hello import Peer
from meshagent.catalog.rpc.link import Handler
from meshagent.connect import spiffe
from meshagent.errors import BadRequest, ConfigError, Denied, MeshError, RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.agent.core import Agent
    from meshagent.agent.gossip.pools import Pools
    from meshagent.connect.authority import Authority

__all__ = ["Issuer", "agent_of", "read_authorities"]

log = logging.getLogger("agent.server.auto_config")

MAX_AUTHORITY_BYTES = 256 << 10
#: What another part of the agent adds to the configuration of a node, by key: the block `acl` with the agent's token.
MoreOptions = Callable[[str], Awaitable[dict[str, Any]]]


class Issuer:
    """Of a server whose configuration has `auto_encrypt.allow_tls` or `auto_config.authorization`."""

    def __init__(self, agent: Agent, authority: Authority, pools: Pools) -> None:
        """Raises ConfigError: the authorities of agents cannot be read."""
        config: Config = agent.config
        self._agent = agent
        self._authority = authority
        self._pools = pools
        self._introductions = Introductions(config.auto_config.authorization.static)
        self.know(read_authorities(config))

    def know(self, authorities: tuple[str, ...]) -> None:
        """These are the authorities of agents now (PEM)."""
        self._authorities = authorities
        static = self._introductions.static
        pems = tuple(static.jwt_validation_pub_keys) or (authorities if self._introductions.own else ())
        self._keys = JwtKeys(
            KeySource(
                pems=pems,
                jwks_url=static.jwks_url,
                jwks_ca_cert=static.jwks_ca_cert,
                oidc_discovery_url=static.oidc_discovery_url,
                oidc_discovery_ca_cert=static.oidc_discovery_ca_cert,
            ),
            self._agent.clock,
        )

    @staticmethod
    def wanted(config: Config) -> bool:
        """Whether this server hands anything out."""
        return bool(config.auto_encrypt.allow_tls or config.auto_config.authorization.enabled)

    def bootstrap_methods(self) -> dict[str, Handler]:
        """What can be asked without a certificate."""
        config: Config = self._agent.config
        methods: dict[str, Handler] = {}
        if config.auto_encrypt.allow_tls:
            methods[SIGN] = lambda peer, payload: self._first(payload)
        if config.auto_config.authorization.enabled:
            methods[CONFIGURE] = lambda peer, payload: self._configure(payload)
        return methods

    def methods(self) -> dict[str, Handler]:
        """What can be asked on an ordinary connection: a renewal."""
        return {SIGN: self._renew}

    async def _first(self, payload: bytes) -> bytes:
        asked = decode(payload, SignRequest)
        guardian = self._agent.extras.get("acl")
        if self._agent.config.auto_encrypt.require_intro_token:
            await self._believe(asked.introduction, asked.node)
        elif guardian is not None:
            (await guardian.identify(asked.token)).access.require("node", "write", asked.node)
        return encode(await self._issue(asked.node, asked.request))

    async def _renew(self, peer: Peer, payload: bytes) -> bytes:
        asked = decode(payload, SignRequest)
        block = self._agent.config.auto_encrypt
        if not peer.proven and (block.require_intro_token or not block.allow_tls):
            raise Denied("Permission denied: the connection shows no agent's certificate")
        if asked.node.lower() != peer.node_name.lower():
            raise Denied(f"Permission denied: {peer.node_name!r} asks for a certificate of {asked.node!r}")
        return encode(await self._issue(asked.node, asked.request))

    async def _configure(self, payload: bytes) -> bytes:
        asked = decode(payload, ConfigRequest)
        if asked.segment or asked.partition not in {"", "default"}:
            raise BadRequest("segments and partitions are Consul Enterprise features")
        await self._believe(asked.introduction, asked.node)
        issued = await self._issue(asked.node, asked.request)
        options = await self._options(asked.node)
        log.info("a client was configured: node=%s", asked.node)
        return encode(Configuration(issued, options))

    async def _believe(self, introduction: str, node: str) -> None:
        """Return when this introduction lets the node in. Raises MeshError."""
        now = self._agent.clock.now()
        try:
            if not introduction:
                raise Denied("Permission denied: an introduction (intro_token) is needed")
            judged = self._introductions.judge(introduction, node, await self._keys.get(), now)
            if self._introductions.static.allow_reuse is False:
                take = IntroductionTake(judged.digest, node.lower(), judged.ends, int(now.timestamp()))
                if await self._agent.write(take) != node.lower():
                    raise Denied("Permission denied: the introduction was used by another node")
        except MeshError as error:
            log.warning("a client was not let in: node=%s: %s", node, error)
            raise

    async def _issue(self, node: str, request: bytes) -> Issued:
        signed = await self._authority.sign(request, node)
        hostname = self._agent.config.tls.internal_rpc.verify_server_hostname
        return Issued(signed, self._authorities, hostname)

    async def _options(self, node: str) -> dict[str, Any]:
        config: Config = self._agent.config
        rpc = config.tls.internal_rpc
        options: dict[str, Any] = {
            "datacenter": config.datacenter,
            "node_name": node,
            "retry_join": self._servers(),
            "encrypt_verify_incoming": config.encrypt_verify_incoming,
            "encrypt_verify_outgoing": config.encrypt_verify_outgoing,
            "tls": {
                "internal_rpc": {
                    "verify_outgoing": True,
                    "verify_server_hostname": rpc.verify_server_hostname,
                    "tls_min_version": rpc.tls_min_version,
                    "tls_cipher_suites": rpc.tls_cipher_suites,
                }
            },
        }
        pool = self._pools.pool()
        if pool is not None and pool.ring.keys:
            options["encrypt"] = base64.b64encode(pool.ring.keys[0]).decode("ascii")
        more: MoreOptions | None = self._agent.extras.get("auto_config_options")
        if more is not None:
            options |= await more(node)
        return options

    def _servers(self) -> list[str]:
        """Where the servers gossip, for `retry_join`."""
        datacenter = self._agent.datacenter
        return sorted(
            f"[{member.addr}]:{member.port}" if ":" in member.addr else f"{member.addr}:{member.port}"
            for member in self._pools.members()
            if member.status == Status.ALIVE and read_server(member, datacenter) is not None
        )


def read_authorities(config: Config) -> tuple[str, ...]:
    """The authorities of `tls.internal_rpc`, PEM. Raises ConfigError."""
    tls = config.tls.internal_rpc
    try:
        paths = [Path(tls.ca_file)] if tls.ca_file else []
        if tls.ca_path:
            paths += sorted(path for path in Path(tls.ca_path).iterdir() if path.is_file())
        texts = [path.read_text(encoding="ascii") for path in paths]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"tls.internal_rpc: ca_file {tls.ca_file or tls.ca_path!r}: {error}") from error
    if sum(map(len, texts)) > MAX_AUTHORITY_BYTES:
        raise ConfigError(f"tls.internal_rpc: more than {MAX_AUTHORITY_BYTES} bytes of authorities")
    return tuple(certificate for text in texts for certificate in split_pem(text))


def split_pem(text: str) -> list[str]:
    """The certificates of a text, one by one."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    found = []
    for piece in text.split(begin)[1:]:
        body, mark, _ = piece.partition(end)
        if mark:
            found.append(f"{begin}{body}{end}\n")
    return found


def agent_of(names: frozenset[str], trust_domain: str, datacenter: str) -> str | None:
    """The client agent that a certificate with these names speaks for; "" when it is of the mesh and for something
    else, None when it is not of the mesh."""
    for name in names:
        if name.startswith("spiffe://"):
            try:
                identity = spiffe.parse(name)
            except RemoteProtocolError:
                continue
            if trust_domain and identity.trust_domain == trust_domain.lower():
                own = identity.kind == spiffe.AGENT and identity.datacenter == datacenter
                return identity.name if own else ""
    return None
