"""Locks over the API: a mutex, and a semaphore of several holders, as all clients of Consul make them.

Source: surface rows E10, E11; developer.hashicorp.com/consul/docs/dynamic-app-config/sessions (and its /semaphore); the
flags are those of github.com/hashicorp/consul/api (lock.go, semaphore.go), so that any client may be a contender.
A lock is tried again and again until it is held or `patience` is over; `lost` returns when it is held no more.

What may change here: pauses. What must not: keys, flags and the form of the holders' list.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Protocol

from meshagent.agent.cli.client import ApiError, Client, Unreachable
from meshagent.errors import MeshError

__all__ = ["Lock", "Mutex", "Semaphore"]

MUTEX_FLAGS = 0x2DDCCBC058A50C18
SEMAPHORE_FLAGS = 0xE0F69A2BAA414DE0
#: How long one read waits for the holder to go.
WAIT_S = 15.0
#: After a refused acquire of a free key there is a lock-delay: pause before the next try.
RETRY_S = 5.0
#: Pause before a failed read of a held lock is tried again.
MONITOR_RETRY_S = 2.0

#: Wait so many seconds; False when it is no use to go on.
Pause = Callable[[float], bool]


class Lock(Protocol):
    """One contender's view of a lock."""

    def acquire(self, pause: Pause, left_s: Callable[[], float | None]) -> bool:
        """Try until it is held (True), or `pause` says no or no time is left (False). Raises MeshError."""

    def lost(self, retries: int, pause: Pause) -> None:
        """Return when it is no longer held, or after more than `retries` failed reads in a row."""

    def release(self) -> None:
        """Give it back. Raises MeshError when it was not held."""

    def clean_up(self) -> None:
        """Delete its keys if nobody else is in line."""


class _Kv:
    """Keys, read with a quorum."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def read(
        self, path: str, index: int = 0, wait_s: float = WAIT_S, *, recurse: bool = False
    ) -> tuple[list[Any], int]:
        """(rows, index); waits while the index is `index`."""
        query = {"consistent": "", **({"recurse": ""} if recurse else {})}
        if index:
            query |= {"index": str(index), "wait": f"{max(1, round(wait_s * 1000))}ms"}
        answer = self._client.request("GET", f"kv/{path}", query, accept=(200, 404))
        found = {name.lower(): value for name, value in answer.headers.items()}
        return answer.json() if answer.status == 200 else [], int(found.get("x-consul-index", "1"))

    def put(self, key: str, value: bytes, **query: str | int) -> bool:
        answer = self._client.put(f"kv/{key}", {name: str(given) for name, given in query.items()}, value)
        return answer.json() is True

    def delete(self, key: str, **query: int) -> bool:
        given = {name: str(value) for name, value in query.items()}
        return self._client.request("DELETE", f"kv/{key}", given).json() is True


def _watch(read: Callable[[int], tuple[bool, int]], retries: int, pause: Pause) -> None:
    """Return when `read(index)` says that it is not held, or fails too often."""
    index, failures = 0, 0
    while True:
        try:
            held, index = read(index)
            failures = 0
        except (ApiError, Unreachable):
            failures += 1
            if failures > retries or not pause(MONITOR_RETRY_S):
                return
            continue
        if not held:
            return


class Mutex:
    """One holder: `<prefix>/.lock` is held by its session."""

    def __init__(self, client: Client, prefix: str, session: str, *, key: str = "") -> None:
        """The lock under `prefix`, or that of `key`."""
        self._kv = _Kv(client)
        self._key = key or f"{prefix}/.lock"
        self._session = session

    def acquire(self, pause: Pause, left_s: Callable[[], float | None]) -> bool:
        index = 0
        while True:
            left = left_s()
            if left is not None and left <= 0:
                return False
            rows, index = self._kv.read(self._key, index, WAIT_S if left is None else min(left, WAIT_S))
            if rows and rows[0]["Flags"] != MUTEX_FLAGS:
                raise MeshError("Existing key does not match lock use")
            if rows and rows[0].get("Session"):
                if not pause(0):
                    return False
                continue
            if self._kv.put(self._key, b"", acquire=self._session, flags=MUTEX_FLAGS):
                return True
            rows, index = self._kv.read(self._key)
            if not (rows and rows[0].get("Session")):
                left = left_s()
                if not pause(RETRY_S if left is None else max(0.0, min(left, RETRY_S))):
                    return False
                index = 0

    def lost(self, retries: int, pause: Pause) -> None:
        def held(index: int) -> tuple[bool, int]:
            rows, index = self._kv.read(self._key, index)
            return bool(rows) and rows[0].get("Session") == self._session, index

        _watch(held, retries, pause)

    def release(self) -> None:
        rows, _ = self._kv.read(self._key)
        if not rows or rows[0].get("Session") != self._session:
            raise MeshError("Lock not held")
        self._kv.put(self._key, b"", release=self._session, flags=MUTEX_FLAGS)

    def clean_up(self) -> None:
        rows, _ = self._kv.read(self._key)
        if rows and not rows[0].get("Session") and rows[0]["Flags"] == MUTEX_FLAGS:
            self._kv.delete(self._key, cas=rows[0]["ModifyIndex"])


class Semaphore:
    """Up to `limit` holders: each has a key of its own, and stands in the list at `<prefix>/.lock`."""

    def __init__(self, client: Client, prefix: str, session: str, limit: int) -> None:
        self._kv = _Kv(client)
        self._prefix = prefix
        self._key = f"{prefix}/.lock"
        self._own = f"{prefix}/{session}"
        self._session = session
        self._limit = limit

    def acquire(self, pause: Pause, left_s: Callable[[], float | None]) -> bool:
        if not self._kv.put(self._own, b"", acquire=self._session, flags=SEMAPHORE_FLAGS):
            raise MeshError("Failed to make contender entry")
        index = 0
        while True:
            left = left_s()
            if left is not None and left <= 0:
                self._withdraw()
                return False
            wait_s = WAIT_S if left is None else min(left, WAIT_S)
            rows, index = self._kv.read(f"{self._prefix}/", index, wait_s, recurse=True)
            lock, holders = self._holders(rows)
            if len(holders) < self._limit:
                holders[self._session] = True
                if self._write(holders, lock):
                    return True
                index = 0  # somebody wrote in between
            if not pause(0):
                self._withdraw()
                return False

    def lost(self, retries: int, pause: Pause) -> None:
        def held(index: int) -> tuple[bool, int]:
            rows, index = self._kv.read(f"{self._prefix}/", index, recurse=True)
            _, holders = self._holders(rows)
            return self._session in holders, index

        _watch(held, retries, pause)

    def release(self) -> None:
        while True:
            rows, _ = self._kv.read(f"{self._prefix}/", recurse=True)
            lock, holders = self._holders(rows)
            if holders.pop(self._session, None) is None:
                raise MeshError("Semaphore not held")
            if self._write(holders, lock):
                break
        self._withdraw()

    def clean_up(self) -> None:
        rows, _ = self._kv.read(f"{self._prefix}/", recurse=True)
        lock, holders = self._holders(rows)
        if lock is not None and not holders:
            self._kv.delete(self._key, cas=lock["ModifyIndex"])

    def _withdraw(self) -> None:
        self._kv.delete(self._own)

    def _write(self, holders: dict[str, bool], lock: Any) -> bool:
        value = json.dumps({"Limit": self._limit, "Holders": holders}, separators=(",", ":")).encode()
        return self._kv.put(self._key, value, cas=0 if lock is None else lock["ModifyIndex"], flags=SEMAPHORE_FLAGS)

    def _holders(self, rows: list[Any]) -> tuple[Any, dict[str, bool]]:
        """(the row of the list or None, holders whose sessions live)."""
        lock = next((row for row in rows if row["Key"] == self._key), None)
        if lock is None:
            return None, {}
        if lock["Flags"] != SEMAPHORE_FLAGS:
            raise MeshError("Existing key does not match semaphore use")
        try:
            value = json.loads(base64.b64decode(lock["Value"] or ""))
            limit, listed = int(value["Limit"]), dict(value["Holders"] or {})
        except (ValueError, KeyError, TypeError):
            raise MeshError(f"the list of holders at {self._key} does not decode") from None
        if limit != self._limit:
            raise MeshError(f"Semaphore limit conflict (lock: {limit}, local: {self._limit})")
        alive = {row["Session"] for row in rows if row.get("Session")}
        return lock, {session: True for session in listed if session in alive}
