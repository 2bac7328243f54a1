from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.config.watches import Watch
from meshagent.agent.http.routes import Router, load_routes
from meshagent.agent.watches.plans import PLANS, target


@pytest.mark.parametrize(
    ("watch", "expected"),
    [  # surface row G40
        ({"type": "key", "key": "a/b c"}, "/v1/kv/a/b%20c"),
        ({"type": "keyprefix", "prefix": "a/"}, "/v1/kv/a/?recurse="),
        ({"type": "services"}, "/v1/catalog/services"),
        ({"type": "nodes"}, "/v1/catalog/nodes"),
        ({"type": "service", "service": "web"}, "/v1/health/service/web"),
        (
            {"type": "service", "service": "web", "tag": ("a", "b"), "passingonly": True},
            "/v1/health/service/web?tag=a&tag=b&passing=1",
        ),
        ({"type": "checks"}, "/v1/health/state/any"),
        ({"type": "checks", "state": "critical"}, "/v1/health/state/critical"),
        ({"type": "checks", "service": "web"}, "/v1/health/checks/web"),
        ({"type": "event"}, "/v1/event/list"),
        ({"type": "event", "name": "deploy"}, "/v1/event/list?name=deploy"),
        ({"type": "connect_roots"}, "/v1/agent/connect/ca/roots"),
        ({"type": "connect_leaf", "service": "web"}, "/v1/agent/connect/ca/leaf/web"),
        ({"type": "agent_service", "service_id": "web-1"}, "/v1/agent/service/web-1"),
    ],
)
def test_each_type_reads_its_endpoint(watch: dict[str, Any], expected: str) -> None:
    assert target(Watch(**watch), "") == expected


def test_what_all_types_take_is_added() -> None:
    watch = Watch(type="nodes", datacenter="dc2", stale=True, filter='Node == "a"')
    assert target(watch, "7") == "/v1/catalog/nodes?dc=dc2&stale=&filter=Node+%3D%3D+%22a%22&index=7"
    assert target(Watch(type="agent_service", service_id="w"), "ab12") == "/v1/agent/service/w?hash=ab12"


def test_every_type_reads_a_route_that_is_built() -> None:
    router = Router(load_routes())
    for kind in PLANS:
        watch = Watch(type=kind, key="k", prefix="p", service="s", service_id="i")
        found = router.find(target(watch, "").partition("?")[0])
        assert found is not None, kind
        assert "GET" in found.methods, kind
