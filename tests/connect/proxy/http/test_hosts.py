"""Virtual hosts: which one a request is for, and what it does to its routes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.entries.entry import HeaderModifiers
from meshagent.catalog.entries.service_intentions import IntentionJWT
from meshagent.connect.proxy.http.hosts import Hosts, after, host_routes
from meshagent.connect.proxy.http.policy import HeaderEdits, Route
from meshagent.connect.proxy.http.routes import Routes

HOSTS = Hosts(
    (patterns, name)
    for name, patterns in {
        "exact": ("a.example.com",),
        "port": ("a.example.com:8080",),
        "wild": ("*.example.com",),
        "longer": ("*.b.example.com",),
        "ingress": ("web.ingress.*",),
        "all": ("*",),
        "second": ("a.example.com",),
    }.items()
)


@pytest.mark.parametrize(
    ("authority", "found"),
    [
        (b"a.example.com", "exact"),
        (b"A.Example.COM:443", "exact"),
        (b"a.example.com:8080", "port"),
        (b"x.example.com", "wild"),
        (b"x.b.example.com:1", "longer"),
        (b".example.com", "all"),
        (b"example.com", "all"),
        (b"web.ingress.consul", "ingress"),
        (b"web.ingress.dc1.consul:8443", "ingress"),
        (b"web.ingress.", "all"),
        (b"", "all"),
        (b"[::1]:80", "all"),
    ],
)
def test_the_most_exact_pattern_counts(authority: bytes, found: str) -> None:
    assert HOSTS.find(authority) == found


def test_without_a_pattern_for_everybody_somebody_has_none() -> None:
    assert Hosts([(("a",), 1)]).find(b"b") is None


@given(st.binary(max_size=40))
def test_any_authority_finds_something_or_nothing(authority: bytes) -> None:
    assert HOSTS.find(authority) is not None


NAMES = st.sampled_from([b"a", b"b", b"c"])
PAIRS = st.lists(st.tuples(NAMES, st.sampled_from([b"1", b"2"])), max_size=3).map(tuple)
SETS = st.dictionaries(NAMES, st.just(b"s"), max_size=2).map(lambda found: tuple(found.items()))
EDITS = st.builds(HeaderEdits, PAIRS, SETS, st.frozensets(NAMES, max_size=2))


@given(EDITS, EDITS, PAIRS)
def test_two_edits_as_one_do_what_they_do_one_after_the_other(
    first: HeaderEdits, then: HeaderEdits, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    expected = then.apply(first.apply(list(headers)))
    assert sorted(after(first, then).apply(list(headers))) == sorted(expected)


def test_a_host_changes_its_routes_and_demands_tokens() -> None:
    wanted = IntentionJWT()
    routes = Routes([(lambda *_: True, Route("a")), (None, Route("b"))])
    made = host_routes(
        routes, HeaderModifiers(set={"X-Edge": "1"}), HeaderModifiers(remove=("X-Secret",)), (None, wanted),
        lambda _: lambda _: None,
    )  # fmt: skip
    first, second = made.routes
    assert first.request.set == ((b"x-edge", b"1"),)
    assert second.response.remove == {b"x-secret"}
    assert (first.check, second.check is not None) == (None, True)


def test_a_host_that_changes_nothing_leaves_the_routes_as_they_are() -> None:
    routes = Routes([(None, Route("a"))])
    assert host_routes(routes, None, None, (), lambda _: lambda _: None) is routes
