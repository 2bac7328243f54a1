from __future__ import annotations

import pytest

from meshagent.catalog import commands
from meshagent.catalog.model import Node, Service, ServiceEntry
from meshagent.catalog.peering import commands as p
from meshagent.catalog.peering.model import Peering, TrustBundle

ENTRY = ServiceEntry(Node(name="n", address="10.0.0.1"), Service(id="web", name="web"), ())


@pytest.mark.parametrize(
    "command",
    [
        p.PeeringSet(Peering(id="i", name="east", meta={"a": "b"}), establishment="d"),
        p.PeeringExchange("i", "d", "e"),
        p.PeeringActivate("i", "e", "", "dc2"),
        p.PeeringTell("i", ("10.0.0.1:8503",)),
        p.PeeringDelete("east", "2024-01-01T00:00:00Z"),
        p.PeeringTerminate("i"),
        p.PeeringPurge("i", 10),
        p.TrustBundleSet(TrustBundle(peer="east", trust_domain="t.consul", roots=("pem",))),
        p.ImportedReplace("east", "web", (ENTRY,)),
        p.ImportedKeep("east", ("web",), 10),
    ],
    ids=lambda command: type(command).__name__,
)
def test_commands_survive_their_codec(command: commands.Command) -> None:
    assert commands.decode(commands.encode(command)) == command
