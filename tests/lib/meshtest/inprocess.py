"""One agent in this process on virtual time, without sockets: registrations, checks, sync, catalog and the HTTP API."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from multidict import CIMultiDict

from meshagent.agent.acl.guardian import ServerGuardian
from meshagent.agent.acl.login import Logins
from meshagent.agent.acl.resolver import Resolver
from meshagent.agent.acl.setup import init_acls
from meshagent.agent.acl.tokens import AgentTokens
from meshagent.agent.acl.usage import Usage
from meshagent.agent.autopilot import AutopilotKeeper
from meshagent.agent.central import CentralConfig
from meshagent.agent.check_runs import CheckRuns, alias_source, node_follower
from meshagent.agent.checks.probe import CheckSettings
from meshagent.agent.checks.scheduler import CheckRunner
from meshagent.agent.config import Config, Listen, Network
from meshagent.agent.coordinate_batches import CoordinateBatches
from meshagent.agent.core import Agent, Lifecycle
from meshagent.agent.event_wire import gossip_events
from meshagent.agent.events import UserEvents
from meshagent.agent.exposed_checks import ExposedChecks
from meshagent.agent.gossip.pools import Pools
from meshagent.agent.http.dispatch import Dispatcher, Incoming
from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.settings import HttpSettings
from meshagent.agent.local import LocalState
from meshagent.agent.logs import LogHub
from meshagent.agent.mesh import Mesh
from meshagent.agent.persist import Saver
from meshagent.agent.self_registration import ServerFacts, node_row, server_registration
from meshagent.agent.settings import local_settings
from meshagent.agent.sidecars.everywhere import Everywhere
from meshagent.agent.sync import AntiEntropy
from meshagent.catalog.log import MemoryLog
from meshagent.catalog.store import Store
from meshagent.clock import Tasks, VirtualClock
from meshagent.connect.authority import AuthoritySettings
from meshagent.metrics import Metrics
from meshtest.deafgossip import DeafTransport
from meshtest.httpapi import LeaderHere

#: The secret of the first token where ACLs are on; what `ask` sends unless it is told another.
MANAGER = "00000000-aaaa-4000-8000-00000000aaaa"

NODE_ID = "11111111-2222-3333-4444-555555555555"


@dataclasses.dataclass(slots=True)
class Answered:
    """An answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    stream: StreamingResponse | None = None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def server_config(**given: Any) -> Config:
    """A single server on 127.0.0.1 with Consul's ports."""
    network = Network(
        tagged_addresses=(("lan", "127.0.0.1"), ("wan", "127.0.0.1")),
        dns=(Listen("127.0.0.1", 8600),),
        http=(Listen("127.0.0.1", 8500),),
        grpc=(Listen("127.0.0.1", 8502),),
        grpc_tls=(Listen("127.0.0.1", 8503),),
        serf_lan=Listen("127.0.0.1", 8301),
        serf_wan=Listen("127.0.0.1", 8302),
        server=Listen("127.0.0.1", 8300),
    )
    return Config(**{"node_name": "n1", "server": True, "bootstrap_expect": 1, "network": network, **given})


def guarded_config(**acl: Any) -> Config:
    """The same with ACLs on: `MANAGER` may do everything, nobody else anything."""
    config = server_config()
    tokens = config.acl.tokens.replace(initial_management=MANAGER, agent=MANAGER)
    given = {"enabled": True, "default_policy": "deny", "tokens": tokens, **acl}
    return config.replace(acl=config.acl.replace(**given))


class InProcess:
    """`await agent.start()`, then `ask`; `settle` lets everything that is due happen, `advance` moves the time."""

    def __init__(self, *, config: Config | None = None, data_dir: Path | None = None) -> None:
        self.config = config or server_config()
        self.clock = VirtualClock()
        self.tasks = Tasks()
        self.store = Store()
        self.reloads = 0
        self.left = False
        rng = random.Random(1)
        self.local = LocalState(
            node_name=self.config.node_name,
            datacenter=self.config.datacenter,
            clock=self.clock,
            settings=local_settings(self.config),
            rng=rng,
        )
        self.local.set_node(
            node_row(node_id=NODE_ID, name=self.config.node_name, datacenter="dc1", address="127.0.0.1")
        )
        self.runner = CheckRunner(
            clock=self.clock,
            rng=rng,
            tasks=self.tasks,
            report=self.local.update_check,
            config=CheckSettings(),
            aliased=alias_source(self.local, self.store),
        )
        CheckRuns(self.local, self.runner, node_follower(self.store), self.clock, self.tasks)
        ExposedChecks(self.local, self.runner)
        metrics = Metrics()
        self.pools = Pools(
            config=self.config,
            node_name=self.config.node_name,
            node_id=NODE_ID,
            data_dir=None,
            clock=self.clock,
            rng=rng,
            tasks=self.tasks,
            metrics=metrics,
            connect=DeafTransport,
        )
        events = UserEvents(self.config.node_name, self.local.services, self.local.watches)
        extras: dict[str, Any] = {"checks": self.runner, "members": self.pools, "events": events}
        if data_dir is not None:
            extras["saver"] = Saver(data_dir, self.local, self.tasks)
        self.agent = Agent(
            config=self.config,
            clock=self.clock,
            rng=rng,
            metrics=metrics,
            logs=LogHub(),
            tasks=self.tasks,
            store=self.store,
            log=MemoryLog(self.store),
            local=self.local,
            node_name=self.config.node_name,
            node_id=NODE_ID,
            datacenter="dc1",
            lifecycle=Lifecycle(reload=self._reload, leave=self._leave),
            extras=extras,
        )
        CentralConfig(self.local, self.store)
        self.mesh = extras["mesh"] = Mesh(self.agent, AuthoritySettings(apart=False))
        self.agent.extras["leader_calls"] = LeaderHere(self.agent)
        extras["sidecars"] = Everywhere(self.agent, lambda: (), lambda _: None)
        extras["coordinates"] = CoordinateBatches(self.agent)
        self.autopilot = extras["autopilot"] = AutopilotKeeper(self.agent)
        self.sync = AntiEntropy(self.local, self.store, self.agent.write, self.clock, rng, self.tasks)
        self.usage = Usage()
        extras["acl_tokens"] = AgentTokens(self.config, data_dir)
        if self._guarded:
            self._guard(extras)
        self.dispatcher = Dispatcher(self.agent, HttpSettings())

    @property
    def _guarded(self) -> bool:
        """Whether tokens are asked for; a test may turn ACLs on for what else depends on them."""
        return self.config.acl.tokens.initial_management == MANAGER

    def _guard(self, extras: dict[str, Any]) -> None:
        """As a server with ACLs on."""
        resolver = Resolver(
            self.store,
            self.clock,
            self.agent.metrics,
            extras["acl_tokens"],
            datacenter="dc1",
            node_name=self.config.node_name,
            default_allow=self.config.acl.default_policy == "allow",
        )
        resolver.note, resolver.used = self.usage.note, self.usage.used
        extras["acl"] = ServerGuardian(resolver, extras["acl_tokens"], self.agent.log)
        extras["acl_usage"] = self.usage
        extras["acl_logins"] = Logins(self.agent)

    async def token(self, rules: str = "", **body: Any) -> tuple[str, str]:
        """(accessor, secret) of a new token with these rules, made as `MANAGER`."""
        if rules:
            name = f"p{self.agent.store.index}"
            await self.put("/v1/acl/policy", {"Name": name, "Rules": rules})
            body = {"Policies": [{"Name": name}], **body}
        row = (await self.put("/v1/acl/token", body)).json
        return row["AccessorID"], row["SecretID"]

    async def _reload(self) -> None:
        self.reloads += 1

    async def _leave(self) -> None:
        self.left = True

    async def start(self) -> None:
        facts = ServerFacts(
            node_id=NODE_ID, name=self.config.node_name, address="127.0.0.1", datacenter="dc1", server_port=8300
        )
        await self.pools.start()
        gossip_events(self.agent.extras["events"], self.pools)
        if self._guarded:
            await init_acls(self.agent)
        await self.autopilot.configure()
        await self.agent.write(server_registration(facts))
        self.tasks.start(self.agent.sessions.lead(self.agent), name="sessions")
        self.sync.start()
        await self.settle()

    async def stop(self) -> None:
        self.runner.stop()
        await self.sync.stop()
        await self.tasks.cancel()
        await self.pools.stop()

    async def settle(self) -> None:
        await self.clock.advance(0.02)

    async def ask(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answered:
        """`value` is sent as JSON, `body` as it is."""
        sent = body if body is not None else b"" if value is None else json.dumps(value).encode()

        async def read_body(limit: int) -> bytes:
            return sent

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(sent), 1000):
                yield sent[start : start + 1000]

        given = CIMultiDict(headers or {})
        if self._guarded:
            given.setdefault("X-Consul-Token", MANAGER)
        incoming = Incoming(method, path, given, "127.0.0.1", read_body, pieces)
        answer = (await self.dispatcher.answer(incoming)).answer
        if isinstance(answer, StreamingResponse):
            return Answered(answer.status, {}, b"", answer)
        lines = answer.head.decode("latin-1").split("\r\n")[1:]
        found = dict(line.split(": ", 1) for line in lines if line)
        return Answered(answer.status, {name.lower(): text for name, text in found.items()}, answer.body)

    async def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        answer = await self.ask("GET", path)
        assert answer.status == 200, answer.text
        return answer.json

    async def put(self, path: str, value: Any = None) -> Answered:
        """A PUT that must succeed."""
        answer = await self.ask("PUT", path, value)
        assert answer.status == 200, answer.text
        return answer
