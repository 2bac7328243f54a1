"""I/O edge: the daemon. Builds every part, starts and stops them in order, and reloads.

Source: surface rows G4 (what a reload takes), G5 (signals), V1 (systemd). Only this module makes real clocks and
generators. What may change here: the order of starting is what users rely on: an agent that says it is ready answers
HTTP and DNS from a catalog it has read back from disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshagent import CONSUL_VERSION, __version__
from meshagent.agent import settings
from meshagent.agent.acl.tokens import AgentTokens
from meshagent.agent.acl.wiring import guard, names_view, registration_token
from meshagent.agent.away_names import names_elsewhere
from meshagent.agent.central import CentralConfig
from meshagent.agent.check_runs import CheckRuns
from meshagent.agent.checks.scheduler import CheckRunner
from meshagent.agent.coordinate_batches import CoordinateBatches, tell_coordinate
from meshagent.agent.core import Agent, Lifecycle
from meshagent.agent.event_wire import gossip_events
from meshagent.agent.events import UserEvents
from meshagent.agent.exposed_checks import ExposedChecks
from meshagent.agent.file_registrations import apply_files
from meshagent.agent.gossip.pools import Pools
from meshagent.agent.grpc.listeners import GrpcListeners
from meshagent.agent.host_id import make_node_id
from meshagent.agent.http.inside import ask
from meshagent.agent.http.server import HttpServer
from meshagent.agent.https import HttpsSecurity
from meshagent.agent.local import LocalState
from meshagent.agent.logs import LogHub
from meshagent.agent.metric_sinks import send_metrics
from meshagent.agent.persist import Saver, load_node_id, made_data_dir
from meshagent.agent.persist import load as load_saved
from meshagent.agent.remote_exec import EVENT, RemoteExec
from meshagent.agent.role import make_role
from meshagent.agent.self_registration import own_node
from meshagent.agent.spool import Spools
from meshagent.agent.sync import AntiEntropy
from meshagent.agent.telemetry import observe
from meshagent.agent.watches.runner import WatchRunner
from meshagent.clock import Clock, Tasks
from meshagent.dns.server import DnsServer
from meshagent.errors import ConfigError, MeshError
from meshagent.listening import cannot_listen
from meshagent.metrics import Metrics

if TYPE_CHECKING:
    from meshagent.agent.auto.kept import Kept
    from meshagent.agent.config import Config, Listen, Loaded
    from meshagent.agent.reload import Report
    from meshagent.catalog.commands import Command

__all__ = ["Daemon"]

log = logging.getLogger("agent")


class Daemon:
    """One agent process: `start`, then `stop` or `leave`; `reload` in between."""

    def __init__(
        self, loaded: Loaded, read_config: Callable[..., Loaded], clock: Clock, environ: Mapping[str, str]
    ) -> None:
        """`read_config()` reads the configuration anew; it takes what servers gave (`auto_config`) as an argument."""
        self.config = loaded.config
        self._read_config = read_config
        self._clock = clock
        self._environ = environ
        self._rng = random.Random()  # noqa: S311  spreads load; ids and keys come from the operating system
        self._logs = LogHub(settings.log_settings(self.config), sys.stdout)
        self._tasks = Tasks()
        self._done = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._warnings = loaded.warnings
        self._leaving: asyncio.Task[None] | None = None
        self.exit_status = 0
        self._https: HttpsSecurity | None = None

    # --- starting ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring everything up.

        Raises:
            ConfigError: something in the configuration cannot be used here.
            CorruptData: the data directory cannot be trusted.
        """
        config = self.config
        settings.refuse_unusable(config)
        self._logs.attach()
        _warn(self._warnings)
        data_dir = None if config.dev_mode else made_data_dir(config.data_dir)
        node_id = load_node_id(data_dir, config.node_id, make=partial(make_node_id, config))
        log.info("version: meshagent=%s consul=%s", __version__, CONSUL_VERSION)
        log.info("node: name=%s id=%s datacenter=%s", config.node_name, node_id, config.datacenter)
        self.metrics = Metrics(settings.metrics_settings(config, socket.gethostname()), self._clock.monotonic)
        config, kept = await self._introduce(config, node_id, data_dir)
        self.role = make_role(
            config, node_id, data_dir, kept,
            clock=self._clock, rng=self._rng, metrics=self.metrics, tasks=self._tasks,
        )  # fmt: skip
        self._build_local(config, node_id, data_dir)
        self.pools = Pools(
            config=config, node_name=config.node_name, node_id=node_id, data_dir=data_dir,
            clock=self._clock, rng=self._rng, tasks=self._tasks, metrics=self.metrics,
        )  # fmt: skip
        events = UserEvents(config.node_name, self.local.services, self.local.watches)
        self.agent = Agent(
            config=config,
            clock=self._clock,
            rng=self._rng,
            metrics=self.metrics,
            logs=self._logs,
            tasks=self._tasks,
            store=self.role.store,
            log=self.role.log,
            local=self.local,
            node_name=config.node_name,
            node_id=node_id,
            datacenter=config.datacenter,
            lifecycle=Lifecycle(reload=self.reload, leave=self.leave),
            upstream=self.role.upstream,
            extras={
                "checks": self.runner,
                "members": self.pools,
                "events": events,
                **({"saver": self.saver} if self.saver is not None else {}),
            },
        )
        guard(self.agent, self.role, self.tokens, config)
        self.agent.extras["spools"] = Spools(data_dir, self._clock)
        self.sync = AntiEntropy(
            self.local,
            self.role.store,
            self.agent.write,
            self._clock,
            self._rng,
            self._tasks,
            members=self.pools.size,
            read=self.role.own_rows,
            write_as=self._write_as if config.acl.enabled else None,
        )
        # What the old token was refused may be written with the new one.
        self.tokens.on_change.append(lambda: self.sync.trigger_full(now=True))
        self.agent.extras["coordinates"] = CoordinateBatches(self.agent)
        if config.enable_central_service_config:
            CentralConfig(self.local, self.role.store)
        self.role.attach(self.agent, self.pools, self.sync)
        await self.role.start()
        await self.pools.start()
        gossip_events(events, self.pools, self.metrics)
        await self._listen(config)
        self.role.run(self.http)
        self.pools.start_joining(self._give_up)
        await send_metrics(config, self.metrics, self._tasks)
        self._tasks.start(self._measure(), name="metrics")
        self.check_runs.start()
        self.sync.start()
        self.watches = WatchRunner(self._watch, self._clock)
        await self.watches.configure(config.watches)
        jobs = RemoteExec(self._ask, config.node_name, self._tasks, enabled=lambda: not self.config.disable_remote_exec)
        events.handlers[EVENT] = jobs.announced
        if not config.disable_coordinates:
            self._tasks.start(tell_coordinate(self.agent, self.pools, self._ask), name="coordinate")
        log.info("started")

    async def _introduce(self, config: Config, node_id: str, data_dir: Path | None) -> tuple[Config, Kept | None]:
        """The configuration with what servers give who is introduced; waits for one. Raises ConfigError."""
        if not config.auto_config.enabled:
            return config, None
        from meshagent.agent.auto.introduced import introduced

        kept = await introduced(
            config, node_id, data_dir,
            environ=self._environ, clock=self._clock, rng=self._rng, metrics=self.metrics,
        )  # fmt: skip
        self._read_config = partial(self._read_config, kept.options)
        self.config = self._read_config().config
        settings.refuse_unusable(self.config)
        log.info("configured by the servers: datacenter=%s", self.config.datacenter)
        return self.config, kept

    def _build_local(self, config: Config, node_id: str, data_dir: Path | None) -> None:
        self.tokens = AgentTokens(config, data_dir)
        self.local = LocalState(
            node_name=config.node_name,
            datacenter=config.datacenter,
            clock=self._clock,
            settings=settings.local_settings(config),
            rng=self._rng,
        )
        self.local.set_node(own_node(config, node_id))
        self.runner = CheckRunner(
            clock=self._clock,
            rng=self._rng,
            tasks=self._tasks,
            report=self.local.update_check,
            config=settings.check_settings(config, self._environ.get("DOCKER_HOST", "")),
            aliased=self.role.alias_source(self.local),
        )
        self.check_runs = CheckRuns(self.local, self.runner, self.role.follow_node, self._clock, self._tasks)
        ExposedChecks(self.local, self.runner)
        self.saver = Saver(data_dir, self.local, self._tasks) if data_dir is not None else None
        problems = apply_files(self.local, config.services, config.checks, self.tokens.of_files)
        if self.saver is not None and data_dir is not None:
            problems += self.saver.restore(load_saved(data_dir), self._clock.now())
        for problem in problems:
            log.error("%s", problem)

    async def _listen(self, config: Config) -> None:
        network = config.network
        self.http = HttpServer(self.agent, settings.http_settings(config))
        self.agent.extras["http"] = self.http
        if network.https:
            self._https = HttpsSecurity(self.http, config.tls.https, self.role.certificate, self._tasks)
        for listen in network.http:
            await self._listen_http(listen, "ports.http", None)
        for listen in network.https:
            await self._listen_http(listen, "ports.https", self._https.context if self._https else None)
        self.grpc = GrpcListeners(self.agent, self.role.certificate)
        await self.grpc.start()
        self.dns = DnsServer(
            self.role.store, settings.dns_settings(config), self._clock, self._rng, self.metrics,
            config.datacenter, config.node_name,
            view=names_view(self.agent, self.role), serving=self.role.log, elsewhere=names_elsewhere(self.agent),
        )  # fmt: skip
        self.agent.extras["dns"] = self.dns
        await self.dns.start([(listen.host, listen.port) for listen in network.dns])
        for listen in network.dns:
            log.info("listening: protocol=dns address=%s", listen)

    async def _listen_http(self, listen: Listen, option: str, tls: Any) -> None:
        sockets = self.config.unix_sockets
        try:
            if listen.path:
                await self.http.listen_unix(
                    Path(listen.path),
                    mode=settings.socket_mode(sockets.mode),
                    user=sockets.user,
                    group=sockets.group,
                )
            else:
                await self.http.listen(listen.host, listen.port, tls)
        except OSError as error:
            raise cannot_listen(option, str(listen), error) from error
        log.info("listening: protocol=%s address=%s", option.removeprefix("ports."), listen)

    # --- running -----------------------------------------------------------------------------------------------

    def _give_up(self, reason: str) -> None:
        """Nobody could be joined: the process ends, and says so by its status."""
        self.exit_status = 1
        log.error("%s", reason)
        self._done.set()

    async def _ask(self, method: str, target: str, token: str = "", body: bytes = b"") -> Any:
        """This agent's own API, as its jobs use it."""
        return await ask(self.http.dispatcher, method, target, token or self.tokens.agent, body)

    async def _write_as(self, command: Command, token: str) -> Any:
        return await self.agent.write_own(command, registration_token(self.tokens, command, token))

    async def _watch(self, target: str, token: str) -> Any:
        """The same for watches: one without a token is as any caller."""
        return await ask(self.http.dispatcher, "GET", target, token)

    async def _measure(self) -> None:
        """Close metric intervals; the gauges of process, catalog and log are read just before."""
        observe(self.agent)
        if self.config.telemetry.enable_host_metrics:
            from meshagent.agent.host_metrics import HostGauges

            self.metrics.collect(HostGauges(self.config.data_dir))
        while True:
            await self._clock.sleep(self.metrics.tick(self._clock.now()))

    async def wait(self) -> None:
        """Return when the agent is to end."""
        await self._done.wait()

    async def reload(self, *, asked: bool = True) -> Report:
        """Read the configuration again and apply what can be (surface row G4); what changed, and what needs a restart.

        `asked`: somebody wants it, it is not because a file has changed (see `Option.by_hand`).

        Raises:
            ConfigError: the new configuration cannot be used; the old one stays in force.
        """
        from meshagent.agent.reload import diff, effective

        async with self._reloading:
            try:
                loaded = await asyncio.get_running_loop().run_in_executor(None, self._read_config)
            except ConfigError as error:
                _warn(error.warnings)
                raise
            _warn(loaded.warnings)
            report = diff(self.config, loaded.config, asked=asked)
            config = effective(self.config, loaded.config, asked=asked)
            # What cannot be used is refused before anything has changed.
            settings.refuse_unusable(config)
            https = self._https.load(config.tls.https) if self._https is not None else None
            grpc = self.grpc.load(config.tls.grpc) if config.network.grpc_tls else None
            self.role.reload(config)
            self.grpc.pace.per_second = config.xds.update_max_per_second
            if grpc is not None:
                await self.grpc.take(config.tls.grpc, grpc)
            if self._https is not None and https is not None:
                await self._https.take(config.tls.https, https)
            self.dns.reconfigure(settings.dns_settings(config))
            self.http.configure(settings.http_settings(config))
            self.runner.configure(settings.check_settings(config, self._environ.get("DOCKER_HOST", "")))
            self.local.settings = settings.local_settings(config)
            self._logs.set_level(config.log_level)
            self.metrics.settings = settings.metrics_settings(config, socket.gethostname())
            self.config = self.agent.config = config
            self.tokens.configure(config)
            self.local.set_node(own_node(config, self.agent.node_id))
            for problem in apply_files(self.local, config.services, config.checks, self.tokens.of_files):
                log.error("%s", problem)
            self.sync.trigger()
            await self.watches.configure(config.watches)
            for line in report.lines():
                log.info("reload: %s", line)
            return report

    # --- ending ------------------------------------------------------------------------------------------------

    async def leave(self) -> None:
        """Leave gracefully, and end. Over when the others know that it is meant; goes on without who asked, too."""
        self._leaving = self._leaving or self._tasks.start(self._leave(), name="leave")
        await asyncio.shield(self._leaving)

    async def _leave(self) -> None:
        log.info("leaving")
        others = await self.role.hand_over()
        await self.pools.leave()
        if others:
            await self._clock.sleep(self.config.performance.leave_drain_time)
        self._done.set()

    def interrupted(self, number: int) -> None:
        """A signal asks to end (surface row G5)."""
        config = self.config
        graceful = not config.skip_leave_on_interrupt if number == signal.SIGINT else bool(config.leave_on_terminate)
        log.info("caught %s, %s", signal.Signals(number).name, "leaving" if graceful else "stopping")
        if self._done.is_set() or self._leaving:
            log.error("second signal, ending at once")
            os._exit(1)
        if graceful:
            self._tasks.start(self.leave(), name="leave")
        else:
            self._done.set()

    async def stop(self) -> None:
        """Stop everything, listeners first; what was acknowledged is on disk."""
        if hasattr(self, "agent") and not self._leaving:
            await self.role.hand_over()
        for name in ("watches", "http", "grpc", "dns", "sync"):
            part = getattr(self, name, None)
            if part is not None:
                await part.stop()
        if hasattr(self, "runner"):
            self.runner.stop()
        saver = getattr(self, "saver", None)
        if saver is not None:
            try:
                await saver.flush()
            except MeshError as error:
                log.error("%s", error)
        await self._tasks.cancel()
        if hasattr(self, "agent") and "audit" in self.agent.extras:
            self.agent.extras["audit"].close()
        for name in ("pools", "role"):
            if hasattr(self, name):
                await getattr(self, name).stop()
        log.info("stopped")
        self._logs.detach()


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        log.warning("%s", warning)
