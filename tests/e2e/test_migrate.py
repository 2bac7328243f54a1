"""`meshagent migrate from-consul` between two real agents."""

from __future__ import annotations

import os
import subprocess

from meshtest.process import AgentProcess, meshagent_command

ROUTER = {
    "Kind": "service-router",
    "Name": "web",
    "Routes": [{"Match": {"HTTP": {"PathPrefix": "/x"}}, "Destination": {"Service": "api"}}],
}


def migrate(source: AgentProcess, target: AgentProcess, *args: str) -> list[str]:
    command = [*meshagent_command(), "migrate", "from-consul", *args, source.url]
    env = {**os.environ, "CONSUL_HTTP_ADDR": target.url}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout.splitlines()


def test_a_cluster_moves_in_and_the_second_run_writes_nothing() -> None:
    with AgentProcess.server() as source, AgentProcess.server() as target:
        for at in range(200):
            source.http("PUT", f"/v1/kv/app/{at}?flags={at}", body=os.urandom(at))
        for name in ("web", "api"):
            source.put("/v1/config", {"Kind": "service-defaults", "Name": name, "Protocol": "http"})
        source.put("/v1/config", ROUTER)
        source.put("/v1/connect/intentions/exact?source=web&destination=api", {"Action": "deny"})
        assert source.http("POST", "/v1/query", json={"Name": "q", "Service": {"Service": "web"}}).status == 200
        source.put(
            "/v1/agent/service/register", {"Name": "web", "Port": 80, "Tags": ["a"], "Connect": {"SidecarService": {}}}
        )

        shown = migrate(source, target, "-dry-run", "-diff")
        assert "kv: 200 would be written (200 new), 0 equal" in shown
        assert "+ config service-router/web" in shown
        assert target.http("GET", "/v1/kv/app/1").status == 404

        lines = migrate(source, target)
        assert "kv: 200 written (200 new), 0 equal" in lines
        assert "config: 4 written (4 new), 0 equal" in lines
        assert "acl-policies: left out, the source has no ACLs" in lines
        assert "queries: 1 written (1 new), 0 equal" in lines
        assert "services: 2 written (2 new), 0 equal" in lines
        for path in ("kv/app/7?raw", "kv/app/199?raw"):
            assert target.http("GET", f"/v1/{path}").body == source.http("GET", f"/v1/{path}").body
        assert target.get("/v1/kv/app/9")[0]["Flags"] == 9
        assert target.get("/v1/connect/intentions/check?source=web&destination=api") == {"Allowed": False}
        assert target.get("/v1/discovery-chain/web")["Chain"]["StartNode"] == "router:web.default.default"

        again = migrate(source, target)
        assert [line for line in again if "written" in line and " 0 written" not in line] == []
