"""Documents of other hosts; what they hold is read in tests/agent/test_jwt_keys.py and tests/connect/proxy/http."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
from meshtest.documents import Documents

from meshagent.documents import MAX_BYTES, fetch
from meshagent.errors import BadRequest, Unavailable

TLS = ssl.create_default_context()


@pytest.fixture
def host() -> Iterator[Documents]:
    made = Documents()
    yield made
    made.close()


def test_a_document_is_fetched_whole_and_only_so_much(host: Documents) -> None:
    host.documents = {"/full": bytes(MAX_BYTES), "/more": bytes(MAX_BYTES + 1)}
    assert len(fetch(f"{host.url}/full", TLS, 30.0)) == MAX_BYTES
    with pytest.raises(BadRequest, match="more than"):
        fetch(f"{host.url}/more", TLS, 30.0)


def test_a_redirect_is_not_followed(host: Documents) -> None:
    host.documents["/there"] = b"x"
    host.moved["/here"] = f"{host.url}/there"
    with pytest.raises(Unavailable, match="302"):
        fetch(f"{host.url}/here", TLS, 30.0)
    assert host.asked == ["/here"]


@pytest.mark.parametrize(
    "url", ["http://issuer.example/keys", "file:///etc/passwd", "ftp://127.0.0.1/", "keys", "http://"]
)
def test_other_ways_are_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="over https only"):
        fetch(url, TLS, 1.0)


def test_who_is_not_there_is_named(host: Documents) -> None:
    with pytest.raises(Unavailable, match="/missing cannot be fetched"):
        fetch(f"{host.url}/missing", TLS, 30.0)
