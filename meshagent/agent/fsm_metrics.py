"""How long the state machine takes for each kind of command: `fsm.kvs`, `fsm.register` and so on.

Source: surface row G42; developer.hashicorp.com/consul/docs/agent/monitor/telemetry (`fsm.*`, label `op`). Applying a
command takes some microseconds, so that asking the clock twice for each would show: one of `EVERY` of a kind is timed
and stands for the others, and what is left is added when somebody looks.

What may be changed: a row for a new command; one without is not measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.catalog import commands
from meshagent.catalog.commands import decode
from meshagent.catalog.store import Store
from meshagent.metrics import Metrics, Sampler

__all__ = ["EVERY", "MeasuredStore"]

EVERY = 16
_NAMES: dict[type, tuple[str, str]] = {
    commands.Register: ("fsm.register", ""),
    commands.Deregister: ("fsm.deregister", ""),
    commands.KVSet: ("fsm.kvs", "set"),
    commands.KVCas: ("fsm.kvs", "cas"),
    commands.KVDelete: ("fsm.kvs", "delete"),
    commands.KVDeleteCas: ("fsm.kvs", "delete-cas"),
    commands.KVDeleteTree: ("fsm.kvs", "delete-tree"),
    commands.KVLock: ("fsm.kvs", "lock"),
    commands.KVUnlock: ("fsm.kvs", "unlock"),
    commands.CoordinateBatch: ("fsm.coordinate.batch-update", ""),
    commands.ReapTombstones: ("fsm.tombstone", "reap"),
    commands.SessionCreate: ("fsm.session", "create"),
    commands.SessionDestroy: ("fsm.session", "destroy"),
    commands.Txn: ("fsm.txn", ""),
    commands.PreparedQuerySet: ("fsm.prepared-query", "upsert"),
    commands.PreparedQueryDelete: ("fsm.prepared-query", "delete"),
    commands.ConfigEntrySet: ("fsm.config_entry", "upsert"),
    commands.ConfigEntryDelete: ("fsm.config_entry", "delete"),
    commands.AutopilotSet: ("fsm.autopilot", ""),
    commands.FederationStateSet: ("fsm.federation_state", ""),
    commands.CASet: ("fsm.ca", "set"),
    commands.CASerials: ("fsm.ca.leaf", ""),
    commands.CAAdopt: ("fsm.ca", "adopt"),
    commands.CADrop: ("fsm.ca", "drop"),
    commands.ClusterInit: ("fsm.system_metadata", ""),
}
#: What is measured as the command inside it: its number is the fourth byte.
_AUTHORED = 120
#: By the number of the command, which is the second byte of its encoding as long as it is below 128.
_BY_TAG = {kind.__struct_config__.tag: row for kind, row in _NAMES.items()}  # type: ignore[attr-defined]
_TAGS = 128


class MeasuredStore(Store):
    """A store that measures what it applies, once it was told how."""

    def __init__(self) -> None:
        super().__init__()
        self._clock: Callable[[], float] | None = None
        self._samplers: list[Sampler | None] = [None] * _TAGS
        self._waiting = [0] * _TAGS
        self._last_ms = [0.0] * _TAGS

    def measure(self, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        """Show it in `metrics` from now on."""
        self._clock = monotonic
        for tag, (name, op) in _BY_TAG.items():
            self._samplers[tag] = metrics.sampler(name, (("op", op),) if op else ())
        metrics.collect(self._collect)

    def apply(self, command: bytes) -> Any:
        tag = command[1] if len(command) > 1 else 0
        if tag == _AUTHORED and len(command) > 3:
            tag = command[3]
        if self._clock is None or tag >= _TAGS:
            return self.execute(decode(command))
        waiting = self._waiting[tag]
        self._waiting[tag] = waiting + 1
        if waiting:
            if waiting == EVERY:
                self._add(tag)
            return self.execute(decode(command))
        started = self._clock()
        try:
            return self.execute(decode(command))
        finally:
            self._last_ms[tag] = (self._clock() - started) * 1000

    def _add(self, tag: int) -> None:
        sampler, count = self._samplers[tag], self._waiting[tag]
        if sampler is not None and count:
            sampler.sample_many(self._last_ms[tag], count)
        self._waiting[tag] = 0

    def _collect(self, _: Metrics) -> None:
        for tag in _BY_TAG:
            self._add(tag)
