"""Which process runs the sidecars, and what it is given; running it is tests/e2e/test_managed_proxies.py."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from meshtest.inprocess import server_config

from meshagent.agent.config.mesh import Connect
from meshagent.agent.config.resolved import Listen
from meshagent.agent.managed_proxies import ManagedProxies, managed_proxies
from meshagent.clock import SystemClock
from meshagent.errors import ConfigError


def made(folder: Path | None, token: str = "") -> ManagedProxies:
    return ManagedProxies("127.0.0.1:8500", token, folder, SystemClock(), "INFO")


def test_the_one_that_holds_the_lock_runs(tmp_path: Path) -> None:
    managed = made(tmp_path)
    assert managed._running() == 0
    (tmp_path / "proxies").mkdir()
    lock = tmp_path / "proxies" / "lock"
    lock.write_text("4242\n")
    assert managed._running() == 0, "its process has ended"
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert managed._running() == 4242
        lock.write_text("zork")
        assert managed._running() == 0
    assert made(None)._running() == 0


def test_the_token_goes_by_environment_and_nothing_leads_elsewhere() -> None:
    own = {"PATH": "/bin", "CONSUL_HTTP_ADDR": "http://elsewhere", "CONNECT_PROXY_ID": "x"}
    assert made(None, "secret")._environment(own) == {"PATH": "/bin", "CONSUL_HTTP_TOKEN": "secret"}
    assert made(None)._environment(own) == {"PATH": "/bin"}


def test_it_is_off_unless_wanted(tmp_path: Path) -> None:
    assert managed_proxies(server_config(), tmp_path, SystemClock()) is None
    assert os.listdir(tmp_path) == []


def test_without_an_api_nothing_could_be_told(tmp_path: Path) -> None:
    wanted = server_config(connect=Connect(builtin_proxy="managed"))
    nowhere = wanted.network._replace(http=())
    with pytest.raises(ConfigError, match=r"needs ports\.http"):
        managed_proxies(server_config(connect=wanted.connect, network=nowhere), tmp_path, SystemClock())
    everywhere = wanted.network._replace(http=(Listen("0.0.0.0", 8500),))
    found = managed_proxies(server_config(connect=wanted.connect, network=everywhere), tmp_path, SystemClock())
    assert found is not None
    assert found._http_addr == "127.0.0.1:8500"
