"""Which certificate the HTTPS listeners show, and when they take another (surface rows G4, G15, G16)."""

from __future__ import annotations

import asyncio
import logging
import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from meshtest.certificates import make_ca, make_leaf

from meshagent.agent.config.security import TLSProtocol
from meshagent.agent.https import HttpsSecurity
from meshagent.clock import Tasks
from meshagent.errors import ConfigError


class Listeners:
    def __init__(self) -> None:
        self.taken: list[ssl.SSLContext] = []
        self.news = asyncio.Event()

    async def secure(self, context: ssl.SSLContext) -> None:
        self.taken.append(context)
        self.news.set()


class Keeper:
    """As far as it is asked here."""

    def __init__(self) -> None:
        self.kept: Any = None
        self.on_change: list[Any] = []

    def give(self, chain: bytes, key: bytes) -> None:
        self.kept = SimpleNamespace(chain=chain.decode(), key=key.decode(), authorities=())
        for listener in self.on_change:
            listener()


def security(http: Listeners, keeper: Keeper | None, tls: TLSProtocol, tasks: Tasks) -> HttpsSecurity:
    return HttpsSecurity(http, tls, keeper, tasks)  # type: ignore[arg-type]


async def test_a_certificate_that_cannot_be_used_is_told_before_anything_listens() -> None:
    with pytest.raises(ConfigError, match=r"tls\.https: cert_file '/nowhere.pem'"):
        security(Listeners(), None, TLSProtocol(cert_file="/nowhere.pem", key_file="/nowhere.pem"), Tasks())


async def test_each_certificate_that_servers_give_is_taken() -> None:
    http, keeper, tasks = Listeners(), Keeper(), Tasks()
    https = security(http, keeper, TLSProtocol(), tasks)
    before = https.context
    keeper.give(*make_leaf(make_ca(), "localhost"))
    await asyncio.wait_for(http.news.wait(), 30)
    assert http.taken == [https.context]
    assert https.context is not before
    await tasks.cancel()


async def test_one_of_the_configuration_counts_before_it(tmp_path: Any) -> None:
    certificate, key = make_leaf(make_ca(), "localhost")
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    http, keeper, tasks = Listeners(), Keeper(), Tasks()
    own = TLSProtocol(cert_file=str(tmp_path / "cert.pem"), key_file=str(tmp_path / "key.pem"))
    https = security(http, keeper, own, tasks)
    keeper.give(*make_leaf(make_ca(), "localhost"))
    context = https.load(own)
    await https.take(own, context)
    assert http.taken == [context]


async def test_what_cannot_be_shown_is_told_and_the_old_one_stays(caplog: pytest.LogCaptureFixture) -> None:
    http, keeper, tasks = Listeners(), Keeper(), Tasks()
    https = security(http, keeper, TLSProtocol(), tasks)
    before = https.context
    with caplog.at_level(logging.ERROR):
        keeper.give(b"nonsense", b"nonsense")
        while not caplog.messages:
            await asyncio.sleep(0)
    assert "is not shown over HTTPS" in caplog.messages[0]
    assert (http.taken, https.context) == ([], before)
