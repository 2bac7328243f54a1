"""I/O edge: what is in a stopped server's `raft` directory, what of it is damaged, and cutting the damage off.

Source: ours; the layouts are in `records.py`, `snapshots.py`, `vote.py`, `members.py`. Looking changes nothing. Cutting
renames what is bad to `<name>.bad`, so that it can be looked at later, and happens only in `cut`.

What may be changed: what is said. A cut log may lack what was acknowledged: whoever calls `cut` must have been told.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from meshagent.catalog.raft.batch import MEMBERSHIP
from meshagent.catalog.raft.configuration import Configuration, decode_configuration
from meshagent.catalog.raft.disk import Disk
from meshagent.catalog.raft.members import Members, decode_members
from meshagent.catalog.raft.records import Entry, good_part, scan
from meshagent.catalog.raft.snapshots import SnapshotId, list_snapshots, read_snapshot, verify_snapshot
from meshagent.catalog.raft.state import configuration_in
from meshagent.catalog.raft.vote import Vote, decode_vote, encode_vote
from meshagent.errors import CorruptData

__all__ = ["BAD", "Inspection", "LogFile", "cut", "inspect"]

BAD = ".bad"
_SUFFIX = ".log"


@dataclass(frozen=True, slots=True)
class LogFile:
    """One segment. `problem` names offset and fault, or is empty; `keep_bytes` are good from the start on."""

    name: str
    records: int
    first_index: int
    last_index: int
    keep_bytes: int
    problem: str = ""


@dataclass(slots=True)
class Inspection:
    """What a server has. `last_index` and `last_term` are of the last entry that is good and joined to the state."""

    logs: list[LogFile] = field(default_factory=list)
    snapshots: list[tuple[SnapshotId, str]] = field(default_factory=list)  # newest first, with the problem or ""
    vote: Vote | None = None
    members: Members | None = None
    others: list[tuple[str, str]] = field(default_factory=list)  # (file, problem) of what cannot be cut
    last_index: int = 0
    last_term: int = 0
    seen_index: int = 0  # the highest entry that was found anywhere, also behind damage
    configuration: Configuration = field(default_factory=Configuration)

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(file, fault) of everything that is bad."""
        logs = [(each.name, each.problem) for each in self.logs if each.problem]
        snapshots = [(snapshot.name, problem) for snapshot, problem in self.snapshots if problem]
        return [*self.others, *snapshots, *logs]


def inspect(disk: Disk) -> Inspection:
    """Read everything. Raises OSError."""
    found = Inspection()
    names = disk.names()
    for name, decode in (("vote", decode_vote), ("members", decode_members)):
        if name in names:
            try:
                setattr(found, name, decode(disk.read(name), name=name))
            except CorruptData as error:
                found.others.append((name, str(error)))
    base = SnapshotId(1, 0)
    for snapshot in list_snapshots(names):
        problem = _problem_of(disk, snapshot)
        found.snapshots.append((snapshot, problem))
        if not problem and base.index < snapshot.index:
            base = snapshot
    entries = _read_log(disk, sorted(name for name in names if name.endswith(_SUFFIX)), found, base)
    found.last_index, found.last_term = max(base.index, entries[-1][1] if entries else 0), base.term
    if entries and entries[-1][1] >= base.index:
        found.last_term = entries[-1][2]
    if entries and found.vote is None and "vote" not in names:
        found.others.append(("vote", "missing, though there is a log: restore it from a backup"))
    found.seen_index = max(found.seen_index, found.last_index, *(snapshot.index for snapshot, _ in found.snapshots), 0)
    found.configuration = _configuration(disk, found, base, entries)
    return found


def _problem_of(disk: Disk, snapshot: SnapshotId) -> str:
    try:
        verify_snapshot(disk, snapshot)
    except CorruptData as error:
        return str(error)
    return ""


def _read_log(disk: Disk, names: list[str], found: Inspection, base: SnapshotId) -> list[Entry]:
    """The log behind and around `base`, up to the first fault."""
    log: list[Entry] = []
    whole = True
    for name in names:
        data = disk.read(name)
        entries, keep = good_part(data)
        problem = ""
        try:
            scan(data, name=name, last=name == names[-1])
        except CorruptData as error:
            problem = str(error)
        if entries:
            found.seen_index = max(found.seen_index, max(entry[1] for entry in entries))
        if not problem and not whole:
            problem = f"{name}: follows a damaged one"
        if not problem and entries and log and entries[0][1] > log[-1][1] + 1 and entries[0][1] > base.index + 1:
            problem = f"{name}: begins at entry {entries[0][1]}, expected {log[-1][1] + 1}: one is missing"
            entries, keep = [], 0
        if not problem and entries and not log and entries[0][1] > base.index + 1:
            problem = f"{name}: begins at entry {entries[0][1]}, the newest good snapshot ends at {base.index}"
            entries, keep = [], 0
        first, last = (entries[0][1], entries[-1][1]) if entries else (0, 0)
        found.logs.append(LogFile(name, len(entries), first, last, keep if whole else 0, problem))
        if whole:
            _join(log, entries)
        whole = whole and not problem
    return log


def _join(log: list[Entry], entries: list[Entry]) -> None:
    for entry in entries:
        if log and entry[1] > log[-1][1] + 1:
            log.clear()  # a leader's state took the place of what was before
        elif log and entry[1] <= log[-1][1]:
            del log[max(0, entry[1] - log[0][1]) :]
        log.append(entry)


def _configuration(disk: Disk, found: Inspection, base: SnapshotId, entries: list[Entry]) -> Configuration:
    configuration, since = Configuration(), 0
    if base.term:
        configuration = (configuration_in(next(read_snapshot(disk, base), b"")) or (0, configuration))[1]
    if found.members is not None and (base.term < found.members.term or not configuration.servers):
        configuration, since = found.members.configuration, found.members.term
    for payload, index, term in entries:
        if payload[:1] == bytes((MEMBERSHIP,)) and index > base.index and term >= since:
            configuration = decode_configuration(payload)
    return configuration


def cut(disk: Disk, found: Inspection) -> list[str]:
    """Take what is bad out of the way; what was done, a line each. Raises OSError.

    A server of several that loses entries it has acknowledged must not vote as if it had them: it gets a new
    incarnation at its next start (`vote.py`), and its vote back from the leader when it has caught up.
    """
    done = []
    if len(found.configuration.voters) > 1 and found.vote is not None and found.vote.incarnation:
        _replace(disk, "vote", encode_vote(replace(found.vote, incarnation=0)))
        done.append("vote: this server votes no more until it has caught up with the others")
    for snapshot, problem in found.snapshots:
        if problem:
            disk.rename(snapshot.name, snapshot.name + BAD)
            done.append(f"{snapshot.name}: renamed to {snapshot.name}{BAD}")
    for each in reversed(found.logs):  # the newest first: what remains never has a hole
        if not each.problem:
            continue
        data = disk.read(each.name)
        disk.rename(each.name, each.name + BAD)
        done.append(f"{each.name}: renamed to {each.name}{BAD}")
        if each.keep_bytes:
            _replace(disk, each.name, data[: each.keep_bytes])
            done.append(f"{each.name}: kept {each.records} records, up to entry {each.last_index}")
        disk.sync_names()
    disk.sync_names()
    return done


def _replace(disk: Disk, name: str, data: bytes) -> None:
    file = disk.create(name + ".tmp")
    file.write(0, data)
    file.sync()
    file.close()
    disk.rename(name + ".tmp", name)
    disk.sync_names()
