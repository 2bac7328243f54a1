"""One engine on messages by hand, its disk held; nothing moves unless a test says so."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from meshagent.catalog.raft.configuration import Server as Member
from meshagent.catalog.raft.configuration import initial
from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.journal import FileJournal, MemoryJournal
from meshagent.catalog.raft.messages import (
    AppendReply,
    Message,
    VoteReply,
    decode_message,
    encode_message,
)
from meshagent.catalog.raft.records import Entry
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.clock import VirtualClock
from meshtest.disk import SimDisk
from meshtest.logs import HeldWorker

SETTINGS = RaftSettings(multiplier=1, heartbeat_s=0.1, election_min_s=1.0, election_max_s=2.0, slice_s=1.0)
T = TypeVar("T", bound=Message)


class Wire:
    """What was sent, by whom to whom is clear; every peer is connected, on connection number `epochs[peer]`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.servers: dict[str, str] = {}
        self.epochs: dict[str, int] = {}

    def attach(self, on_message: Any, on_connection: Any) -> None:
        raise AssertionError("the driver attaches")

    def set_servers(self, servers: Mapping[str, str]) -> None:
        self.servers = dict(servers)

    def send(self, node_id: str, message: Message) -> None:
        self.sent.append((node_id, decode_message(encode_message(message))))

    def connected(self, node_id: str) -> bool:
        return True

    def epoch(self, node_id: str) -> int:
        return self.epochs.get(node_id, 1)


class Server:
    """An engine with two peers (or `peers`) and a disk that works only when told to."""

    def __init__(
        self,
        *,
        peers: tuple[str, ...] = ("b", "c"),
        journal: Any = None,
        slice_s: float = 1.0,
        voter: bool = True,
        incarnations: dict[str, int] | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.wire = Wire()
        self.worker = HeldWorker()
        self.journal = journal or FileJournal(SimDisk(), self.worker)
        self.applied: list[Entry] = []
        self.states: list[str] = []
        self.behind: list[str] = []
        self.deposed = 0
        self.heard: list[Message] = []
        configuration = initial({name: f"{name}:8300" for name in ("a", *peers)})
        for name, incarnation in (incarnations or {}).items():
            configuration = configuration.having(Member(name, f"{name}:8300", True, incarnation))
        self.engine = Engine(
            "a",
            (1, configuration if voter else configuration.having(Member("a", "a:8300", False))),
            journal=self.journal,
            transport=self.wire,
            clock=self.clock,
            rng=random.Random(1),
            settings=SETTINGS if slice_s == 1.0 else replace(SETTINGS, slice_s=slice_s),
            apply=self.applied.append,
            on_state=self.states.append,
            courier=self,  # type: ignore[arg-type]
        )

    def on_behind(self, node_id: str) -> None:
        self.behind.append(node_id)

    def on_reply(self, message: Message) -> None:
        self.heard.append(message)

    def on_deposed(self) -> None:
        self.deposed += 1

    def hear(self, message: Message, epoch: int = 1) -> None:
        self.engine.receive(message.sender, message, epoch)

    def said(self, kind: type[T]) -> list[T]:
        """What was sent of `kind` since the last question."""
        found = [message for _, message in self.wire.sent if isinstance(message, kind)]
        self.wire.sent = [each for each in self.wire.sent if not isinstance(each[1], kind)]
        return found

    async def pass_s(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        self.engine.tick()

    def disk_works(self) -> None:
        if isinstance(self.journal, MemoryJournal) and not isinstance(self.journal, FileJournal):
            self.journal._synced()
        self.journal.sync()
        while self.worker.jobs:
            self.worker.step()
        self.engine.tick()

    async def stand(self) -> None:
        await self.pass_s(3)
        self.hear(VoteReply("b", self.engine.term, 1, self.engine.term + 1, True, True))

    async def lead(self) -> None:
        await self.stand()
        await self.lead_on()

    async def lead_on(self) -> None:
        self.hear(VoteReply("b", self.engine.term, 1, self.engine.term, True, False))
        assert self.engine.takes_commands

    async def lead_five(self) -> None:
        await self.pass_s(3)
        for pre in (True, False):
            for name in ("b", "c"):
                self.hear(VoteReply(name, self.engine.term, 1, self.engine.term + pre, True, pre))
                if self.engine.takes_commands:
                    return

    def reply(
        self,
        node: str,
        index: int,
        *,
        success: bool = True,
        round_: int | None = None,
        epoch: int = 1,
        incarnation: int = 0,
    ) -> None:
        engine = self.engine
        newest = engine._round if round_ is None else round_
        self.hear(AppendReply(node, engine.term, epoch, newest, success, index, incarnation), epoch)


def journal_of(entries: list[Entry], *, term: int, vote: str | None = None) -> MemoryJournal:
    journal = MemoryJournal()
    for entry in entries:
        journal.add(*entry)
    journal.setCurrentTerm(term, vote)
    journal._synced()
    journal.sync = lambda: None  # type: ignore[method-assign]
    return journal
