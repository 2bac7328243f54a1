"""Two Consul client libraries live a whole life with us (surface A2-A20, CT*, HL*, KV1-KV6)."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from meshtest.peers import absent, output, python_consul2
from meshtest.process import AgentProcess

SCRIPT = Path(__file__).with_name("client_lifecycle.py")


@pytest.mark.parametrize("library", ["py-consul", "python-consul2"])
def test_the_whole_life_of_a_service(agent: AgentProcess, library: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
    env.pop("PYTHONPATH", None)
    if library == "python-consul2":
        env["PYTHONPATH"] = str(python_consul2())
    else:
        pytest.importorskip("consul") if os.environ.get("CI") != "true" else __import__("consul")
    printed = output([sys.executable, "-P", str(SCRIPT), "127.0.0.1", str(agent.ports["http"])], env=env, timeout_s=60)
    *stages, last = printed.splitlines()
    assert stages == ["registered", "watched", "checked", "catalog", "deregistered", "kv"]
    assert last.startswith("ok")
    if ("python-consul2" in last) != (library == "python-consul2"):
        absent(f"{library} alone under the name `consul`")


def test_every_method_of_python_consul2_is_called() -> None:
    """With ACLs, keys of gossip and the mesh on; a method that is not called fails the run."""
    manager = "deadbeef-0000-4000-8000-00000000a11c"
    acl = {"enabled": True, "tokens": {"initial_management": manager, "agent": manager}}
    key = "WXNIzEKXZMFnCwMCcRVEGUdbh0Gy4Z/wKBZg7hVrqmY="
    with AgentProcess.server({"acl": acl, "encrypt": key}) as agent:
        known = {"X-Consul-Token": manager}
        agent.wait("the token", lambda: agent.http("GET", "/v1/acl/token/self", headers=known).status == 200)
        env = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
        env["PYTHONPATH"] = str(python_consul2())
        script = SCRIPT.with_name("client_methods.py")
        line = [sys.executable, "-P", str(script), "127.0.0.1", str(agent.ports["http"]), manager]
        printed = output(line, env=env, timeout_s=120)
    assert re.fullmatch(r"ok: \d+ calls of 127 methods, .*\n?", printed), printed
