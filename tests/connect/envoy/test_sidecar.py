"""A sidecar; the recorded resources hold what it has, here is when it has nothing."""

from __future__ import annotations

import msgspec
from meshtest.envoyworld import snapshot_of

from meshagent.connect.envoy.resources import Resources
from meshagent.connect.envoy.sidecar import sidecar
from meshagent.connect.snapshot import Inbound, Outbound


def test_nothing_before_there_is_a_certificate() -> None:
    inbound = Inbound("127.0.0.1", 9, "127.0.0.1", 8)
    assert sidecar(msgspec.structs.replace(snapshot_of(), inbound=inbound, leaf_chain="")) == Resources()
    assert sidecar(msgspec.structs.replace(snapshot_of(), inbound=inbound)).listeners


def test_an_upstream_without_a_chain_is_left_out() -> None:
    broken = Outbound("api", "127.0.0.1", 9, problem="circular")
    assert len(sidecar(msgspec.structs.replace(snapshot_of(), outbound=(broken,))).listeners) == 1
