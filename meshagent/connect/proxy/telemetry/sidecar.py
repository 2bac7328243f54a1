"""I/O edge: the telemetry of one sidecar: what its snapshot asks for is started and stopped here.

Also the last warning before a certificate lapses: a sidecar outlives its agent, so it watches its own leaf.

Source: surface rows M22, M73; issue "a metric, a log line and a health check before anything lapses". What may change
here: further pages, further places to export to.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from meshagent import __version__
from meshagent.clock import Clock, Tasks
from meshagent.connect.leaf import health
from meshagent.connect.observing import Observing
from meshagent.connect.proxy.cluster.clusters import Clusters
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry import access_format, otlp, places
from meshagent.connect.proxy.telemetry.admin import Admin, json_page, metrics_page
from meshagent.connect.proxy.telemetry.exposition import Scene, exposition
from meshagent.connect.proxy.telemetry.line_writer import LineWriter
from meshagent.connect.proxy.telemetry.metrics_places import SHARED
from meshagent.connect.proxy.telemetry.observer import Observer
from meshagent.connect.proxy.telemetry.span_exporter import SpanExporter
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.manager import Manager

__all__ = ["SidecarTelemetry"]

log = logging.getLogger("proxy.telemetry")

#: How often the leaf certificate is looked at.
LOOK_S = 60.0


class SidecarTelemetry:
    """`observer` is told of the traffic; `apply` follows snapshots. `metrics_bind` goes before a snapshot's."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        tasks: Tasks,
        clusters: Clusters,
        tallies: Tallies,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.observer = Observer(clock.monotonic, lambda: clock.now().timestamp(), rng)
        self.metrics_bind = ""
        self._clock = clock
        self._tasks = tasks
        self._clusters = clusters
        self._tallies = tallies
        self._ready = ready
        self._snapshot: ProxySnapshot | None = None
        self._observing = Observing()
        self._writer: LineWriter | None = None
        self._exporter: SpanExporter | None = None
        self._admin: Admin | None = None
        self._level = "passing"
        #: Those of the HTTP listeners, for what their codecs refused.
        self.managers: list[Manager] = []
        #: The counts of those that are gone.
        self._refused: Counter[str] = Counter()

    async def apply(self, snapshot: ProxySnapshot) -> None:
        """Take up what a snapshot says."""
        first, self._snapshot = self._snapshot is None, snapshot
        wanted = snapshot.observing
        if wanted.access_logs != self._observing.access_logs:
            await self._log_to(wanted)
        if (wanted.otlp_endpoint, wanted.otlp_headers) != (self._observing.otlp_endpoint, self._observing.otlp_headers):
            self._export_to(wanted, snapshot)
        self.observer.sampling_percent = wanted.sampling_percent
        self.observer.logs_refused = wanted.access_logs is None or not wanted.access_logs.disable_listener_logs
        self._observing = wanted
        if first:
            self._tasks.start(self._watch(), name="leaf certificate")
            await self._open(snapshot)
        bind = self.metrics_bind or wanted.metrics_bind
        await SHARED.join(self, bind, self.scene, self._ready, self.observer)

    async def close(self) -> None:
        """Write and send what is left."""
        SHARED.leave(self)
        if self._admin is not None:
            self._admin.close()
        if self._writer is not None:
            await self._writer.close()
        if self._exporter is not None:
            await self._exporter.close()

    # --- what is asked for -------------------------------------------------------------------------------------

    async def _log_to(self, wanted: Observing) -> None:
        writer, self._writer, self.observer.access_log = self._writer, None, None
        if writer is not None:
            await writer.close()
        logs = wanted.access_logs
        if logs is not None:
            if logs.text_format:
                line, unknown = access_format.compile_text(logs.text_format + "\n")
            else:
                shape = _shape(logs.json_format)
                as_json, unknown = access_format.compile_json(shape)

                def line(record: Any) -> str:
                    return as_json(record) + "\n"

            if unknown:
                log.warning("the access log has operators that there are not: %s", " ".join(unknown))
            put = self._writer = LineWriter(logs.type, logs.path, self._clock, self._tasks)
            self.observer.access_log = lambda record: put.write(line(record))
        self.observer.changed()

    def _export_to(self, wanted: Observing, snapshot: ProxySnapshot) -> None:
        self._exporter = self.observer.export = None
        if wanted.otlp_endpoint:
            try:
                self._exporter = SpanExporter(
                    wanted.otlp_endpoint,
                    wanted.otlp_headers,
                    lambda records: otlp.encode(records, snapshot.service, snapshot.proxy_id, __version__),
                    self._clock,
                    self._tasks,
                )
            except ValueError as error:
                log.error("traces are not exported: %s", error)
                return
            self.observer.export = self._exporter.offer
        self.observer.changed()

    async def _open(self, snapshot: ProxySnapshot) -> None:
        pages = {
            "/metrics": metrics_page(lambda: exposition([self.scene()])),
            "/ready": ("text/plain", lambda: b"ready\n" if self._ready() else b"not ready\n", True),
            "/edges": json_page(self.edges),
        }
        admin = self._admin = Admin(pages, self.observer)
        folder = places.place_of(os.environ)
        try:
            await admin.listen_unix(places.socket_of(places.made(folder), snapshot.proxy_id))
        except (OSError, MeshError) as error:
            log.warning("tap and top cannot reach this sidecar: folder=%s error=%s", folder, error)

    def retire(self, manager: Manager) -> None:
        """Its listener has gone; what it counted stays."""
        if manager in self.managers:
            self.managers.remove(manager)
            self._refused.update(manager.refused)

    # --- what is told ------------------------------------------------------------------------------------------

    def scene(self) -> Scene:
        """What metrics show now."""
        snapshot = self._snapshot
        refused = Counter(self._refused)
        for manager in self.managers:
            refused.update(manager.refused)
        return Scene(
            service=snapshot.service if snapshot is not None else "",
            proxy_id=snapshot.proxy_id if snapshot is not None else "",
            series=tuple(self.observer.book.all()),
            clusters=tuple(self._clusters.all()),
            tallies=self._tallies,
            leaf_left_s=self._leaf_left_s(),
            refused_requests=tuple(sorted(refused.items())),
            dropped_logs=self._writer.dropped if self._writer is not None else 0,
            dropped_spans=self._exporter.dropped if self._exporter is not None else 0,
        )

    def edges(self) -> dict[str, Any]:
        """What `top` and `intention suggest` read."""
        snapshot = self._snapshot
        return {
            "service": snapshot.service if snapshot is not None else "",
            "proxy_id": snapshot.proxy_id if snapshot is not None else "",
            "edges": self.observer.book.shown(),
        }

    # --- the leaf certificate ----------------------------------------------------------------------------------

    def _leaf_left_s(self) -> float | None:
        end = self._snapshot.leaf_valid[1] if self._snapshot is not None else ""
        return (datetime.fromisoformat(end) - self._clock.now()).total_seconds() if end else None

    def look(self) -> None:
        """Warn when the leaf certificate nears its end without a new one coming from the agent."""
        begin, end = self._snapshot.leaf_valid if self._snapshot is not None else ("", "")
        if not end:
            return
        level = health(datetime.fromisoformat(begin), datetime.fromisoformat(end), self._clock.now())
        if level != self._level and level != "passing":
            say = log.warning if level == "warning" else log.error
            say("the leaf certificate is not renewed: level=%s valid_before=%s", level, end)
        self._level = level

    async def _watch(self) -> None:
        while True:
            self.look()
            await self._clock.sleep(LOOK_S)


def _shape(json_format: str) -> Any:
    """A JSON format, or Consul's when there is none or it cannot be read (a registration's is not checked before)."""
    try:
        return json.loads(json_format) if json_format else access_format.CONSUL_JSON
    except ValueError as error:
        log.error("AccessLogs.JSONFormat cannot be read, the default is used: %s", error)
        return access_format.CONSUL_JSON
