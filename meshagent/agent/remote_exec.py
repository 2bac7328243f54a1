"""I/O edge: remote execution: jobs that `meshagent exec` leaves in keys and announces with an event are run here.

Source: developer.hashicorp.com/consul/commands/exec; surface rows CL10, L3, G25 (`disable_remote_exec` is on: an
agent runs nothing unless its configuration says so). Under `<prefix>/<session>/` stand `job` (JSON), and for each node
`<node>/ack`, `<node>/out/<number>` and `<node>/exit`, all held by the session, with which they vanish. A job whose
session is gone is killed.

What may change here: sizes. What must not: keys and layouts, which Consul's agents and command share.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec

from meshagent.clock import Tasks
from meshagent.errors import MeshError

__all__ = ["EVENT", "SHELL", "Announcement", "Job", "RemoteExec"]

log = logging.getLogger("agent.remote_exec")

EVENT = "_rexec"
SHELL = "/bin/sh"
CHUNK_BYTES = 4096
#: What a job may say in all; each chunk is a write to every server.
MAX_OUTPUT_BYTES = 1 << 20
TRUNCATED = b"\n(more output is not shown)\n"
MAX_JOBS = 16
#: A killed process is gone within milliseconds, unless the kernel holds it.
LAST_WORDS_S = 1.0

#: (method, target, token, body) -> status, headers, body: this agent's own API.
Api = Callable[[str, str, str, bytes], Awaitable[tuple[int, Mapping[str, str], bytes]]]


class Announcement(msgspec.Struct, frozen=True, rename="pascal"):
    """The payload of the event."""

    prefix: str
    session: str


class Job(msgspec.Struct, frozen=True, rename="pascal"):
    """What is to be run: `args` as they are, or a line for a shell, or a script (base64). `wait` in nanoseconds: the
    command hears from a running job at least that often."""

    command: str = ""
    args: tuple[str, ...] = ()
    script: str = ""
    wait: int = 2_000_000_000


class _SessionGone(Exception):
    """Nobody waits for the job any more."""


class RemoteExec:
    """Runs the jobs that are announced to this node, while `enabled()`."""

    def __init__(self, api: Api, node_name: str, tasks: Tasks, *, enabled: Callable[[], bool]):
        self._api = api
        self._node = node_name
        self._tasks = tasks
        self._enabled = enabled
        self._running = 0

    def announced(self, payload: bytes) -> None:
        """An event that was meant for this node has come."""
        if not self._enabled():
            log.warning("ignoring a remote exec event: disable_remote_exec is set")
            return
        try:
            announcement = msgspec.json.decode(payload, type=Announcement)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("ignoring a remote exec event that does not decode: %s", error)
            return
        if self._running >= MAX_JOBS:
            log.warning("ignoring a remote exec event: %d jobs run already", self._running)
            return
        self._running += 1
        self._tasks.start(self._serve(announcement), name="remote exec")

    async def _serve(self, announcement: Announcement) -> None:
        base = f"{announcement.prefix}/{announcement.session}"
        try:
            status, _, body = await self._api("GET", f"/v1/kv/{quote(base)}/job?raw=&consistent=", "", b"")
            if status != 200:
                log.warning("no remote exec job: session=%s status=%d", announcement.session, status)
                return
            job = msgspec.json.decode(body, type=Job)
            report = _Report(self, f"{base}/{self._node}", announcement.session)
            await report.put("ack", b"")
            log.info("remote exec: session=%s command=%r", announcement.session, job.command or list(job.args))
            await report.put("exit", str(await _run(job, report)).encode())
        except ValueError as error:  # not JSON, not UTF-8, not base64
            log.warning("a remote exec job does not decode: session=%s error=%s", announcement.session, error)
        except _SessionGone:
            log.warning("remote exec ended, its session is gone: session=%s", announcement.session)
        except MeshError as error:
            log.error("remote exec failed: session=%s error=%s", announcement.session, error)
        finally:
            self._running -= 1

    async def write(self, key: str, session: str, value: bytes) -> bool:
        """Write a key that the session holds; whether it lives."""
        target = f"/v1/kv/{quote(key)}?acquire={quote(session)}"
        status, _, body = await self._api("PUT", target, "", value)
        return status == 200 and body.strip() == b"true"


class _Report:
    """What one job tells."""

    def __init__(self, owner: RemoteExec, base: str, session: str) -> None:
        self._owner = owner
        self._base = base
        self._session = session
        self._number = 0

    async def put(self, name: str, value: bytes) -> None:
        if not await self._owner.write(f"{self._base}/{name}", self._session, value):
            raise _SessionGone

    async def output(self, data: bytes) -> None:
        """The next chunk; an empty one says that the job still runs."""
        await self.put(f"out/{self._number:05x}", data)
        self._number += 1


async def _run(job: Job, report: _Report) -> int:
    with contextlib.ExitStack() as stack:
        args = list(job.args) or [SHELL, "-c", job.command]
        if job.script:
            import tempfile  # hardly ever needed

            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="meshagent-exec-"))
            script = Path(folder) / "rexec"
            script.write_bytes(base64.b64decode(job.script, validate=True))
            script.chmod(0o700)
            args = [str(script)]
        try:
            process = await asyncio.create_subprocess_exec(
                *args,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            await report.output(f"cannot run {args[0]}: {error.strerror or error}\n".encode())
            return 255
        try:
            await _stream(process, report, job.wait / 2e9)
            return await process.wait() & 0xFF
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAST_WORDS_S):
                        await process.wait()


async def _stream(process: asyncio.subprocess.Process, report: _Report, beat_s: float) -> None:
    """The output as it comes, and a sign of life where there is none for `beat_s`."""
    stream, left = process.stdout, MAX_OUTPUT_BYTES
    while stream is not None:
        try:
            async with asyncio.timeout(max(beat_s, 0.1)):
                piece = await stream.read(CHUNK_BYTES)
        except TimeoutError:
            await report.output(b"")
            continue
        if not piece:
            return
        if left > 0:
            await report.output(piece[:left])
            left -= len(piece)
            if left <= 0:
                await report.output(TRUNCATED)
