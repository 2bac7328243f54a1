from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.envoy.resources import CLUSTER, LISTENER, ORDER, Resources
from meshagent.connect.envoy.versioned import Versioned, versioned


def some(**changes: Any) -> Resources:
    return Resources(clusters={"a": {"name": "a", "connect_timeout": "5s", **changes}}, listeners={"l": {"name": "l"}})


def test_the_same_has_the_same_version_in_any_order() -> None:
    assert Versioned({"a": 1, "b": [2]}).version == Versioned({"b": [2], "a": 1}).version
    assert Versioned({"a": 1, "b": [2, 3]}).version != Versioned({"a": 1, "b": [3, 2]}).version


def test_what_did_not_change_has_its_version() -> None:
    before, after = versioned(some()), versioned(some(type="EDS"))
    assert list(after) == list(ORDER)
    assert after[LISTENER]["l"].version == before[LISTENER]["l"].version
    assert after[CLUSTER]["a"].version != before[CLUSTER]["a"].version


def test_what_is_sent_to_is_known_without_the_resource() -> None:
    one = Versioned({"filter": {"cluster": "a"}})
    version = one.version
    one.forget()
    assert (one.resource, one.version, one.clusters) == ({}, version, {"a"})


def test_what_is_sent_to_is_found() -> None:
    listener = {
        "filter_chains": [
            {
                "filter_chain_match": {"server_names": ["sni"]},
                "filters": [
                    {"typed_config": {"cluster": "tcp"}},
                    {
                        "typed_config": {
                            "weighted_clusters": {"clusters": [{"name": "w1", "weight": 1}, {"name": "w2"}]}
                        }
                    },
                    {"typed_config": {"grpc_service": {"envoy_grpc": {"cluster_name": "authz"}}}},
                    {
                        "typed_config": {
                            "route": {"cluster": "http", "request_mirror_policies": [{"cluster": "mirror"}]}
                        }
                    },
                ],
            }
        ]
    }
    assert Versioned(listener).clusters == {"tcp", "w1", "w2", "authz", "http", "mirror"}
    aggregate = {"name": "x", "cluster_type": {"typed_config": {"clusters": ["one", "two"]}}}
    assert Versioned(aggregate).clusters == {"one", "two"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_a_version_depends_on_what_is_in_it_alone(resource: dict[str, Any]) -> None:
    assert Versioned(resource).version == Versioned(copy.deepcopy(resource)).version
    assert Versioned({**resource, "more": [1]}).version != Versioned({**resource, "more": [2]}).version
    assert isinstance(Versioned(resource).clusters, frozenset)
