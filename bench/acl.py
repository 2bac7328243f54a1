"""Rows about access control beside none: the same read of the same instances, with a token and without ACLs."""

from __future__ import annotations

import json

from meshtest import load
from meshtest.process import AgentProcess

from bench.table import Bench, Figure, instance, row

PATH = "/v1/health/service/web?passing"
MANAGER = "deadbeef-0000-4000-8000-00000000a11c"
RULES = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'


def _guarded(bench: Bench) -> tuple[AgentProcess, str]:
    """A second agent with ACLs on and the same three instances, and a token that may read them and no more."""
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": MANAGER, "agent": MANAGER}}
    agent = bench.stack.enter_context(
        AgentProcess.server({"acl": acl, "log_level": "WARN", "limits": {"http_max_conns_per_client": 2000}})
    )
    headers = {"X-Consul-Token": MANAGER}
    agent.wait("the first token", lambda: agent.http("GET", "/v1/acl/token/self", headers=headers).status == 200)
    for at in range(3):
        agent.put("/v1/catalog/register", instance("web", at), headers=headers)
    agent.put("/v1/acl/policy", {"Name": "readers", "Rules": RULES}, headers=headers)
    made = agent.put("/v1/acl/token", {"Policies": [{"Name": "readers"}]}, headers=headers)
    return agent, json.loads(made.body)["SecretID"]


@row("health of a service with a token, cached", 0.9)
def acl_health(bench: Bench) -> Figure:
    agent, token = _guarded(bench)
    headers = (f"X-Consul-Token: {token}",)
    return bench.turns(
        lambda: load.wrk(agent.ports["http"], PATH, bench.seconds, headers=headers),
        lambda: load.wrk(bench.agent.ports["http"], PATH, bench.seconds, headers=headers),
        "r/s",
        "the same request without ACLs",
    )
