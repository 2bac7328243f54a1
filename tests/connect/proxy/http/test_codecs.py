from __future__ import annotations

import pytest
from meshtest.h2pair import Pipe
from meshtest.http7 import World

from meshagent.connect.proxy.http.codecs import client_codec, server_codec
from meshagent.connect.proxy.http.h1.client import Http1ClientCodec
from meshagent.connect.proxy.http.h1.server import Http1ServerCodec
from meshagent.connect.proxy.http2.client import Http2ClientCodec
from meshagent.connect.proxy.http2.server import Http2ServerCodec


@pytest.mark.parametrize(
    ("protocol", "server", "client"),
    [
        ("h2", Http2ServerCodec, Http2ClientCodec),
        ("http/1.1", Http1ServerCodec, Http1ClientCodec),
        ("", Http1ServerCodec, Http1ClientCodec),
    ],
)
def test_a_protocol_has_its_codecs(protocol: str, server: type, client: type) -> None:
    world = World()
    assert type(server_codec(protocol, Pipe(), world.timers, world.manager)) is server
    assert type(client_codec(protocol, Pipe(), world.timers)) is client


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_what_is_no_request_is_counted(protocol: str) -> None:
    world = World()
    codec = server_codec(protocol, Pipe(), world.timers, world.manager)
    codec.data_received(b"\x16\x03\x01\x00\x00 no http at all\r\n\r\n")
    assert sum(world.manager.refused.values()) == 1
