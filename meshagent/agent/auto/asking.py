"""I/O edge: a first certificate, and a configuration, from a server that knows nothing of us yet.

Servers are asked in turn until one answers. The way there is TLS: a server shows a certificate of the authorities
that are configured here (or named by a join token). Source: surface row G16. What may change here: nothing that asks
a server which is not known by an authority, but for `auto_encrypt` without one, which Consul allows, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

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
from meshagent.catalog.rpc.ask_once import ask_once
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.link import RpcMetrics
from meshagent.catalog.rpc.settings import RpcSettings, TlsSettings
from meshagent.catalog.rpc.tls import Credentials, Security, load_security
from meshagent.clock import Clock
from meshagent.connect import spiffe
from meshagent.errors import Denied, MeshError, Unavailable

__all__ = ["UNKNOWN_DOMAIN", "FirstContact", "new_request"]

#: The trust domain of a request that is made before the roots are known, as Consul's agents write it.
UNKNOWN_DOMAIN = "unknown.consul"
#: Names that every agent's certificate carries: its own API on loopback.
ALWAYS = ("localhost", "127.0.0.1", "::1")
#: How long one server may take.
TIMEOUT_S = 10.0


def new_request(node: str, datacenter: str, names: Sequence[str]) -> tuple[str, bytes]:
    """(private key, request), PEM, for the certificate of an agent. Raises BadRequest: a name is none."""
    from meshagent.connect import certs

    key = certs.new_key("ec", 256)
    uri = spiffe.format(spiffe.SpiffeID(UNKNOWN_DOMAIN, spiffe.AGENT, datacenter, node))
    return key.decode("ascii"), certs.request(key, uri, list(dict.fromkeys((*ALWAYS, *names))))


@dataclass(frozen=True, slots=True)
class FirstContact:
    """How servers are asked by an agent that has nothing yet. `trusted` are authorities beside those of `tls` (PEM)."""

    identity: Identity
    tls: TlsSettings
    domain: str
    clock: Clock
    rng: random.Random
    metrics: RpcMetrics
    settings: RpcSettings = field(default_factory=RpcSettings)
    trusted: tuple[str, ...] = ()

    def security(self) -> Security:
        """Raises ConfigError."""
        tls = replace(self.tls, verify_outgoing=bool(self.tls.ca_file or self.tls.ca_path or self.trusted))
        return load_security(tls, self.domain, Credentials(authorities=self.trusted), bootstrap=True)

    async def sign(self, servers: Sequence[str], request: SignRequest) -> Issued:
        """A first certificate. Raises MeshError: no server gave one."""
        return decode(await self._ask(servers, SIGN, encode(request)), Issued)

    async def configure(self, servers: Sequence[str], request: ConfigRequest) -> Configuration:
        """A first certificate, and a configuration. Raises MeshError: no server gave one."""
        return decode(await self._ask(servers, CONFIGURE, encode(request)), Configuration)

    async def _ask(self, servers: Sequence[str], method: str, payload: bytes) -> bytes:
        security = self.security()
        provide: Callable[[], Security] = lambda: security  # noqa: E731
        problem: MeshError = Unavailable("no server is known yet")
        order = list(servers)
        self.rng.shuffle(order)
        for address in order:
            try:
                return await ask_once(
                    address,
                    method,
                    payload,
                    TIMEOUT_S,
                    expected_node_id="",
                    identity=lambda: self.identity,
                    security=provide,
                    clock=self.clock,
                    rng=self.rng,
                    metrics=self.metrics,
                    settings=self.settings,
                    bootstrap=True,
                )
            except Denied:
                raise  # the others would say the same
            except MeshError as error:
                problem = error
        raise problem
