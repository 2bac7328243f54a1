"""The host that a service outside is called by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from meshagent.connect.proxy.http.messages import RequestHead
from meshagent.connect.proxy.http.rewriting import RewriteHost


@pytest.mark.parametrize(("host", "found"), [(b"db.example.com", b"db.example.com"), (b"", b"legacy")])
def test_it_is_the_instances_where_it_has_a_name(host: bytes, found: bytes) -> None:
    exchange: Any = SimpleNamespace(head=RequestHead(b"GET", b"http", b"legacy", b"/", []))
    assert RewriteHost(lambda: host)(exchange) is None
    assert exchange.head.authority == found
