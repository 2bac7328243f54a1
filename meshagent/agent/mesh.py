"""The mesh on this agent: its certificate authority (on servers), its leafs, and what warns before one of them lapses.

It joins `connect/authority.py` and `connect/leafs.py` to the agent: roots come from the store, a certificate that nears
its end without being renewed shows as gauge, log line and node check.

Source: surface rows A26-A28, CN1, CN2, M60-M66, G23. What may change here: where roots and signatures come from on an
agent without a store.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

from meshagent.agent.leaf_tokens import LeafTokens
from meshagent.agent.managed_proxies import start_proxies
from meshagent.agent.mesh_replica import MeshReplica
from meshagent.agent.proxies import Proxies
from meshagent.agent.server_calls import decode
from meshagent.catalog.model import Check
from meshagent.clock import Clock
from meshagent.connect.ca import SignedLeaf
from meshagent.connect.intentions import Decision
from meshagent.connect.leafs import LeafStore
from meshagent.errors import Denied

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.core import Agent
    from meshagent.agent.local import LocalState
    from meshagent.catalog.ca import CARoot
    from meshagent.catalog.rpc.hello import Peer
    from meshagent.catalog.rpc.link import Handler
    from meshagent.catalog.watch import Subscription
    from meshagent.connect.authority import Authority, AuthoritySettings
    from meshagent.connect.certs import CertificateFacts
    from meshagent.connect.secondary import Primary
    from meshagent.metrics import Metrics

__all__ = ["CHECK_ID", "SIGN", "Mesh"]

log = logging.getLogger("agent.leaf-certs")

#: Methods of the RPC port: (token, request in PEM) -> a leaf for who may write the service, since 0.3; before that a
#: request alone, which now is that of the anonymous token.
SIGN = "ca-sign-for"
_SIGN_FOR_ANYBODY = "ca-sign"
#: The check that appears while a certificate is in danger, and only then.
CHECK_ID = "_mesh_certificates"
#: How often the certificates are looked at.
LOOK_S = 60.0
#: Destinations remembered for `X-Cache`.
_MAX_TARGETS = 4096
#: A root in its last tenth is told of on every agent.
_ROOT_WARNING = 0.9


class Mesh:
    """The parts of the mesh that one agent holds. `authority` is None on clients."""

    def __init__(
        self,
        agent: Agent,
        settings: AuthoritySettings | None,
        sign: Callable[[bytes], Awaitable[SignedLeaf]] | None = None,
        replica: MeshReplica | None = None,
        primary: Primary | None = None,
    ) -> None:
        """With `settings` this agent is a server and signs itself; else `sign` asks one, and `replica` knows what the
        servers tell. With `primary` the roots are those of the primary datacenter."""
        self._agent = agent
        self._clock: Clock = agent.clock
        self._subscription: Subscription | None = None
        rng: random.Random = agent.rng
        self.authority: Authority | None = None
        if settings is not None:
            from meshagent.connect.authority import Authority  # servers only

            self.authority = Authority(agent.store, agent.write, agent.clock, rng, agent.datacenter, settings, primary)
        ask = self.authority.sign if self.authority is not None else sign
        if ask is None:
            raise TypeError("a client needs a way to have its requests signed")
        self.tokens = LeafTokens(agent)
        self.leafs = LeafStore(
            sign=ask,
            authority=self._roots,
            datacenter=agent.datacenter,
            clock=agent.clock,
            rng=rng,
            tasks=agent.tasks,
        )
        self._warned = ""
        #: What else of this agent may lapse: each says what is in danger, "" when nothing is.
        self.others: list[Callable[[], str]] = []
        self._signing_of: tuple[str, ...] = ()
        self._signing_facts: CertificateFacts | None = None
        self._replica = replica
        self.proxies = Proxies(agent, self, replica)
        self._targets: dict[str, float] = {}
        self._current = False

    def start(self) -> None:
        """Begin: renew leafs, watch the roots."""
        agent = self._agent
        agent.tasks.start(self.leafs.run(), name="leaf certificates")
        agent.tasks.start(self._look(), name="certificate expiry")
        agent.metrics.collect(self.gauges)
        start_proxies(agent)
        self._watch_roots()

    async def lead(self) -> None:
        """What this server does for the mesh while it leads; to be cancelled when it does no more."""
        if self.authority is not None:
            await self.authority.lead()

    def rpc_methods(self) -> dict[str, Handler]:
        """What a server answers on the RPC port: requests for leafs, and what other datacenters ask."""
        authority = self.authority
        if authority is None:
            return {}
        from meshagent.agent.primary import intermediate_methods

        async def signed(token: str, request: bytes) -> bytes:
            guardian: Guardian | None = self._agent.extras.get("acl")
            if guardian is not None:
                from meshagent.connect import certs, spiffe

                service = spiffe.parse(certs.requested_uri(request)).name
                (await guardian.identify(token)).access.require("service", "write", service)
            return await authority.serve_sign(request)

        async def sign_for(_: Peer, payload: bytes) -> bytes:
            return await signed(*decode(payload, tuple[str, bytes]))

        signing: dict[str, Handler] = {SIGN: sign_for, _SIGN_FOR_ANYBODY: lambda _, payload: signed("", payload)}
        return signing | intermediate_methods(self._agent, authority)

    def _roots(self) -> tuple[str, str]:
        table = self._agent.store.ca
        active = table.active
        return table.trust_domain, active.id if active is not None else ""

    def _watch_roots(self) -> None:
        self._subscription = self._agent.store.watches.subscribe(["ca-roots"], self._roots_changed)

    def _roots_changed(self) -> None:
        self._watch_roots()
        self.leafs.root_changed()

    # --- decisions about connections ---------------------------------------------------------------------------

    def follow(self) -> None:
        """The roots are wanted: have them followed on an agent that is told them."""
        if self._replica is not None:
            self._replica.follow()

    async def known(self, kinds: tuple[str, ...] = ()) -> None:
        """Return when this agent knows roots and the entries that decisions are made of, as new as the leader had them
        since it started: who has just begun must not take what he has not heard yet for the default. `kinds` are
        further kinds of entries that are needed.

        Raises:
            Unavailable: no server has told them yet.
            NoLeader: nobody could say whether they are of now.
        """
        if self._replica is not None:
            await self._replica.known(kinds)
        if not self._current:
            await self._agent.log.read_barrier()
            self._current = True

    async def require_intentions(self, service: str) -> None:
        """Make sure that nothing of who may talk to a service is hidden from this agent, which could not deny then.

        Raises:
            Denied: the agent's own token may not read these intentions.
        """
        guardian: Guardian | None = self._agent.extras.get("acl")
        if self._replica is None or guardian is None:
            return
        identity = await guardian.identify(guardian.tokens.agent)
        if not identity.access.allows("intentions", "read", service):
            raise Denied(
                f"the agent's token may not read the intentions of {service} (intentions:read, of service:read)"
            )

    async def services_known(self) -> None:
        """Return when this agent knows the services with virtual addresses. Raises Unavailable."""
        if self._replica is not None:
            await self._replica.services_known()

    def asked_before(self, target: str) -> int | None:
        """Whole seconds since intentions to `target` were asked for first, None for the first time."""
        now = self._clock.monotonic()
        since = self._targets.get(target)
        if since is not None:
            return int(now - since)
        if len(self._targets) >= _MAX_TARGETS:
            del self._targets[next(iter(self._targets))]
        self._targets[target] = now
        return None

    def note_decision(self, source: str, destination: str, decision: Decision) -> None:
        """Count a decision; one that an audit alone allowed is logged too."""
        outcome = "audited" if decision.audited else "allowed" if decision.allowed else "denied"
        self._agent.metrics.incr("connect.authorize", 1, (("outcome", outcome),))
        if decision.audited:
            log.info(
                "intention audit: would be denied: source=%s destination=%s reason=%s",
                source, destination, decision.reason,
            )  # fmt: skip

    # --- what warns --------------------------------------------------------------------------------------------

    def gauges(self, metrics: Metrics) -> None:
        """Seconds until the active root, the certificate that signs, and the first leaf end."""
        now = self._clock.now()
        active = self._agent.store.ca.active
        if active is not None:
            left_s = (datetime.fromisoformat(active.not_after) - now).total_seconds()
            metrics.gauge("mesh.active-root-ca.expiry", left_s)
            between = self._signing(active)
            if between is not None:
                left_s = (between.not_after - now).total_seconds()
            metrics.gauge("mesh.active-signing-ca.expiry", left_s)
        metrics.gauge("leaf-certs.entries_count", len(self.leafs))
        ends = [leaf.valid_before for leaf in self.leafs.leafs()]
        if ends:
            metrics.gauge("leaf-certs.next_expiry", (min(ends) - now).total_seconds())

    def problem(self) -> str:
        """What is in danger, in a sentence; "" when nothing is."""
        level, leaf = self.leafs.worst()
        if leaf is not None and level != "passing":
            word = "has ended" if level == "expired" else "could not be renewed"
            return f"The leaf certificate of {leaf.signed.service} {word}: it is valid until {leaf.signed.valid_before}"
        active = self._agent.store.ca.active
        if active is not None:
            begin, end = datetime.fromisoformat(active.not_before), datetime.fromisoformat(active.not_after)
            if (self._clock.now() - begin) / (end - begin) >= _ROOT_WARNING:
                return f"The root certificate {active.id} ends at {active.not_after}: rotate it"
            between = self._signing(active)
            if between is not None:
                life = between.not_after - between.not_before
                if (self._clock.now() - between.not_before) / life >= _ROOT_WARNING:
                    return f"The intermediate that signs leafs ends at {between.not_after:%Y-%m-%dT%H:%M:%SZ}: renew it"
        return next((found for ask in self.others if (found := ask())), "")

    def _signing(self, active: CARoot) -> CertificateFacts | None:
        """The intermediate that signs leafs; None where the root does."""
        if not active.intermediates:
            return None
        if self._signing_of != active.intermediates:
            from meshagent.connect import certs

            facts = [certs.facts(pem.encode()) for pem in active.intermediates]
            own = certs.facts(active.root_cert.encode()).subject_key_id
            # One that vouches for the root itself is of a rotation.
            self._signing_of = active.intermediates
            self._signing_facts = next((one for one in facts if one.subject_key_id != own), None)
        return self._signing_facts

    async def _look(self) -> None:
        while True:
            await self._clock.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Show or take back the node check. A warning, never critical: services outside the mesh are not affected."""
        local: LocalState = self._agent.local
        problem = self.problem()
        if problem and problem != self._warned:
            log.warning("%s", problem)
        self._warned = problem
        if problem:
            if CHECK_ID not in local.checks:
                local.put_check(Check(check_id=CHECK_ID, name="Mesh Certificates", status="warning", type="mesh"))
            local.update_check(CHECK_ID, "warning", problem)
        elif CHECK_ID in local.checks:
            local.remove_check(CHECK_ID)
