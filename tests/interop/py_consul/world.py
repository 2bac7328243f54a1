"""I/O edge: the conftest.py that py-consul's own tests are given: agents of ours in place of containers of Consul.

run.py copies it beside them. Each test has an agent of its own, as theirs have; every call of a method is counted.
"""

from __future__ import annotations

import collections
import functools
import http.server
import inspect
import json
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import consul
import pytest
from meshtest.process import AgentProcess

#: What the tests ask of `version`: the release whose behaviour we have.
VERSION = "1.20.6"
ConsulInstance = collections.namedtuple("ConsulInstance", ["container", "port", "version"])
_called: collections.Counter[str] = collections.Counter()


def _families(client: Any) -> Iterator[tuple[str, Any]]:
    """(name, object) of everything of a client that has methods."""
    queue = [("", client)]
    seen = set()
    while queue:
        path, one = queue.pop()
        if type(one) in seen:
            continue
        seen.add(type(one))
        yield path, one
        for name, part in vars(one).items():
            own = name not in ("agent", "http", "_agent") or (name == "agent" and not path)
            if own and type(part).__module__.startswith("consul."):
                queue.append((f"{path}.{name}".lstrip("."), part))


def public_methods() -> dict[str, tuple[type, str]]:
    """Every public method of the library by what a caller writes: `acl.token.list`."""
    found = {}
    for path, one in _families(consul.Consul()):
        if not path:
            continue
        for name, _ in inspect.getmembers(type(one), inspect.isfunction):
            if not name.startswith("_") and name not in ("http_connect", "prepare_headers"):
                found[f"{path}.{name}"] = (type(one), name)
    return found


METHODS = public_methods()


def _count(path: str, kind: type, name: str) -> None:
    original = getattr(kind, name)

    @functools.wraps(original)
    def counted(*args: Any, **kwargs: Any) -> Any:
        _called[path] += 1
        return original(*args, **kwargs)

    setattr(kind, name, counted)


for _path, (_kind, _name) in METHODS.items():
    _count(_path, _kind, _name)


def pytest_sessionfinish() -> None:
    folder = Path(os.environ["PY_CONSUL_CALLS"])
    (folder / f"{os.getpid()}.json").write_text(json.dumps(_called))


def _running(token: str = "") -> Iterator[Any]:
    extra: dict[str, Any] = {"node_name": "the-agent", "enable_script_checks": True, "log_level": "WARN"}
    if token:
        extra |= {"primary_datacenter": "dc1", "acl": {"enabled": True, "tokens": {"initial_management": token}}}
    headers = {"X-Consul-Token": token} if token else {}
    with AgentProcess.server(extra) as agent:
        known = "/v1/acl/token/self" if token else "/v1/health/service/consul?passing"
        agent.wait("the agent", lambda: len(agent.http("GET", known, headers=headers).body) > 50)
        instance = ConsulInstance(None, agent.ports["http"], VERSION)
        yield (instance, token) if token else instance


@pytest.fixture(scope="session", autouse=True)
def _an_application() -> Iterator[None]:
    """What their HTTP checks ask on port 8500."""
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        os.environ["PY_CONSUL_APP"] = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.fixture
def consul_instance() -> Iterator[Any]:
    yield from _running()


@pytest.fixture
def acl_consul_instance() -> Iterator[Any]:
    yield from _running(uuid.uuid4().hex)


@pytest.fixture
def consul_port(consul_instance: Any) -> tuple[int, str]:
    return consul_instance.port, consul_instance.version
