"""The messages of a stream; the makers' library is the judge."""

from __future__ import annotations

import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.xds.messages import MAX_NAME, Peer, decode_request, encode_resource, encode_response
from meshagent.connect.envoy.delta import Request
from meshagent.errors import RemoteProtocolError

NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=4)


@given(NAMES, NAMES, st.dictionaries(st.sampled_from("abc"), st.text("0123456789abcdef", max_size=8)), st.booleans())
def test_a_request_of_the_library_is_read(
    subscribe: list[str], unsubscribe: list[str], versions: dict[str, str], refused: bool
) -> None:
    message = discovery_pb2.DeltaDiscoveryRequest(
        type_url="t",
        resource_names_subscribe=subscribe,
        resource_names_unsubscribe=unsubscribe,
        initial_resource_versions=versions,
        response_nonce="7",
    )
    if refused:
        message.error_detail.code, message.error_detail.message = 13, "no"
    asked = decode_request(message.SerializeToString())
    error = "no" if refused else None
    assert asked.request == Request("t", tuple(subscribe), tuple(unsubscribe), versions, "7", error)
    assert asked.peer is None


def test_an_error_without_words_is_one() -> None:
    message = discovery_pb2.DeltaDiscoveryRequest(type_url="t")
    message.error_detail.code = 13
    assert decode_request(message.SerializeToString()).request.error == ""


def test_who_asks_is_known() -> None:
    message = discovery_pb2.DeltaDiscoveryRequest()
    node = message.node
    node.id, node.cluster, node.user_agent_name = "web-sidecar-proxy", "web", "envoy"
    node.metadata.update({"node_name": "n1", "partition": "default", "number": 1, "inner": {"a": [True]}})
    version = node.user_agent_build_version.version
    version.major_number, version.minor_number, version.patch = 1, 40, 2
    node.extensions.add(name="envoy.filters.network.rbac")
    peer = decode_request(message.SerializeToString()).peer
    metadata = {"node_name": "n1", "partition": "default", "number": "", "inner": ""}
    assert peer == Peer("web-sidecar-proxy", metadata, "1.40.2")


def test_a_response_is_read_by_the_library() -> None:
    resource = encode_resource("type", "name", "v1", b"\x0a\x01x")
    message = discovery_pb2.DeltaDiscoveryResponse.FromString(encode_response("type", "3", (resource,), ("gone",)))
    assert message == discovery_pb2.DeltaDiscoveryResponse(
        type_url="type",
        nonce="3",
        removed_resources=["gone"],
        resources=[
            discovery_pb2.Resource(name="name", version="v1", resource=any_pb2.Any(type_url="type", value=b"\x0a\x01x"))
        ],
    )


def test_names_are_bounded() -> None:
    message = discovery_pb2.DeltaDiscoveryRequest(resource_names_subscribe=["x" * (MAX_NAME + 1)])
    with pytest.raises(RemoteProtocolError, match="more than 4096 letters"):
        decode_request(message.SerializeToString())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_an_error(data: bytes) -> None:
    try:
        decode_request(data)
    except RemoteProtocolError:
        pass
