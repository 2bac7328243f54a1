"""Addresses of another datacenter in HTTP answers (C30)."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.http.response import JSON, Response
from meshagent.agent.http.translating import _SHAPES, translated, translates
from meshagent.agent.http.wire import Answer, finish

NODE = {"Node": "n", "Address": "10.0.0.1", "TaggedAddresses": {"lan": "10.0.0.1", "wan": "192.0.2.1"}}
WAN = {"wan": {"Address": "192.0.2.9", "Port": 8080}, "lan": {"Address": "10.0.0.9", "Port": 80}}
SERVICE = {"ID": "s", "Address": "10.0.0.9", "Port": 80, "TaggedAddresses": WAN}
FLAT = {**NODE, "ServiceAddress": "10.0.0.9", "ServicePort": 80, "ServiceTaggedAddresses": WAN}


def told(rows: Any, path: str, suffix: str = "", *, packed: bool = False) -> Any:
    answer = finish(Response(200, json.dumps(rows).encode() + b" " * 2000, content_type=JSON), b"", gzip=packed)
    found = translated(answer, path, suffix)
    body = gzip.decompress(found.body) if packed else found.body
    assert f"Content-Length: {len(found.body)}\r\n".encode() in found.head
    return json.loads(body)


def test_each_answer_with_addresses() -> None:
    assert told([NODE], "/v1/catalog/nodes")[0]["Address"] == "192.0.2.1"
    (flat,) = told([FLAT], "/v1/catalog/service/")
    assert (flat["Address"], flat["ServiceAddress"], flat["ServicePort"]) == ("192.0.2.1", "192.0.2.9", 8080)
    (entry,) = told([{"Node": NODE, "Service": SERVICE, "Checks": []}], "/v1/health/service/", packed=True)
    assert (entry["Node"]["Address"], entry["Service"]["Port"]) == ("192.0.2.1", 8080)
    of_node = told({"Node": NODE, "Services": {"s": SERVICE}}, "/v1/catalog/node/")
    assert (of_node["Node"]["Address"], of_node["Services"]["s"]["Address"]) == ("192.0.2.1", "192.0.2.9")
    listed = told({"Node": NODE, "Services": [SERVICE]}, "/v1/catalog/node-services/")
    assert listed["Services"][0]["Address"] == "192.0.2.9"
    done = told({"Nodes": [{"Node": NODE, "Service": SERVICE}], "Service": "s"}, "/v1/query/", "/execute")
    assert done["Nodes"][0]["Service"]["Address"] == "192.0.2.9"


def test_what_has_no_address_for_the_wan_stays() -> None:
    bare = {"Node": "n", "Address": "10.0.0.1", "TaggedAddresses": None}
    assert told([bare], "/v1/catalog/nodes") == [bare]
    assert told([{"Node": bare, "Service": {"Address": "", "Port": 1}}], "/v1/health/service/")[0]["Node"] == bare
    assert told(None, "/v1/catalog/node/") is None
    assert translates("/v1/health/service/", "") and not translates("/v1/kv/", "")


@pytest.mark.parametrize("answer", [Answer(500, b"", b"No path to datacenter"), Answer(200, b"", b"")])
def test_errors_stay_as_they_are(answer: Answer) -> None:
    assert translated(answer, "/v1/catalog/nodes", "") is answer


@given(st.sampled_from(sorted(_SHAPES)), st.binary(max_size=50) | st.sampled_from([b"[1]", b'{"Nodes":[{}]}', b"[{}]"]))
def test_any_body_is_translated_or_left(route: tuple[str, str], body: bytes) -> None:
    assert translated(Answer(200, b"", body), *route).status == 200
