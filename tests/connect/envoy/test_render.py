"""The table of renderers."""

from __future__ import annotations

import msgspec
import pytest
from meshtest.envoyworld import chain_of, snapshot_of

from meshagent.connect.envoy.render import RENDERERS, render
from meshagent.connect.mesh_settings import MeshSettings
from meshagent.connect.snapshot import Cluster, Outbound


def test_a_kind_has_a_row() -> None:
    assert render(snapshot_of()) == RENDERERS["connect-proxy"](snapshot_of())
    with pytest.raises(KeyError):
        render(msgspec.structs.replace(snapshot_of(), kind="typical"))


def test_routes_are_validated_where_the_mesh_entry_wants_it() -> None:
    resolver = {"Kind": "service-resolver", "Name": "api", "ConnectTimeout": "1s"}
    chain = chain_of("api", {"Kind": "service-defaults", "Name": "api", "Protocol": "http"}, resolver)
    (target,) = chain.targets.values()
    snapshot = msgspec.structs.replace(
        snapshot_of(),
        outbound=(Outbound("api", "127.0.0.1", 9, chain=chain),),
        clusters={target.id: Cluster(target, ())},
    )
    assert "validate_clusters" not in render(snapshot).routes["api"]
    wanted = msgspec.structs.replace(snapshot, mesh=MeshSettings(validate_clusters=True))
    assert render(wanted).routes["api"]["validate_clusters"] is True
