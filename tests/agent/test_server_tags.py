"""Reading a server from the tags of a member; tags are other people's words."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.agent.gossip.member import Member
from meshagent.agent.server_tags import ServerTags, read_server

ID = "adf4238a-882b-9ddc-4a9d-5b6758e4159e"
TAGS = {
    "role": "consul", "dc": "dc1", "id": ID, "port": "8300", "expect": "3", "raft_vsn": "3", "grpc_tls_port": "8503",
    "build": "1.20.1:abc",
}  # fmt: skip


def member(**changes: str | None) -> Member:
    tags = {**TAGS, **changes}
    return Member(
        name="n1", addr="10.0.0.1", port=8301, tags={key: text for key, text in tags.items() if text is not None}
    )


def test_a_server() -> None:
    found = read_server(member(), "dc1")
    assert found is not None
    assert (found.name, found.node_id, found.address, found.expect, found.bootstrap) == (
        "n1",
        ID,
        "10.0.0.1:8300",
        3,
        False,
    )
    assert (found.facts.grpc_tls_port, found.facts.grpc_port, found.facts.version) == (8503, 0, "1.20.1")
    assert found.facts.serf_protocol == (2, 1, 5)


def test_ids_are_lower_case_and_addresses_of_ipv6_in_brackets() -> None:
    found = read_server(Member(name="n1", addr="::1", port=1, tags={**TAGS, "id": ID.upper(), "bootstrap": "1"}), "dc1")
    assert found is not None
    assert (found.node_id, found.address, found.bootstrap) == (ID, "[::1]:8300", True)


@pytest.mark.parametrize(
    "changes",
    [{"role": "node"}, {"role": None}, {"dc": "dc2"}, {"id": "x"}, {"id": None}, {"port": "0"}, {"port": "70000"},
     {"port": "8300x"}, {"port": None}],
)  # fmt: skip
def test_no_server_of_this_datacenter(changes: dict[str, str | None]) -> None:
    assert read_server(member(**changes), "dc1") is None


@given(st.dictionaries(st.sampled_from([*TAGS, "bootstrap", "nonvoter"]), st.text(max_size=8)))
def test_any_tags_are_a_server_or_none(tags: dict[str, str]) -> None:
    found = read_server(Member(name="n", addr="h", port=1, tags={**TAGS, **tags}), "dc1")
    assert found is None or isinstance(found, ServerTags)
