from __future__ import annotations

import pytest

from meshagent.connect.proxy.http.messages import RequestHead, ResponseHead
from meshagent.connect.proxy.http2.heads import read_request, read_response, write_request, write_response
from meshagent.errors import RemoteProtocolError

PSEUDO = ((b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"api"), (b":path", b"/a?b=1"))


def test_a_request_is_read() -> None:
    head = read_request((*PSEUDO, (b"te", b"trailers"), (b"content-length", b"5"), (b"x", b"1"), (b"x", b"2")))
    assert (head.method, head.scheme, head.authority, head.path) == (b"POST", b"https", b"api", b"/a?b=1")
    assert head.headers == [(b"te", b"trailers"), (b"content-length", b"5"), (b"x", b"1"), (b"x", b"2")]
    assert (head.length, head.version, head.upgrade, head.expects_continue) == (5, 20, b"", False)


def test_what_is_written_is_read_again() -> None:
    head = RequestHead(b"GET", b"http", b"api:80", b"/", [(b"a", b"b")], version=20)
    assert read_request(tuple(write_request(head))) == head
    answer = ResponseHead(404, [(b"content-length", b"3")], 3)
    assert read_response(tuple(write_response(answer))) == answer


def test_host_stands_in_for_authority() -> None:
    head = read_request(
        ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b"host", b"api"), (b"a", b"b"))
    )
    assert head.authority == b"api"
    assert head.headers == [(b"a", b"b")]


def test_the_same_host_is_dropped_and_another_one_refused() -> None:
    assert read_request((*PSEUDO, (b"host", b"api"))).headers == []
    with pytest.raises(RemoteProtocolError, match="authority"):
        read_request((*PSEUDO, (b"host", b"other")))


def test_no_authority_is_written_where_there_is_none() -> None:
    fields = write_request(RequestHead(b"GET", b"", b"", b"/", []))
    assert fields == [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]


def test_crumbs_of_a_cookie_are_joined() -> None:
    head = read_request((*PSEUDO, (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")))
    assert head.headers == [(b"x", b"y"), (b"cookie", b"a=1; b=2")]


def test_expect_continue() -> None:
    assert read_request((*PSEUDO, (b"expect", b"100-Continue"))).expects_continue


class TestExtendedConnect:
    def test_it_is_an_upgrade(self) -> None:
        head = read_request(((b":method", b"CONNECT"), (b":protocol", b"websocket"), *PSEUDO[1:]))
        assert (head.method, head.upgrade) == (b"GET", b"websocket")
        fields = dict(write_request(head))
        assert (fields[b":method"], fields[b":protocol"]) == (b"CONNECT", b"websocket")

    def test_a_plain_connect_is_refused(self) -> None:
        with pytest.raises(RemoteProtocolError, match="protocol"):
            read_request(((b":method", b"CONNECT"), (b":authority", b"api:80")))

    @pytest.mark.parametrize("protocol", [b"h2c", b"connect-udp", b"websocket, h2c"])
    def test_nothing_but_a_websocket_is_passed_through(self, protocol: bytes) -> None:
        with pytest.raises(RemoteProtocolError, match="websocket"):
            read_request(((b":method", b"CONNECT"), (b":protocol", protocol), *PSEUDO[1:]))

    @pytest.mark.parametrize(("status", "upgrade", "written"), [(101, True, b"200"), (403, True, b"403")])
    def test_its_101_is_200(self, status: int, upgrade: bool, written: bytes) -> None:
        assert write_response(ResponseHead(status, []), upgrade) == [(b":status", written)]
