from __future__ import annotations

from typing import Any

import pytest
from meshtest.http7 import World, request
from meshtest.meshcerts import TRUST_DOMAIN

from meshagent.catalog.entries.table import parse
from meshagent.connect import spiffe
from meshagent.connect.intentions import of_entry
from meshagent.connect.proxy.http.messages import RequestHead
from meshagent.connect.proxy.http.rbac import Rbac
from meshagent.connect.proxy.http.streams import Peer
from meshagent.connect.snapshot import ProxySnapshot


def identity(service: str, domain: str = TRUST_DOMAIN) -> str:
    return spiffe.format(spiffe.service_id(domain, "dc1", service))


def snapshot(*sources: dict[str, Any], allow: bool = True) -> ProxySnapshot:
    entry: Any = parse({"Kind": "service-intentions", "Name": "api", "Sources": list(sources)}) if sources else None
    intentions = tuple(of_entry(entry)) if entry is not None else ()
    return ProxySnapshot("p", "api", "dc1", TRUST_DOMAIN, allow, "the default", intentions)


class Side(World):
    """An inbound side whose snapshot the test changes."""

    def __init__(self, now: ProxySnapshot) -> None:
        super().__init__()
        self.snapshot = now
        self.denied = 0
        self.rbac = Rbac(lambda: self.snapshot, self._denied)
        self.manager.filters = (self.rbac,)

    def _denied(self) -> None:
        self.denied += 1

    def status(self, service: str, head: RequestHead | None = None, uri: str = "") -> int:
        client = self.ask(head, peer=Peer(identity=uri or identity(service)))
        if not client.status:
            self.requests[-1].answer(200)
        return client.status


@pytest.mark.parametrize("allow", [True, False])
def test_without_intentions_the_default_decides(allow: bool) -> None:
    side = Side(snapshot(allow=allow))
    assert side.status("web") == (200 if allow else 403)


def test_an_intention_decides() -> None:
    side = Side(snapshot({"Name": "web", "Action": "deny"}, {"Name": "*", "Action": "allow"}, allow=False))
    assert [side.status("web"), side.status("web"), side.status("other")] == [403, 403, 200]
    assert side.denied == 2
    assert side.finished[0][0] == 403


def test_a_change_decides_the_next_request() -> None:
    side = Side(snapshot({"Name": "web", "Action": "allow"}))
    assert side.status("web") == 200
    side.snapshot = snapshot({"Name": "web", "Action": "deny"})
    assert side.status("web") == 403


@pytest.mark.parametrize(
    ("uri", "status"),
    [("", 403), ("spiffe://other.consul/ns/default/dc/dc1/svc/web", 403), ("https://web", 403)],
)
def test_who_is_not_of_the_mesh_is_denied(uri: str, status: int) -> None:
    side = Side(snapshot())
    assert side.status("", uri=uri or "none") == status


class TestPermissions:
    rules = (
        {"Action": "deny", "HTTP": {"PathPrefix": "/admin"}},
        {"Action": "allow", "HTTP": {"PathExact": "/echo.Echo/Say", "Methods": ["POST"]}},
        {"Action": "allow", "HTTP": {"Header": [{"Name": "x-key", "Exact": "b"}]}},
    )

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (request(b"/echo.Echo/Say", b"POST"), 200),
            (request(b"/echo.Echo/Say?x=1", b"POST"), 200),
            (request(b"/echo.Echo/Say", b"GET"), 403),
            (request(b"/admin/x", b"POST", [(b"x-key", b"a,b")]), 403),
            (request(b"/", headers=[(b"x-key", b"a"), (b"x-key", b"b")]), 200),
            (request(b"/"), 403),
            (request(b"/\xff\xfe"), 403),
        ],
    )
    def test_each_request_is_looked_at(self, head: RequestHead, status: int) -> None:
        side = Side(snapshot({"Name": "web", "Permissions": list(self.rules)}, allow=False))
        assert side.status("web", head.copy()) == status
        assert side.status("web", head.copy()) == status

    def test_the_source_is_named(self) -> None:
        side = Side(snapshot({"Name": "web", "Permissions": list(self.rules)}))
        client = side.ask(request(b"/echo.Echo/Say", b"POST"), peer=Peer(identity=identity("web")))
        assert {exchange.identity for exchange in side.manager.active} == {"web"}
        assert not client.ended


def test_audit_lets_pass() -> None:
    assert Side(snapshot({"Name": "web", "Action": "audit"}, allow=False)).status("web") == 200
