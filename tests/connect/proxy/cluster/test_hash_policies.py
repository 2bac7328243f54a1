"""What of a request is hashed (surface row M25)."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.entries.service_resolver import CookieConfig, HashPolicy
from meshagent.connect.proxy.cluster.hash_policies import Hashed, hash_of
from meshagent.connect.proxy.cluster.hashing import combined, hash64


@dataclass
class Request:
    headers: dict[str, str] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    source_ip: str = ""

    def header(self, name: str) -> str | None:
        return self.headers.get(name)

    def query(self, name: str) -> str | None:
        return self.queries.get(name)


def hashed(request: Request, *policies: HashPolicy) -> Hashed:
    return hash_of(policies, request, random.Random(1))


USER = HashPolicy(field="header", field_value="X-User")
PAGE = HashPolicy(field="query_parameter", field_value="page")
SOURCE = HashPolicy(source_ip=True)


def test_each_field() -> None:
    assert hashed(Request({"x-user": "ann"}), USER) == (hash64(b"ann"), "")
    assert hashed(Request(queries={"page": "7"}), PAGE) == (hash64(b"7"), "")
    assert hashed(Request(source_ip="10.0.0.1"), SOURCE) == (hash64(b"10.0.0.1"), "")
    assert hashed(Request(), USER, PAGE, SOURCE) == (None, "")


def test_they_are_combined_in_order() -> None:
    request = Request({"x-user": "ann"}, {"page": "7"})
    assert hashed(request, USER, PAGE)[0] == combined(hash64(b"ann"), hash64(b"7"))
    assert hashed(request, USER, PAGE)[0] != hashed(request, PAGE, USER)[0]


def test_a_terminal_one_ends_the_list_when_it_had_something() -> None:
    terminal = HashPolicy(field="header", field_value="x-user", terminal=True)
    both = Request({"x-user": "ann"}, {"page": "7"})
    assert hashed(both, terminal, PAGE)[0] == hash64(b"ann")
    assert hashed(Request(queries={"page": "7"}), terminal, PAGE)[0] == hash64(b"7")


def test_a_cookie_is_read_or_made() -> None:
    plain = HashPolicy(field="cookie", field_value="sid")
    assert hashed(Request({"cookie": 'a=b; sid="xyz"; c=d'}), plain) == (hash64(b"xyz"), "")
    assert hashed(Request({"cookie": "sidx=1"}), plain) == (None, "")
    lasting = HashPolicy(
        field="cookie", field_value="sid", cookie_config=CookieConfig(ttl=90_000_000_000, path="/shop")
    )
    key, cookie = hashed(Request(), lasting)
    match = re.fullmatch(r'sid="([0-9a-f]{16})"; Max-Age=90; Path=/shop; HttpOnly', cookie)
    assert match is not None
    assert hashed(Request({"cookie": f"sid={match[1]}"}), lasting) == (key, ""), "the next request comes home"
    session = HashPolicy(field="cookie", field_value="sid", cookie_config=CookieConfig(session=True))
    assert hashed(Request(), session)[1].endswith('"; HttpOnly')
    assert "Max-Age" not in hashed(Request(), session)[1]


@given(st.text(), st.text())
def test_any_cookie_header_is_read(header: str, value: str) -> None:
    policy = HashPolicy(field="cookie", field_value="sid")
    key, cookie = hashed(Request({"cookie": header, "x": value}), policy)
    assert cookie == ""
    assert key is None or "sid" in header
