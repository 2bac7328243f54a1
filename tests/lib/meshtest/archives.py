"""A snapshot archive of a few rows, for tests of what reads or stores one."""

from __future__ import annotations

from datetime import UTC, datetime

from meshagent.catalog.archive import ArchiveMeta, ArchiveWriter
from meshagent.catalog.commands import KVSet, Register
from meshagent.catalog.model import Node, Service
from meshagent.catalog.store import Store


def archive() -> bytes:
    store = Store()
    store.execute(Register(Node(name="n1", address="10.0.0.1"), Service(id="web", name="web")))
    for key in ("app/db/url", "app/db/user", "app/log", "z"):
        store.execute(KVSet(key, b"v" * 300))
    meta = ArchiveMeta(index=store.index, term=2, time=datetime(2024, 1, 1, tzinfo=UTC))
    writer = ArchiveWriter(meta)
    return writer.begin() + b"".join(map(writer.add, store.snapshot())) + writer.end()
