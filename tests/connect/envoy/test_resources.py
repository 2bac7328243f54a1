"""The containers of resources."""

from __future__ import annotations

from meshagent.connect.envoy.resources import CLUSTER, ENDPOINTS, LISTENER, ORDER, ROUTES, Resources, typed


def test_what_is_named_comes_before_what_names_it() -> None:
    assert ORDER.index(CLUSTER) < ORDER.index(ENDPOINTS) < ORDER.index(LISTENER) < ORDER.index(ROUTES)


def test_resources_are_found_by_their_type() -> None:
    held = Resources(clusters={"a": {}}, endpoints={"b": {}}, listeners={"c": {}}, routes={"d": {}})
    assert [list(held.of(kind)) for kind in ORDER] == [["a"], ["b"], ["c"], ["d"]]


def test_a_typed_message_says_its_type_first() -> None:
    assert typed("envoy.x.Y", {"a": 1}) == {"@type": "type.googleapis.com/envoy.x.Y", "a": 1}
