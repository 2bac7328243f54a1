"""Conditions of routes."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.http7 import request

from meshagent.catalog.entries.service_router import HeaderMatch, HTTPMatch, QueryMatch
from meshagent.connect.proxy.http.matching import matcher, query_value

HEADERS = [(b"x-a", b"one"), (b"x-b", b"1"), (b"x-b", b"2")]


def header(**more: Any) -> HTTPMatch:
    return HTTPMatch(header=(HeaderMatch(**more),))


def query(**more: Any) -> HTTPMatch:
    return HTTPMatch(query_param=(QueryMatch(**more),))


@pytest.mark.parametrize(
    ("match", "path", "expected"),
    [
        (HTTPMatch(path_exact="/a"), b"/a?b", True),
        (HTTPMatch(path_exact="/a"), b"/ab", False),
        (HTTPMatch(path_exact="/A", case_insensitive=True), b"/a", True),
        (HTTPMatch(path_prefix="/a"), b"/ab", True),
        (HTTPMatch(path_prefix="/a/"), b"/a", False),
        (HTTPMatch(path_prefix="/A", case_insensitive=True), b"/ab", True),
        (HTTPMatch(path_regex="/[0-9]+"), b"/12?x", True),
        (HTTPMatch(path_regex="/[0-9]+"), b"/12x", False),
        (HTTPMatch(path_regex="/A", case_insensitive=True), b"/a", False),
        (HTTPMatch(path_regex="("), b"/(", False),
        (HTTPMatch(methods=("GET", "PUT")), b"/", True),
        (HTTPMatch(methods=("PUT",)), b"/", False),
        (header(name="X-A", exact="one"), b"/", True),
        (header(name="X-A", exact="on"), b"/", False),
        (header(name="X-A", prefix="on"), b"/", True),
        (header(name="X-A", suffix="ne"), b"/", True),
        (header(name="X-A", regex="o.e"), b"/", True),
        (header(name="X-A", regex="o"), b"/", False),
        (header(name="X-A", present=True), b"/", True),
        (header(name="X-A", present=True, invert=True), b"/", False),
        (header(name="X-None", present=True, invert=True), b"/", True),
        (header(name="X-None", exact="a", invert=True), b"/", False),
        (header(name="X-B", exact="1,2"), b"/", False),
        (header(name="X-B", exact="2"), b"/", True),
        (header(name="X-B", exact="2", invert=True), b"/", False),
        (header(name=":authority", prefix="ap"), b"/", True),
        (header(name=":path", suffix="?x"), b"/a?x", True),
        (header(name=":method", exact="GET"), b"/", True),
        (header(name="Host", exact="api"), b"/", True),
        (query(name="a", exact="1"), b"/?b=2&a=1", True),
        (query(name="a", exact="1"), b"/?a=11", False),
        (query(name="a", present=True), b"/?a", True),
        (query(name="a", regex="[0-9]"), b"/?a=5", True),
        (query(name="a", present=True), b"/a=1", False),
    ],
)
def test_conditions(match: HTTPMatch, path: bytes, expected: bool) -> None:
    fits = matcher(match)
    assert fits is not None
    assert fits(path.partition(b"?")[0], request(path, headers=HEADERS)) is expected


def test_all_of_them() -> None:
    fits = matcher(HTTPMatch(path_prefix="/a", methods=("GET",)))
    assert fits is not None
    assert fits(b"/a", request(b"/a"))
    assert not fits(b"/a", request(b"/a", method=b"PUT"))
    assert not fits(b"/b", request(b"/b"))


def test_everything() -> None:
    assert matcher(None) is None
    assert matcher(HTTPMatch()) is None
    assert matcher(HTTPMatch(path_prefix="/")) is None


def test_the_first_value_of_a_parameter() -> None:
    assert query_value(b"/?a=1&a=2", b"a") == b"1"
    assert query_value(b"/", b"a") is None
