"""A client's keeper, put together: whom it asks."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from meshtest.certificates import make_ca

from meshagent.agent.auto import own
from meshagent.agent.auto.introductions import join_token
from meshagent.agent.auto.messages import Issued, SignRequest
from meshagent.agent.config import Config
from meshagent.agent.servers import Server
from meshagent.catalog.rpc.hello import CLIENT, Identity
from meshagent.clock import Tasks, VirtualClock
from meshagent.connect.ca import SignedLeaf
from meshagent.errors import ConfigError, Denied
from meshagent.metrics import Metrics


def keeper(tmp_path: Path, config: Config, clock: VirtualClock, tasks: Tasks) -> Any:
    upstream: Any = type("Upstream", (), {"call": None})()
    return own.certificate_keeper(
        config, Identity("id", "c1", "dc1", role=CLIENT), upstream, None, tmp_path, lambda: [Server("10.0.0.1:8300")],
        clock=clock, rng=random.Random(1), metrics=Metrics(), tasks=tasks,
    )  # fmt: skip


async def test_auto_encrypt_asks_the_servers_that_gossip_knows(tmp_path: Path, monkeypatch: Any) -> None:
    clock, tasks = VirtualClock(), Tasks()
    asked: list[Any] = []

    async def sign(self: Any, servers: list[str], request: SignRequest) -> Issued:
        asked.append((servers, request.node))
        begin, end = clock.now().isoformat(), clock.now().replace(year=clock.now().year + 1).isoformat()
        return Issued(SignedLeaf("01", "chain", "c1", "uri", begin, end, 1, "r"))

    monkeypatch.setattr("meshagent.agent.auto.asking.FirstContact.sign", sign)
    config = Config().replace(node_name="c1", datacenter="dc1")
    config = config.replace(auto_encrypt=config.auto_encrypt.replace(tls=True))
    found = keeper(tmp_path, config, clock, tasks)
    tasks.start(found.run(), name="keeper")
    await clock.advance(1)
    assert asked == [(["10.0.0.1:8300"], "c1")]
    assert found.usable
    await tasks.cancel()


async def test_an_introduction_is_shown_to_servers_that_are_known(tmp_path: Path, monkeypatch: Any) -> None:
    """By its own authority, or by that of the configuration; to nobody else."""
    clock, tasks = VirtualClock(), Tasks()
    asked: list[Any] = []

    async def sign(self: Any, servers: list[str], request: SignRequest) -> Issued:
        asked.append((self.trusted, request.introduction))
        raise Denied("no")

    monkeypatch.setattr("meshagent.agent.auto.asking.FirstContact.sign", sign)
    authority = make_ca()
    key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    token = join_token(["10.0.0.1"], authority.pem.decode(), "dc1", "", clock.now(), 60, key, "ES256")
    config = Config().replace(node_name="c1", datacenter="dc1")
    with_token = config.replace(auto_encrypt=config.auto_encrypt.replace(tls=True, intro_token=token))
    with pytest.raises(Denied):
        await keeper(tmp_path, with_token, clock, tasks)._first("key", b"request")
    assert asked == [((authority.pem.decode(),), token)]

    (tmp_path / "jwt").write_text("another token\n")
    from_file = config.auto_encrypt.replace(tls=True, intro_token_file=str(tmp_path / "jwt"))
    with pytest.raises(ConfigError, match="known servers only"):
        await keeper(tmp_path, config.replace(auto_encrypt=from_file), clock, tasks)._first("key", b"request")
    rpc = config.tls.internal_rpc.replace(ca_file="/ca.pem")
    known = config.replace(auto_encrypt=from_file, tls=config.tls.replace(internal_rpc=rpc))
    with pytest.raises(Denied):
        await keeper(tmp_path, known, clock, tasks)._first("key", b"request")
    assert asked[1:] == [((), "another token")]


async def test_auto_config_shows_its_introduction_again(tmp_path: Path) -> None:
    clock, tasks = VirtualClock(), Tasks()
    config = Config().replace(node_name="c1", datacenter="dc1")
    config = config.replace(auto_config=config.auto_config.replace(enabled=True))
    found = keeper(tmp_path, config, clock, tasks)
    with pytest.raises(ConfigError, match="One of auto_config"):
        await found._first("key", b"request")
