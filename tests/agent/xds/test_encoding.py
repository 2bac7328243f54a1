from __future__ import annotations

import gc
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from meshagent.agent.xds.encoding import Encoder
from meshagent.connect.envoy.resources import CLUSTER, LISTENER, Resources
from meshagent.connect.envoy.wire import decode


def some(**changes: Any) -> Resources:
    return Resources(
        clusters={"a": {"name": "a", "connect_timeout": "5s", **changes}},
        listeners={"l": {"name": "l", "stat_prefix": "s"}},
    )


def test_what_proxies_have_alike_is_one_object() -> None:
    encoder = Encoder()
    one, problems = encoder.prepare(some(), {})
    other, _ = encoder.prepare(some(), {})
    assert problems == {}
    assert one[CLUSTER]["a"] is other[CLUSTER]["a"]
    assert len(encoder) == 2
    sent = discovery_pb2.Resource.FromString(one[CLUSTER]["a"].encoded)
    assert (sent.name, sent.version) == ("a", one[CLUSTER]["a"].version)
    assert decode(sent.resource.value, sent.resource.type_url) == {"name": "a", "connect_timeout": "5s"}
    del one, other
    gc.collect()
    assert len(encoder) == 0, "nobody has it any more"


def test_what_envoy_has_no_field_for_is_left_out() -> None:
    encoder = Encoder()
    before, _ = encoder.prepare(some(), {})
    after, problems = encoder.prepare(some(nonsense=1), before)
    assert list(problems) == ["a"]
    assert "nonsense" in problems["a"]
    assert after[CLUSTER]["a"] is before[CLUSTER]["a"], "what it had goes on"
    assert after[LISTENER]["l"] is before[LISTENER]["l"]
    fresh, problems = encoder.prepare(some(nonsense=1), {})
    assert (list(fresh[CLUSTER]), list(problems)) == ([], ["a"])
