"""Which server name leads where."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.gateways.ways import MeshGateway

GATEWAY = MeshGateway((), {"api.dc1.td": "api"}, {".dc2.td": "two", ".dc3.td": "three"})


def test_an_exact_name_goes_before_an_end() -> None:
    found = MeshGateway((), {"a.dc2.td": "own"}, {".dc2.td": "two"})
    assert [found.upstream(name) for name in ("a.dc2.td", "b.dc2.td", "dc2.td")] == ["own", "two", ""]


@given(st.text(max_size=40))
def test_any_name_leads_somewhere_or_nowhere(name: str) -> None:
    assert GATEWAY.upstream(name) in {"", "api", "two", "three"}
