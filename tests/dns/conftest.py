"""A small catalog, and questions to it through dnspython's eyes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from meshtest.dnstext import answer_of, question_bytes

from meshagent.catalog.commands import Command, Deregister, Register
from meshagent.catalog.model import Check, Node, Service, ServiceAddress, Weights
from meshagent.catalog.store import Store
from meshagent.clock import VirtualClock
from meshagent.dns.responder import Elsewhere, Responder
from meshagent.dns.settings import DnsSettings


class Scene:
    """A store with a clock and a responder, and short ways to change the one and ask the other."""

    def __init__(self, settings: DnsSettings, seed: int = 1) -> None:
        self.store = Store()
        self.clock = VirtualClock()
        self.rng = random.Random(seed)
        self.responder = Responder(self.store, settings, self.clock, self.rng, "dc1")

    def run(self, *commands: Command) -> None:
        for command in commands:
            self.store.execute(command)
        self.store.flush()

    def node(self, name: str, address: str, **more: Any) -> None:
        self.run(Register(Node(name=name, address=address, datacenter="dc1", **more)))

    def service(
        self,
        node: str,
        name: str,
        *,
        service_id: str = "",
        status: str = "passing",
        weights: tuple[int, int] = (1, 1),
        tagged: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        row = Service(
            name=name,
            id=service_id or name,
            weights=Weights(passing=weights[0], warning=weights[1]),
            tagged_addresses={k: ServiceAddress(address=v) for k, v in tagged.items()} if tagged else None,
            **more,
        )
        check = Check(node=node, check_id=f"c-{row.id}", service_id=row.id, status=status)
        self.run(Register(self.store.registrations.nodes[node.lower()], row, (check,)))

    def status(self, node: str, service_id: str, status: str) -> None:
        check = Check(node=node, check_id=f"c-{service_id or 'node'}", service_id=service_id, status=status)
        self.run(Register(self.store.registrations.nodes[node.lower()], None, (check,)))

    def gone(self, node: str, service_id: str = "") -> None:
        self.run(Deregister(node, service_id))

    def reply(self, packet: bytes, *, tcp: bool = False) -> bytes | Elsewhere | None:
        return self.responder.reply(packet, tcp, self.clock.monotonic())

    def ask(self, name: str, qtype: str = "A", **query: Any) -> Any:
        """The answer as text (meshtest.golden.DnsAnswer); `query` as in the golden recordings."""
        packet = question_bytes({"name": name, "type": qtype, **query})
        found = self.reply(packet, tcp=query.get("tcp", False))
        assert not isinstance(found, Elsewhere), "this question needs a recursor"
        answer = answer_of(None if found is None else packet[:2] + found)
        assert answer.problem == ""
        return answer

    def answers(self, name: str, qtype: str = "A", **query: Any) -> list[str]:
        return list(self.ask(name, qtype, **query).sections["answer"])


@pytest.fixture
def scene() -> Callable[..., Scene]:
    """`scene()` or `scene(domain="mesh.", ...)`: an empty catalog under those settings."""

    def make(*, seed: int = 1, **settings: Any) -> Scene:
        return Scene(DnsSettings(**settings), seed)

    return make


@pytest.fixture
def shop(scene: Callable[..., Scene]) -> Scene:
    """The catalog most tests ask: nodes n1 to n3, a service web on them, a database with tags and weights."""
    made = scene()
    made.node("n1", "10.0.0.1", meta={"rack": "a1"})
    made.node("n2", "10.0.0.2")
    made.node("n3", "fd00::3")
    made.service("n1", "consul", port=8300)
    for node in ("n1", "n2", "n3"):
        made.service(node, "web", port=80)
    made.service("n1", "db", port=5432, tags=("primary",), address="10.9.0.1")
    made.service("n2", "db", port=5433, tags=("Replica",), weights=(10, 3), status="warning")
    return made
