"""Where a redirect leads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.http7 import request

from meshagent.catalog.entries.service_router import Redirect
from meshagent.connect.proxy.http.redirecting import location, redirecting


@pytest.mark.parametrize(
    ("parts", "authority", "path", "wanted"),
    [
        ({"scheme_redirect": "https"}, b"api:8080", b"/a?b=1", b"https://api:8080/a?b=1"),
        ({"scheme_redirect": "https"}, b"api:80", b"/a", b"https://api/a"),
        ({"scheme_redirect": "https", "port_redirect": 443}, b"api:8080", b"/a", b"https://api/a"),
        ({"scheme_redirect": "https", "port_redirect": 8443}, b"api", b"/a", b"https://api:8443/a"),
        ({"host_redirect": "new.example"}, b"api:8080", b"/a", b"http://new.example/a"),
        ({"host_redirect": "[::1]", "port_redirect": 81}, b"api", b"/a", b"http://[::1]:81/a"),
        ({"port_redirect": 81}, b"[::1]:80", b"/a", b"http://[::1]:81/a"),
        ({"path_redirect": "/new"}, b"[::1]", b"/a?b", b"http://[::1]/new?b"),
        ({"path_redirect": "/new?c"}, b"api", b"/a?b", b"http://api/new?c"),
        ({"path_redirect": "/new", "strip_query": True}, b"api", b"/a?b", b"http://api/new"),
        ({"prefix_rewrite": "/new/"}, b"api", b"/old/x/y?b", b"http://api/new/x/y?b"),
        ({"strip_query": True}, b"api", b"/a?b", b"http://api/a"),
        ({"path_redirect": "/new"}, b"", b"/a?b", b"/new?b"),
        ({"host_redirect": "b"}, b"a", b"*", b"http://b/"),
        ({"host_redirect": "b"}, b"a", b"//evil/x", b"http://b//evil/x"),
    ],
)
def test_what_is_left_out_stays(parts: dict[str, Any], authority: bytes, path: bytes, wanted: bytes) -> None:
    head = request(path)
    head.authority = authority
    assert location(Redirect(**parts), b"/old/", head) == wanted


def test_the_answer() -> None:
    reply = redirecting(Redirect(path_redirect="/new"), "")(request(b"/a"))
    assert (reply.status, reply.body, reply.flag) == (301, b"", "")
    assert reply.headers[0][0] == b"location"
    assert redirecting(Redirect(path_redirect="/new", response_code=308), "")(request(b"/a")).status == 308


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_it_adds_no_controls_of_its_own(authority: bytes, path: bytes) -> None:
    head = request(b"/" + path)
    head.authority = authority
    found = location(Redirect(prefix_rewrite="/n"), b"/", head)
    assert {one for one in found if one < 0x20} <= set(authority + path)
