from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.http import request
from meshagent.agent.http.request import (
    CacheControl,
    Query,
    ReadOptions,
    Request,
    parse_bool,
    parse_query,
    unescape,
)
from meshagent.errors import BadRequest


def options(query: str, **headers: str) -> ReadOptions:
    return Request("GET", "/v1/x", Query(query), {name.replace("_", "-"): v for name, v in headers.items()}).options


@pytest.mark.parametrize(
    ("text", "plain"),
    [("a%20b", "a b"), ("%C3%BC", "ü"), ("a+b", "a+b"), ("%2F", "/"), ("%ff", "�"), ("ü%20", "ü ")],
)
def test_escapes_are_undone(text: str, plain: str) -> None:
    assert unescape(text) == plain


@pytest.mark.parametrize("text", ["%", "%2", "%zz", "a%", "%%20"])
def test_bad_escapes_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="invalid URL escape"):
        unescape(text)


@given(st.text())
def test_unescape_gives_text_or_the_named_error(text: str) -> None:
    try:
        assert isinstance(unescape(text), str)
    except ValueError as error:
        assert "%" in text
        assert "escape" in str(error)


class TestQuery:
    def test_first_value_counts_and_all_are_kept(self) -> None:
        query = Query("tag=a&x=1&tag=b")
        assert query.get("tag") == "a"
        assert query.all("tag") == ["a", "b"]
        assert query.names() == ("tag", "x")

    def test_presence_without_value(self) -> None:
        query = Query("stale&raw=")
        assert query.has("stale")
        assert query.get("stale") == ""
        assert query.get("raw") == ""
        assert not query.has("x")
        assert query.get("x") is None

    def test_plus_is_a_space_and_escapes_are_undone(self) -> None:
        assert Query("filter=a+%3D%3D+b").get("filter") == "a == b"

    @pytest.mark.parametrize("pair", ["a=%zz", "a;b=1", "%=1"])
    def test_pairs_go_refuses_are_dropped(self, pair: str) -> None:
        assert Query(f"{pair}&ok=1").names() == ("ok",)


def test_parsed_queries_are_remembered_within_bounds_and_without_tokens() -> None:
    assert parse_query("index=1") is parse_query("index=1")
    assert parse_query("token=a") is not parse_query("token=a")
    assert parse_query("a" * 300) is not parse_query("a" * 300)
    for number in range(3000):
        parse_query(f"index={number}")
    assert len(request._queries) <= request._MAX_QUERIES


class TestReadOptions:
    def test_plain_request(self) -> None:
        assert options("") == ReadOptions()
        assert not options("").blocking

    def test_c12_blocking(self) -> None:
        assert options("index=7&wait=1m30s") == ReadOptions(index=7, wait_ns=90_000_000_000)
        assert options("index=7").blocking
        assert options("index=") == ReadOptions()
        assert options("index=18446744073709551615").index == 2**64 - 1

    @pytest.mark.parametrize("index", ["x", "-1", "1.5", "18446744073709551616", "٣", "1 "])
    def test_c12_bad_index(self, index: str) -> None:
        with pytest.raises(BadRequest, match=r"^Invalid index$"):
            options(f"index={index}")

    @pytest.mark.parametrize("wait", ["10", "zz", "1x"])
    def test_c12_bad_wait(self, wait: str) -> None:
        with pytest.raises(BadRequest, match=r"^Invalid wait time$"):
            options(f"wait={wait}")

    @pytest.mark.parametrize(
        ("query", "mode", "max_stale_ns"),
        [
            ("stale", "stale", 0),
            ("consistent", "consistent", 0),
            ("leader", "leader", 0),
            ("stale&leader", "stale", 0),
            ("consistent&leader", "consistent", 0),
            ("max_stale=10s", "stale", 10_000_000_000),
        ],
    )
    def test_c15_consistency(self, query: str, mode: str, max_stale_ns: int) -> None:
        found = options(query)
        assert (found.consistency, found.max_stale_ns) == (mode, max_stale_ns)

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("stale&consistent", "Cannot specify ?stale with ?consistent, conflicting semantics."),
            ("cached&consistent", "Cannot specify ?cached with ?consistent, conflicting semantics."),
            ("max_stale=zz", 'Invalid max_stale value "zz"'),
        ],
    )
    def test_c15_conflicts(self, query: str, message: str) -> None:
        with pytest.raises(BadRequest) as caught:
            options(query)
        assert str(caught.value) == message

    def test_c19_cache_control(self) -> None:
        found = options("cached", Cache_Control="max-age=60, must-revalidate,stale-if-error=5")
        assert found.cache_control == CacheControl(60.0, True, 5.0)
        assert options("stale", Cache_Control="max-age=x").cache_control == CacheControl()
        with pytest.raises(BadRequest, match=r"^Invalid Cache-Control header\.$"):
            options("cached", Cache_Control="max-age=x")

    def test_c9_datacenter_wins_over_dc(self) -> None:
        assert options("dc=a&datacenter=b").datacenter == "b"
        assert options("dc=a").datacenter == "a"

    def test_c23_node_meta(self) -> None:
        assert options("node-meta=a:1:2&node-meta=b").node_meta == (("a", "1:2"), ("b", ""))


def test_go_booleans() -> None:
    assert [parse_bool(text) for text in ("1", "True", "f", "FALSE")] == [True, True, False, False]
    with pytest.raises(ValueError, match=r'strconv\.ParseBool: parsing "zz": invalid syntax'):
        parse_bool("zz")
