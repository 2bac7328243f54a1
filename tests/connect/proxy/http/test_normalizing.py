"""Paths that come in have one form, for intentions and for the application."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.http7 import World, request

from meshagent.connect.mesh_settings import Normalization
from meshagent.connect.proxy.http.normalizing import Normalizer, normal_path


def world(rules: Normalization) -> World:
    found = World()
    found.manager.filters = (Normalizer(lambda: rules),)
    return found


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"/a", b"/a"),
        (b"/a.b/..c/d..", b"/a.b/..c/d.."),
        (b"/public/../admin", b"/admin"),
        (b"/a/./b/.", b"/a/b/"),
        (b"/a/b/..", b"/a/"),
        (b"/..", b"/"),
        (b"/../../etc", b"/etc"),
        (b"/%61dmin/%7e", b"/admin/~"),
        (b"/a/%2e%2E/b", b"/b"),
        (b"/a\\..\\b", b"/b"),
        (b"/a%2fb%5c", b"/a%2Fb%5C"),
        (b"/a//b", b"/a//b"),
        (b"/a%", b"/a%"),
        (b"/a%zz%4", b"/a%zz%4"),
        (b"/a%00", None),
    ],
)
def test_normal_forms(path: bytes, normal: bytes | None) -> None:
    assert normal_path(path, True, False, False) == normal


@given(st.binary(max_size=60), st.booleans(), st.booleans())
def test_any_path_has_a_normal_form_that_stays(path: bytes, merge: bool, unescape: bool) -> None:
    normal = normal_path(b"/" + path, True, merge, unescape)
    if normal is not None:
        assert normal.startswith(b"/")
        parts = normal.split(b"/")
        assert not {b".", b".."} & set(parts)
        assert b"\\" not in normal
        assert not merge or b"//" not in normal


@pytest.mark.parametrize(
    ("rules", "path", "status", "seen"),
    [
        (Normalization(), b"/x/../admin?a=/../b", 200, b"/admin?a=/../b"),
        (Normalization(), b"*", 200, b"*"),
        (Normalization(), b"/a%2Fb", 200, b"/a%2Fb"),
        (Normalization(), b"/a%00", 400, None),
        (Normalization(path=False), b"/x/../admin", 200, b"/x/../admin"),
        (Normalization(merge_slashes=True), b"//a///b?c=//", 200, b"/a/b?c=//"),
        (Normalization(escaped_slashes="KEEP_UNCHANGED"), b"/a%2fb", 200, b"/a%2Fb"),
        (Normalization(escaped_slashes="REJECT_REQUEST"), b"/a%2fb", 400, None),
        (Normalization(escaped_slashes="REJECT_REQUEST"), b"/a?b=%2f", 200, b"/a?b=%2f"),
        (Normalization(escaped_slashes="UNESCAPE_AND_FORWARD"), b"/x%2f..%5cb", 200, b"/b"),
        (Normalization(escaped_slashes="UNESCAPE_AND_REDIRECT"), b"/a%2fb?c", 307, None),
        (Normalization(escaped_slashes="UNESCAPE_AND_REDIRECT"), b"/a/./b", 200, b"/a/b"),
    ],
)
def test_what_the_rules_make_of_a_request(rules: Normalization, path: bytes, status: int, seen: bytes | None) -> None:
    found = world(rules)
    client = found.ask(request(path))
    assert [one.head.path for one in found.requests] == ([] if seen is None else [seen])
    if seen is None:
        assert client.status == status
    if status == 307:
        assert client.head is not None
        assert (b"location", b"/a/b?c") in client.head.headers


@pytest.mark.parametrize(
    ("action", "left"),
    [("", [b"a_b", b"c"]), ("ALLOW", [b"a_b", b"c"]), ("DROP_HEADER", [b"c"]), ("REJECT_REQUEST", None)],
)
def test_names_with_underscores(action: str, left: list[bytes] | None) -> None:
    found = world(Normalization(underscores=action))
    client = found.ask(request(headers=[(b"a_b", b"1"), (b"c", b"2")]))
    if left is None:
        assert (client.status, found.requests) == (400, [])
    else:
        assert [name for name, _ in found.requests[0].head.headers] == left


def test_what_is_remembered_is_bounded() -> None:
    normalizer = Normalizer(Normalization)
    found = World()
    found.manager.filters = (normalizer,)
    for at in range(3000):
        found.ask(request(b"/%d" % at))
        found.ask(request(b"/" + b"x" * 300 + b"%d" % at))
    assert len(normalizer._normal) <= 1024
    assert max(map(len, normalizer._normal)) <= 256
    later = World()
    later.manager.filters = (normalizer,)
    later.ask(request(b"/a/../b"))
    assert later.requests[0].head.path == b"/b"
