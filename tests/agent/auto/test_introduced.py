"""Before a client starts: where its introduction comes from, and what is asked for when."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from meshtest import certificates

from meshagent.agent.auto import introduced as module
from meshagent.agent.auto import kept as disk
from meshagent.agent.auto.introduced import Introduction, introduced
from meshagent.agent.auto.introductions import join_token
from meshagent.agent.auto.kept import kept_of
from meshagent.agent.auto.messages import Issued
from meshagent.agent.config import Config
from meshagent.clock import Tasks, VirtualClock
from meshagent.connect.ca import SignedLeaf
from meshagent.errors import ConfigError, Denied
from meshagent.metrics import Metrics

AUTHORITY = certificates.make_ca()
KEY = AUTHORITY.key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


def config(ca_file: str = "", **block: Any) -> Config:
    whole = Config().replace(node_name="c1", datacenter="dc1")
    rpc = whole.tls.internal_rpc.replace(ca_file=ca_file)
    return whole.replace(
        auto_config=whole.auto_config.replace(enabled=True, **block), tls=whole.tls.replace(internal_rpc=rpc)
    )


def token() -> str:
    now = VirtualClock().now()
    return join_token(["10.0.0.1", "[::1]:9"], AUTHORITY.pem.decode(), "dc7", "", now, 60, KEY, "ES256")


def test_a_join_token_says_everything() -> None:
    found = Introduction.of(config(intro_token=token()), {})
    assert found.servers == ("10.0.0.1:8300", "[::1]:9")
    assert found.trusted == (AUTHORITY.pem.decode(),)
    assert found.datacenter == "dc7"


def test_another_token_needs_addresses_and_an_authority() -> None:
    found = Introduction.of(config("ca.pem", intro_token="jwt", server_addresses=("a", "b:1")), {})
    assert (found.servers, found.trusted, found.datacenter) == (("a:8300", "b:1"), (), "")
    with pytest.raises(ConfigError, match="list of addresses"):
        Introduction.of(config("ca.pem", intro_token="jwt"), {})
    with pytest.raises(ConfigError, match="configuring TLS"):
        Introduction.of(config(intro_token="jwt", server_addresses=("a",)), {})


def test_option_before_environment_before_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from file\n")
    rest: dict[str, Any] = {"server_addresses": ("a",), "intro_token_file": str(tmp_path / "token")}
    environ = {"CONSUL_INTRO_TOKEN": "from environment"}
    assert Introduction.of(config("ca.pem", intro_token="given", **rest), environ).token == "given"
    assert Introduction.of(config("ca.pem", **rest), environ).token == "from environment"
    assert Introduction.of(config("ca.pem", **rest), {}).token == "from file"
    (tmp_path / "token").unlink()
    with pytest.raises(ConfigError, match="intro_token_file"):
        Introduction.of(config("ca.pem", **rest), {})
    with pytest.raises(ConfigError, match="One of auto_config"):
        Introduction.of(config("ca.pem"), {})


def kept(clock: VirtualClock, hours: float, options: dict[str, Any] | None) -> disk.Kept:
    from datetime import timedelta

    begin = clock.now() - timedelta(hours=1)
    leaf = SignedLeaf(
        "01", "chain", "c1", "uri", begin.isoformat(), (clock.now() + timedelta(hours=hours)).isoformat(), 1, "r"
    )
    return kept_of("c1", "dc1", "key", Issued(leaf), options)


class Servers:
    """Answers after so many failures."""

    def __init__(self, failures: list[Exception], answer: disk.Kept) -> None:
        self.failures = failures
        self.answer = answer
        self.asked = 0

    async def ask(self, *_: Any, **__: Any) -> disk.Kept:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.answer


async def run(servers: Servers, clock: VirtualClock, folder: Path, monkeypatch: Any) -> disk.Kept:
    monkeypatch.setattr(module, "ask", servers.ask)
    tasks = Tasks()
    waiting = tasks.start(
        introduced(
            config(intro_token="x"),
            "id",
            folder,
            environ={},
            clock=clock,
            rng=random.Random(1),
            metrics=Metrics(),
        ),
        name="introduced",
    )
    for _ in range(100):
        if waiting.done():
            break
        await clock.advance(10)
    return await waiting  # type: ignore[no-any-return]


async def test_servers_are_asked_until_one_answers_and_the_answer_is_kept(tmp_path: Path, monkeypatch: Any) -> None:
    clock = VirtualClock()
    answer = kept(clock, 72, {"encrypt": "x"})
    servers = Servers([Denied("not yet"), Denied("not yet")], answer)
    assert await run(servers, clock, tmp_path, monkeypatch) == answer
    assert servers.asked == 3
    again = Servers([], answer)
    assert await run(again, clock, tmp_path, monkeypatch) == answer
    assert again.asked == 0


async def test_an_ended_certificate_is_asked_for_anew_but_the_agent_starts(tmp_path: Path, monkeypatch: Any) -> None:
    clock = VirtualClock()
    old, new = kept(clock, -0.5, {"encrypt": "old"}), kept(clock, 72, {"encrypt": "new"})
    disk.save(tmp_path, old)
    assert await run(Servers([Denied("gone")], new), clock, tmp_path, monkeypatch) == old
    assert await run(Servers([], new), clock, tmp_path, monkeypatch) == new


async def test_what_auto_encrypt_kept_is_no_configuration(tmp_path: Path, monkeypatch: Any) -> None:
    clock = VirtualClock()
    disk.save(tmp_path, kept(clock, 72, None))
    servers = Servers([], kept(clock, 72, {}))
    await run(servers, clock, tmp_path, monkeypatch)
    assert servers.asked == 1


async def test_a_configuration_that_cannot_be_asked_for_ends_the_start(tmp_path: Path, monkeypatch: Any) -> None:
    clock = VirtualClock()
    with pytest.raises(ConfigError):
        await run(Servers([ConfigError("no")], kept(clock, 1, {})), clock, tmp_path, monkeypatch)


def test_servers_may_not_say_more_than_is_theirs() -> None:
    given = {"encrypt": "x", "enable_script_checks": True, "services": [], "data_dir": "/", "retry_join": None}
    assert module._options(given) == {"encrypt": "x"}
