"""I/O edge: registrations made over the API, kept in the data directory so that a restart finds them again.

    services/<sha256 of id>        {"Token", "Source", "LocallyRegisteredAsSidecar", "Service": row}
    checks/<sha256 of id>          {"Token", "Source", "Check": row, "ChkType": definition or null}
    checks/state/<sha256 of id>    {"CheckID", "Status", "Output", "Expires": Unix seconds}: last word of a TTL check
    node-id                        the UUID of this node

Source: surface row G6; the forms are in `saved.py`. Each file is written beside its old self, synced and renamed, mode
0600 (tokens), in a thread. A damaged file is moved aside and reported; it never keeps the agent from starting. What
comes from configuration files is not kept. In `-dev` nothing is: then there is no `Saver`. What may change here: how
the files are written; not where they are.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from meshagent.agent import saved
from meshagent.agent.local import LocalState
from meshagent.agent.registration import LocalCheck, LocalService, Observer
from meshagent.agent.saved import CheckState, Loaded
from meshagent.clock import Tasks
from meshagent.errors import ConfigError, InternalError, MeshError
from meshagent.ids import is_uuid, new_uuid

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["Saver", "load", "load_node_id", "made_data_dir", "saved_to_disk", "write_files"]

log = logging.getLogger("agent")

T = TypeVar("T")


# --- reading ---------------------------------------------------------------------------------------------------------


def load(data_dir: Path) -> Loaded:
    """Read everything; blocks. Damaged files are moved aside (`.damaged`), remains of broken writes removed."""
    problems: list[str] = []
    return Loaded(
        tuple(_read_all(data_dir / "services", saved.decode_service, problems)),
        tuple(_read_all(data_dir / "checks", saved.decode_check, problems)),
        {state.check_id: state for state in _read_all(data_dir / "checks" / "state", saved.decode_state, problems)},
        tuple(problems),
    )


def _read_all(directory: Path, parse: Callable[[bytes], T], problems: list[str]) -> list[T]:
    found: list[T] = []
    try:
        paths = sorted(path for path in directory.iterdir() if path.is_file())
    except FileNotFoundError:
        return found
    except OSError as error:
        problems.append(f"{directory} cannot be read: {error.strerror}")
        return found
    for path in paths:
        if path.suffix == ".tmp":
            path.unlink(missing_ok=True)
        elif path.suffix != ".damaged":
            try:
                found.append(parse(path.read_bytes()))
            except MeshError as error:
                aside = path.with_suffix(".damaged")
                path.replace(aside)
                problems.append(f"{path} is damaged and was moved to {aside.name}: {error}")
            except OSError as error:
                problems.append(f"{path} cannot be read: {error.strerror}")
    return found


def made_data_dir(place: str) -> Path:
    """The data directory, made when it is not there. Raises ConfigError."""
    data_dir = Path(place)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data_dir: cannot make {data_dir}: {error.strerror}") from error
    return data_dir


def load_node_id(data_dir: Path | None, configured: str = "", *, make: Callable[[], str] = new_uuid) -> str:
    """The id of this node: the configured one, else the one on file, else a new one; kept on file.

    Raises:
        ConfigError: an id is not a UUID, or the file cannot be read or written.
    """
    if configured and not is_uuid(configured):
        raise ConfigError(f"node_id: {configured!r} is not a UUID")
    if data_dir is None:
        return (configured or make()).lower()
    path = data_dir / "node-id"
    try:
        on_file = path.read_text().strip() if path.exists() else ""
        if on_file and not is_uuid(on_file) and not configured:
            raise ConfigError(f"{path} holds {on_file!r}, which is not a UUID; remove the file to get a new id")
        node_id = (configured or on_file or make()).lower()
        if node_id != on_file:
            data_dir.mkdir(parents=True, exist_ok=True)
            write_files({path: node_id.encode()})
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return node_id


# --- writing ---------------------------------------------------------------------------------------------------------


def write_files(files: Mapping[Path, bytes | None]) -> None:
    """Write each file beside its old self, sync and rename; None removes it. Blocks.

    Raises:
        OSError: one could not be written; those before it are.
    """
    directories: dict[Path, None] = {}
    for path, data in files.items():
        if data is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            beside = path.with_suffix(".tmp")
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        if path.parent.exists():
            directories[path.parent] = None
    for directory in directories:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Batch:
    """Files that go together, and who waits for them; `done` has the error, or None."""

    def __init__(self, files: dict[Path, bytes | None]) -> None:
        self.files = files
        self.done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()


class Saver(Observer):
    """Keeps the files of a data directory as a local state is. Changes made while it writes go together."""

    def __init__(self, data_dir: Path, local: LocalState, tasks: Tasks) -> None:
        self._services = data_dir / "services"
        self._checks = data_dir / "checks"
        self._states = data_dir / "checks" / "state"
        self._tasks = tasks
        self._batch: _Batch | None = None
        self._failed: dict[Path, bytes | None] = {}
        self._local = local
        self._writing = False
        self._restoring = False
        local.observe(self)

    def restore(self, loaded: Loaded, now: datetime) -> list[str]:
        """`saved.restore` without writing again what was just read; what went wrong."""
        self._restoring = True
        try:
            return saved.restore(self._local, loaded, now)
        finally:
            self._restoring = False

    async def flush(self) -> None:
        """Return when every change made before the call is on disk.

        Raises:
            InternalError: it could not be written. The registration holds, but would not survive a restart.
        """
        if self._batch is None:
            return
        error = await asyncio.shield(self._batch.done)
        if error is not None:
            raise InternalError(f"the registration holds, but could not be saved: {error}")

    def save_state(self, check_id: str, status: str, output: str, expires: float) -> None:
        """Keep the last word of a TTL check until the Unix second `expires`."""
        self._put(self._states / _name(check_id), saved.encode_state(CheckState(check_id, status, output, expires)))

    def service_added(self, entry: LocalService) -> None:
        data = saved.encode_service(entry) if entry.source == "api" else None
        self._put(self._services / _name(entry.service.id), data)

    def service_removed(self, entry: LocalService) -> None:
        self._put(self._services / _name(entry.service.id), None)

    def check_added(self, entry: LocalCheck) -> None:
        data = saved.encode_check(entry) if entry.source == "api" else None
        self._put(self._checks / _name(entry.check.check_id), data)

    def check_removed(self, entry: LocalCheck) -> None:
        name = _name(entry.check.check_id)
        self._put(self._checks / name, None)
        self._put(self._states / name, None)

    def _put(self, path: Path, data: bytes | None) -> None:
        if self._restoring:
            return
        if self._batch is None:
            self._batch = _Batch(self._failed)
            self._failed = {}
        self._batch.files[path] = data
        if not self._writing:
            self._writing = True
            self._tasks.start(self._write(), name="save registrations")

    async def _write(self) -> None:
        try:
            while self._batch is not None:
                batch, self._batch = self._batch, None
                error: OSError | None = None
                try:
                    await asyncio.to_thread(write_files, batch.files)
                except OSError as raised:
                    error = raised
                    log.error("registrations could not be saved: %s", raised)
                    newer: Mapping[Path, bytes | None] = self._batch.files if self._batch is not None else {}
                    self._failed = {path: data for path, data in batch.files.items() if path not in newer}
                finally:
                    if not batch.done.done():
                        batch.done.set_result(error)
        finally:
            self._writing = False


async def saved_to_disk(agent: Agent) -> None:
    """Return when what was registered is on disk, if this agent keeps it there (`extras["saver"]`).

    Raises:
        InternalError: as `Saver.flush`.
    """
    saver: Saver | None = agent.extras.get("saver")
    if saver is not None:
        await saver.flush()


def _name(object_id: str) -> str:
    return hashlib.sha256(object_id.encode("utf-8", "surrogatepass")).hexdigest()
