"""I/O edge: keeps the agent's own certificate: asks for the first one, renews it, asks anew when it has ended.

Renewal goes over the ordinary connection, at the times of `connect/leaf.py`; a change of the root brings it forward.
When the certificate has ended (a host that slept for a week), the first contact is made again.

Source: surface row G16; Consul's agent/auto-config (MPL: first, renewal, fallback). What may change here: times.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.agent.auto import kept as disk
from meshagent.agent.auto.asking import new_request
from meshagent.agent.auto.kept import Kept, kept_of
from meshagent.agent.auto.messages import SIGN, Issued, SignRequest, decode, encode
from meshagent.catalog.rpc.settings import TlsSettings
from meshagent.catalog.rpc.tls import Credentials, Security, load_security
from meshagent.clock import Clock, Tasks
from meshagent.connect.leaf import Renewal, health
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.metrics import Metrics

__all__ = ["CertificateKeeper"]

log = logging.getLogger("agent.auto_config")

#: Pauses between first contacts that fail: doubled from the first to the longest, each cut by up to half by chance.
RETRY_FIRST_S, RETRY_LONGEST_S = 0.5, 30.0
#: The longest sleep: wall time may jump.
STEP_S = 60.0

#: Asks for a first certificate: from a private key and a request (PEM) to what is to be kept.
First = Callable[[str, bytes], Awaitable[Kept]]
#: A call over the ordinary connection.
Call = Callable[[str, bytes], Awaitable[bytes]]


class CertificateKeeper:
    """The certificate of this agent. `kept` is what a former run, or the introduction, left."""

    def __init__(
        self,
        kept: Kept | None,
        *,
        first: First,
        call: Call,
        node: str,
        datacenter: str,
        names: tuple[str, ...],
        data_dir: Path | None,
        clock: Clock,
        rng: random.Random,
        tasks: Tasks,
    ) -> None:
        self.kept = kept
        #: Called when there is another certificate.
        self.on_change: list[Callable[[], None]] = []
        self._first = first
        self._call = call
        self._node = node
        self._datacenter = datacenter
        self._names = names
        self._data_dir = data_dir
        self._clock = clock
        self._rng = rng
        self._tasks = tasks
        self._woken = asyncio.Event()
        self._renewal: Renewal | None = None
        self._pause_s = RETRY_FIRST_S
        if kept is not None:
            self._renewal = Renewal(rng, kept.begin, kept.end)

    @property
    def usable(self) -> bool:
        """Whether there is a certificate that is good now."""
        return self.kept is not None and self._clock.now() < self.kept.end

    def security(self, tls: TlsSettings, domain: str) -> Security:
        """The contexts with the certificate as it is now. Raises ConfigError."""
        kept = self.kept
        if kept is None:
            return load_security(replace(tls, verify_outgoing=bool(tls.ca_file or tls.ca_path)), domain)
        hostname = tls.verify_server_hostname or kept.verify_server_hostname
        verified = bool(tls.ca_file or tls.ca_path or kept.authorities)
        return load_security(
            replace(tls, verify_outgoing=verified, verify_server_hostname=hostname),
            domain,
            Credentials(kept.chain, kept.key, kept.authorities),
        )

    def root_is(self, root_id: str) -> None:
        """The servers sign with this root now."""
        kept, renewal = self.kept, self._renewal
        if kept is not None and renewal is not None and root_id and kept.root_id != root_id:
            renewal.root_changed(self._clock.now())
            self._woken.set()

    def news(self) -> None:
        """There may be a server to ask now."""
        if not self.usable:
            self._woken.set()

    async def run(self) -> None:
        """Keep it, for ever."""
        while True:
            self._woken.clear()
            pause_s = await self._step()
            timer = self._tasks.start(self._clock.sleep(min(pause_s, STEP_S)), name="agent certificate")
            timer.add_done_callback(lambda done: None if done.cancelled() else self._woken.set())
            try:
                await self._woken.wait()
            finally:
                timer.cancel()

    async def _step(self) -> float:
        """Do what is due; seconds until there may be more to do."""
        try:
            if not self.usable or self._renewal is None:
                await self._begin()
            elif self._renewal.due <= self._clock.now():
                await self._renew()
        except MeshError as error:
            return self._failed(error)
        self._pause_s = RETRY_FIRST_S
        due = self._renewal.due if self._renewal is not None else self._clock.now()
        return max(0.01, (due - self._clock.now()).total_seconds())

    async def _begin(self) -> None:
        key, request = new_request(self._node, self._datacenter, self._names)
        self._take(await self._first(key, request))

    async def _renew(self) -> None:
        key, request = new_request(self._node, self._datacenter, self._names)
        issued = decode(await self._call(SIGN, encode(SignRequest(self._node, request))), Issued)
        options = self.kept.options if self.kept is not None else None
        self._take(kept_of(self._node, self._datacenter, key, issued, options))

    def _take(self, kept: Kept) -> None:
        self.kept = kept
        self._renewal = Renewal(self._rng, kept.begin, kept.end)
        disk.save(self._data_dir, kept)
        log.info("certificate of this agent: valid_before=%s root=%s", kept.valid_before, kept.root_id)
        for listener in self.on_change:
            listener()

    def _failed(self, error: MeshError) -> float:
        now = self._clock.now()
        kept, renewal = self.kept, self._renewal
        if kept is None or renewal is None or now >= kept.end:
            pause_s = self._pause_s
            self._pause_s = min(2 * self._pause_s, RETRY_LONGEST_S)
            log.warning("no certificate yet, will retry in %.1f s: %s", pause_s, error)
            return pause_s * self._rng.uniform(0.5, 1.0)
        renewal.failed(now)
        level = health(kept.begin, kept.end, now)
        log.log(
            logging.ERROR if level in {"critical", "expired"} else logging.WARNING,
            "the agent's certificate was not renewed: valid_before=%s error=%s", kept.valid_before, error,
        )  # fmt: skip
        return max(0.01, (min(renewal.due, kept.end) - now + timedelta(milliseconds=1)).total_seconds())

    def problem(self) -> str:
        """What is in danger, in a sentence; "" when nothing is."""
        kept, now = self.kept, self._clock.now()
        if kept is None or health(kept.begin, kept.end, now) == "passing":
            return ""
        word = "has ended" if now >= kept.end else "could not be renewed"
        return f"The certificate of this agent {word}: it is valid until {kept.valid_before}"

    def gauges(self, metrics: Metrics) -> None:
        """Seconds until it ends, under Consul's name."""
        if self.kept is not None:
            metrics.gauge("agent.tls.cert.expiry", (self.kept.end - self._clock.now()).total_seconds())
