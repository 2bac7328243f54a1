"""SPIFFE ids (surface row M61)."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.connect import spiffe
from meshagent.connect.spiffe import SpiffeID
from meshagent.errors import RemoteProtocolError

TD = "11111111-2222-3333-4444-555555555555.consul"


@pytest.mark.parametrize(
    ("uri", "identity"),
    [
        (f"spiffe://{TD}/ns/default/dc/dc1/svc/web", SpiffeID(TD, "service", "dc1", "web")),
        (f"spiffe://{TD}/ap/other/ns/n/dc/dc1/svc/web", SpiffeID(TD, "service", "dc1", "web", "n", "other")),
        (f"spiffe://{TD}/agent/client/dc/dc1/id/node", SpiffeID(TD, "agent", "dc1", "node")),
        (f"spiffe://{TD}/agent/server/dc/dc1", SpiffeID(TD, "server", "dc1")),
        (f"spiffe://{TD}/gateway/mesh/dc/dc1", SpiffeID(TD, "mesh-gateway", "dc1")),
        (f"spiffe://{TD}", SpiffeID(TD, "authority")),
    ],
)
def test_forms(uri: str, identity: SpiffeID) -> None:
    assert spiffe.parse(uri) == identity
    assert spiffe.format(identity) == uri


def test_escapes_are_undone_and_case_of_names_is_kept() -> None:
    assert spiffe.parse(f"spiffe://{TD}/ns/default/dc/dc1/svc/we%62").name == "web"
    assert spiffe.parse(f"SPIFFE://{TD.upper()}/ns/default/dc/DC1/svc/WEB") == SpiffeID(TD, "service", "DC1", "WEB")
    assert spiffe.format(spiffe.service_id(TD, "dc1", "a b/c")) == f"spiffe://{TD}/ns/default/dc/dc1/svc/a%20b%2Fc"


@pytest.mark.parametrize(
    "uri",
    [
        "", "x", "http://td/ns/default/dc/dc1/svc/web", "spiffe:///ns/default/dc/dc1/svc/web", f"spiffe://{TD}/svc/web",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/", f"spiffe://{TD}/ns/default/dc/dc1/svc/a/b", f"spiffe://u@{TD}",
        f"spiffe://{TD}:80/agent/server/dc/dc1", f"spiffe://{TD}/ns/default/dc/dc1/svc/web?x",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/%ff", f"spiffe://{TD}/ns/default/dc/dc1/svc/{'w' * 3000}",
    ],
)  # fmt: skip
def test_anything_else_is_refused(uri: str) -> None:
    with pytest.raises(RemoteProtocolError, match="not a valid Connect identifier"):
        spiffe.parse(uri)


@given(st.text(max_size=200) | st.text(max_size=100).map(lambda text: f"spiffe://{TD}/ns/default/dc/dc1/svc/{text}"))
def test_any_text_is_an_identity_or_refused(text: str) -> None:
    try:
        identity = spiffe.parse(text)
    except RemoteProtocolError:
        return
    assert spiffe.parse(spiffe.format(identity)) == identity


@given(st.text(min_size=1, max_size=50).filter(lambda text: text.isprintable()))
def test_every_service_name_has_an_identity(name: str) -> None:
    identity = spiffe.service_id(TD, "dc1", name)
    assert spiffe.parse(spiffe.format(identity)) == identity
