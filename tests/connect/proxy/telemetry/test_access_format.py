"""Envoy's command operators (surface row M22)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.proxy.telemetry.access_format import CONSUL_JSON, OPERATORS, compile_json, compile_text
from meshagent.connect.proxy.telemetry.record import Record

RECORD = Record(
    "inbound", "web", "api", "route", 1_700_000_000.123456, 0.0123, status=200, method="GET", path="/a?b=1",
    authority="api.local", protocol="HTTP/1.1", bytes_in=7, bytes_out=9, first_byte_s=0.005, upstream="10.0.0.1:80",
    cluster="api.default", peer_address="10.9.9.9:4242", peer_identity="spiffe://td/x", tries=2, trace_id="ab" * 16,
    request_headers=[(b"user-agent", b"curl"), (b"x-a", b"1"), (b"x-a", b"2")], response_headers=[(b"server", b"me")],
    trailers=[(b"grpc-status", b"0")],
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("%START_TIME%", "2023-11-14T22:13:20.123Z"),
        ("%START_TIME(%s)%", "1700000000"),
        ("%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%", "2023/11/14 22:13:20.123"),
        ('"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"', '"GET /a?b=1 HTTP/1.1"'),
        ("%REQ(USER-AGENT)% %REQ(X-A)% %REQ(NONE)% %RESP(Server)% %TRAILER(grpc-status)%", "curl 1,2 - me 0"),
        ("%REQ(:PATH):2%|%REQ(:AUTHORITY):100%", "/a|api.local"),
        ("%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION%", "200 - 7 9 12"),
        ("%RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "5 7"),
        ("%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %ROUTE_NAME%", "10.0.0.1:80 api.default route"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_PEER_URI_SAN%", "10.9.9.9 spiffe://td/x"),
        ("100%% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %TRACE_ID%", "100% 2 " + "ab" * 16),
    ],
)
def test_text(text: str, wanted: str) -> None:
    line, unknown = compile_text(text)
    assert line(RECORD) == wanted
    assert unknown == []


def test_what_there_is_none_of_is_named() -> None:
    line, unknown = compile_text("%NOPE% %DYNAMIC_METADATA(a:b)% x")
    assert line(RECORD) == "- - x"
    assert unknown == ["%NOPE%", "%DYNAMIC_METADATA(a:b)%"]


def test_json_keeps_types_and_shape() -> None:
    shape: Any = {
        "code": "%RESPONSE_CODE%",
        "in": {"none": "%REQ(X)%", "both": "%PROTOCOL% %REQ(X)%"},
        "n": 5,
        "l": ["%DURATION%"],
    }
    line, unknown = compile_json(shape)
    assert json.loads(line(RECORD)) == {"code": 200, "in": {"none": None, "both": "HTTP/1.1 -"}, "n": 5, "l": [12]}
    assert unknown == []


def test_consuls_default_has_all_its_operators() -> None:
    line, unknown = compile_json(CONSUL_JSON)
    assert unknown == []
    found = json.loads(line(RECORD))
    assert found.keys() == CONSUL_JSON.keys()
    assert (found["response_code"], found["method"], found["response_flags"]) == (200, "GET", "-")


def test_a_connection_has_no_method() -> None:
    line, _ = compile_text("%REQ(:METHOD)% %PROTOCOL% %RESPONSE_CODE% %CONNECTION_TERMINATION_DETAILS%")
    assert line(Record("outbound", "web", "api", "", 0.0, 1.0, detail="reset")) == "- - 0 reset"


def test_nobody_forges_a_line() -> None:
    line, _ = compile_text("%REQ(X)%")
    forged = Record("inbound", "", "", "", 0.0, 0.0, request_headers=[(b"x", b"a\nGET /")])
    assert "\n" not in line(forged)


@given(st.text(alphabet=st.sampled_from("%(){}:?x9 " + "".join(OPERATORS)[:40]), max_size=40))
def test_any_text_is_a_format(text: str) -> None:
    line, _ = compile_text(text)
    assert isinstance(line(RECORD), str)
