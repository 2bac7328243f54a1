from __future__ import annotations

import zlib
from datetime import UTC, datetime
from email.utils import format_datetime

from hypothesis import given
from hypothesis.strategies import datetimes, just

from meshagent.agent.http.response import JSON, Response
from meshagent.agent.http.wire import GZIP_FROM, DateLine, error_answer, finish, header_block, status_line


def test_head_is_complete_up_to_the_date() -> None:
    answer = finish(Response(200, b"[]", (("X-A", "b"),), JSON), b"Vary: Accept-Encoding\r\n", gzip=True)
    assert answer.head == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nVary: Accept-Encoding\r\nX-A: b\r\nContent-Length: 2\r\n"
    )
    assert answer.body == b"[]"


def test_c28_compression_from_a_size_on() -> None:
    big = finish(Response(200, b"x" * GZIP_FROM), b"", gzip=True)
    assert b"Content-Encoding: gzip\r\n" in big.head
    assert f"Content-Length: {len(big.body)}".encode() in big.head
    assert zlib.decompress(big.body, 31) == b"x" * GZIP_FROM
    for answer in (
        finish(Response(200, b"x" * (GZIP_FROM - 1)), b"", gzip=True),
        finish(Response(200, b"x" * GZIP_FROM), b"", gzip=False),
    ):
        assert b"gzip" not in answer.head


@given(datetimes(min_value=datetime(1000, 1, 1), timezones=just(UTC)))
def test_the_date_is_that_of_the_standard_library(now: datetime) -> None:
    assert DateLine(now).line == f"Date: {format_datetime(now, usegmt=True)}\r\n\r\n".encode()


def test_no_header_can_be_smuggled() -> None:
    assert header_block((("Location", "/a\r\nX-Evil: 1\x00"),)) == b"Location: /a  X-Evil: 1 \r\n"


def test_c3_errors_are_bare_text() -> None:
    answer = error_answer(500, "No path to datacenter", b"", b"X-Consul-Index: 1\r\n", close=True)
    assert answer.body == b"No path to datacenter"
    assert b"Content-Type: text/plain; charset=utf-8\r\n" in answer.head
    assert answer.close
    assert error_answer(500, "\ud800", b"").body == b"?"


def test_a_response_without_content_type_names_none() -> None:
    assert b"Content-Type" not in finish(Response(404, content_type=None), b"", gzip=False).head


def test_status_lines() -> None:
    assert status_line(413) == b"HTTP/1.1 413 Request Entity Too Large\r\n"
    assert status_line(599) == b"HTTP/1.1 599 Unknown\r\n"


def test_date_is_a_new_object_each_second() -> None:
    date = DateLine(datetime(2024, 1, 1, tzinfo=UTC))
    assert date.line == b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n"
    before = date.line
    date.update(datetime(2024, 1, 1, tzinfo=UTC))
    assert date.line is not before
