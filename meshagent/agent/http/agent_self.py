"""I/O edge: `/v1/agent/self` and what else concerns the agent itself: version, host, reload, tokens.

Source: surface rows A1, A2, A4, A21, A25; developer.hashicorp.com/consul/api-docs/agent. What tools read in
`agent/self` comes from the configuration (`debug_config.py`), gossip and the log.
"""

from __future__ import annotations

import asyncio
import os
import platform
from typing import TYPE_CHECKING

from meshagent import CONSUL_VERSION, __version__
from meshagent.agent.acl.guards import needs, this_node
from meshagent.agent.acl.tokens import NAMES, AgentTokens
from meshagent.agent.decode import decode_body
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.membership import Membership
from meshagent.catalog.model import Row
from meshagent.connect.envoy.versions import SUPPORTED
from meshagent.errors import InternalError, MeshError, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

#: Consul's builds from source carry this moment.
_BUILD_DATE = "1970-01-01T00:00:01Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class AclsDisabled(MeshError):
    """Consul's 401 of everything about tokens while ACLs are off."""

    http_status = 401


async def _self(agent: Agent, request: Request) -> Response:
    from meshagent.agent.debug_config import debug_config  # a large table that few ask for

    config = agent.config
    network = config.network
    membership: Membership = agent.extras["members"]
    own = next((member for member in membership.members() if member.name == agent.node_name), None)
    debug = debug_config(config)
    debug["NodeID"] = agent.node_id
    plaintext = network.grpc[0].port if network.grpc else -1
    tls = network.grpc_tls[0].port if network.grpc_tls else -1
    return json_response(
        {
            "Config": {
                "Datacenter": agent.datacenter,
                "PrimaryDatacenter": config.primary_datacenter or agent.datacenter,
                "NodeName": agent.node_name,
                "NodeID": agent.node_id,
                "Revision": f"meshagent-{__version__}",
                "Server": config.server,
                "Version": CONSUL_VERSION,
                "BuildDate": _BUILD_DATE,
            },
            "DebugConfig": debug,
            "Coord": membership.coordinate(),
            "Member": own,
            "Stats": _stats(agent, membership),
            "Meta": agent.local.node.meta or {},
            "xDS": {
                "SupportedProxies": {"envoy": SUPPORTED},
                "Port": tls if tls > 0 else plaintext,
                "Ports": {"Plaintext": plaintext, "TLS": tls},
            },
        }
    )


def _stats(agent: Agent, membership: Membership) -> dict[str, dict[str, str]]:
    local = agent.local
    kinds = [entry.definition.kind for entry in local.checks.values() if entry.definition is not None]
    raft = {
        "latest_configuration": "[]",
        "latest_configuration_index": "0",
        "protocol_version_max": "3",
        "protocol_version_min": "0",
        "snapshot_version_max": "1",
        "snapshot_version_min": "0",
    }
    stats = {
        "agent": {
            "check_monitors": str(kinds.count("script")),
            "check_ttls": str(kinds.count("ttl")),
            "checks": str(len(local.checks)),
            "services": str(len(local.services)),
        },
        "build": {"prerelease": "", "revision": "", "version": CONSUL_VERSION, "version_metadata": ""},
        "consul": {
            "acl": "disabled",
            "known_servers": str(agent.upstream.known_servers if agent.upstream is not None else 1),
            "server": "false",
        },
        "runtime": {
            "arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "cpu_count": str(os.cpu_count() or 1),
            "goroutines": str(len(asyncio.all_tasks())),
            "max_procs": str(os.cpu_count() or 1),
            "os": platform.system().lower(),
            "version": f"python{platform.python_version()}",
        },
        "serf_lan": membership.stats(),
    }
    if agent.config.server:
        stats["consul"] = {
            "acl": "enabled" if agent.config.acl.enabled else "disabled",
            "bootstrap": _bool(agent.config.bootstrap or agent.config.bootstrap_expect == 1),
            "known_datacenters": "1",
            "leader": _bool(agent.log.is_leader),
            "leader_addr": agent.log.leader,
            "server": "true",
        }
        stats["raft"] = raft | agent.log.stats()
        stats["serf_wan"] = membership.stats(wan=True)
    return stats


def _bool(value: bool) -> str:
    return "true" if value else "false"


async def _version(agent: Agent, request: Request) -> Response:
    return json_response({"SHA": "", "BuildDate": _BUILD_DATE, "HumanVersion": CONSUL_VERSION, "FIPS": ""})


async def _host(agent: Agent, request: Request) -> Response:
    from meshagent.agent.host_facts import host_facts  # with psutil

    now_ns = int(agent.clock.now().timestamp() * 1e9)
    return json_response(await asyncio.to_thread(host_facts, agent.config.data_dir, now_ns))


async def _reload(agent: Agent, request: Request) -> Response:
    await agent.lifecycle.reload()
    return Response()


class _TokenBody(Row, frozen=True, kw_only=True):
    """The body of A25."""

    token: str = ""


async def _token(agent: Agent, request: Request) -> Response:
    if not agent.config.acl.enabled:
        raise AclsDisabled("ACL support disabled")
    request.access.require("agent", "write", agent.node_name)
    body = decode_body(_TokenBody, request.body)
    option = NAMES.get(request.name)
    if option is None:
        raise NotFound(f'Token "{request.name}" is unknown')
    tokens: AgentTokens = agent.extras["acl_tokens"]
    try:
        tokens.set(option, body.token)
    except OSError as error:
        raise InternalError(f"the token counts, and cannot be kept: {error.strerror}") from error
    return Response()


ROUTES = (
    Route(
        row="A1", method="GET", path="/v1/agent/self",
        guard=needs("agent", "read", this_node),
        acl="agent:read", tenancy="", handle=_self,
        summary="this agent: configuration, member, figures", example="curl localhost:8500/v1/agent/self",
    ),
    Route(
        row="A2", method="GET", path="/v1/agent/host",
        guard=needs("operator", "read"),
        acl="operator:read", tenancy="", handle=_host,
        summary="memory, processors and disk of this host", example="curl localhost:8500/v1/agent/host",
    ),
    Route(
        row="A4", method="GET", path="/v1/agent/version", tenancy="", handle=_version,
        summary="the version that clients may expect", example="curl localhost:8500/v1/agent/version",
    ),
    Route(
        row="A21", method="PUT", path="/v1/agent/reload",
        guard=needs("agent", "write", this_node),
        acl="agent:write", tenancy="", handle=_reload,
        summary="read the configuration files again", example="curl -X PUT localhost:8500/v1/agent/reload",
    ),
    Route(
        row="A25", method="PUT", path="/v1/agent/token/", asks=True, acl="agent:write", tenancy="", handle=_token,
        summary="change a token of this agent",
        example="""curl -X PUT localhost:8500/v1/agent/token/default -d '{"Token": "..."}'""",
    ),
)  # fmt: skip
