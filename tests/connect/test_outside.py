"""Services outside the mesh; that a snapshot has them is in test_parts.py."""

from __future__ import annotations

from meshagent.catalog.model import Upstream
from meshagent.connect.outside import marked, missing
from meshagent.connect.snapshot import Outbound


def test_only_services_of_this_cluster_are_marked() -> None:
    found = {"ext": (("10.9.9.9", 5432),)}
    given = (Outbound("ext", "", 0), Outbound("ext", "", 0, peer="east"), Outbound("db", "", 0))
    assert [one.outside for one in marked(given, found)] == [(("10.9.9.9", 5432),), (), ()]


def test_what_is_listed_is_not_added_again() -> None:
    listed = (Upstream(destination_name="ext"), Upstream(destination_name="other", destination_peer="east"))
    assert missing({"ext": (), "other": ()}, listed) == ["other"]
