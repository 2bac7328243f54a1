"""I/O edge: `meshagent operator raft repair` and `recover`: on data directories of servers that do not run.

Source: ours, in place of what Consul's outage recovery leaves to a person (developer.hashicorp.com/consul/tutorials/
operate-consul/recovery-outage). Both show first and change something only when told.

What may be changed: the words; never that nothing is written without `-cut` or `-write`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meshagent.agent.cli.flags import command, switch, text
from meshagent.agent.cli.output import fail, say, show_table
from meshagent.catalog.raft.configuration import Configuration, Server
from meshagent.catalog.raft.disk import Disk, FileDisk
from meshagent.catalog.raft.inspection import Inspection, inspect
from meshagent.catalog.raft.inspection import cut as cut_off
from meshagent.catalog.raft.peers_file import PEERS_FILE, decode_peers, encode_peers
from meshagent.errors import MeshError

__all__ = ["recover", "repair"]

NODE_ID_FILE = "node-id"


def _open(data_dir: str) -> Disk:
    directory = Path(data_dir) / "raft"
    if not directory.is_dir():
        raise fail(f"{directory}: no such directory: give the data_dir of a server")
    try:
        return FileDisk(directory)
    except MeshError as error:
        raise fail(str(error)) from None


@command("repair", "DATA_DIR", "Show what is damaged in a stopped server's log, and cut it off")
@switch("cut", "Cut the damage off; the bad files are kept under another name")
def repair(args: tuple[str, ...], cut: bool) -> None:
    """Check log, snapshots and vote of a server that does not run, record by record.

    Without -cut nothing is changed. What is cut off may have been acknowledged: a server of a cluster is better removed
    from it and joined again with an empty data directory.
    """
    if len(args) != 1:
        raise fail("Must specify the data directory of one server")
    disk = _open(args[0])
    try:
        found = inspect(disk)
        _show(found)
        if not found.problems:
            say("Nothing is damaged.")
            return
        for _, problem in found.problems:
            say(f"damaged: {problem}")
        lost = found.seen_index - found.last_index
        say(f"Without the damage the log ends at entry {found.last_index} of term {found.last_term}.")
        if lost > 0:
            say(f"At least {lost} entries would be lost, up to entry {found.seen_index}.")
        if found.others:
            raise fail("vote and members cannot be cut: remove this server from the cluster and let it join again")
        if not cut:
            raise fail("Nothing was changed. -cut cuts it off.")
        _cut(disk, found)
    except OSError as error:
        raise fail(str(error)) from None
    finally:
        disk.close()


def _cut(disk: Disk, found: Inspection) -> None:
    for line in cut_off(disk, found):
        say(line)
    if len(found.configuration.servers) > 1:
        say("This server belongs to a cluster: start it only if no other has the log, see `operator raft recover`.")


def _show(found: Inspection) -> None:
    rows = [["File", "Records", "Entries", "State"]]
    for snapshot, problem in found.snapshots:
        rows.append([snapshot.name, "-", f"up to {snapshot.index}", "damaged" if problem else "good"])
    for each in found.logs:
        entries = f"{each.first_index} to {each.last_index}" if each.records else "-"
        rows.append([each.name, str(each.records), entries, "damaged" if each.problem else "good"])
    show_table(rows)


@dataclass(slots=True)
class _Candidate:
    data_dir: str
    disk: Disk
    found: Inspection
    server: Server

    @property
    def reach(self) -> tuple[int, int]:
        return self.found.last_term, self.found.last_index


@command("recover", "DATA_DIR...", "Begin again with the servers that are left after a quorum was lost")
@switch("write", "Write peers.json, which each of the servers takes at its next start")
@text("address", "ID=host:port of a server whose address has changed", multiple=True)
def recover(args: tuple[str, ...], write: bool, address: tuple[str, ...]) -> None:
    """Show how far each of the given servers' logs is and what would be lost; with -write begin anew with these.

    Give the data directories of all servers that are left (copies, or one host at a time with -write only at the end).
    Servers that are not given lose their place. None of the servers may run.
    """
    if not args:
        raise fail("Must specify the data directories of the servers that are left")
    moved = dict(each.partition("=")[::2] for each in address)
    candidates: list[_Candidate] = []
    try:
        candidates.extend(_candidate(data_dir, moved) for data_dir in args)
        _say_standing(candidates)
        if not write:
            say("Nothing was changed. -write puts peers.json into each of these directories.")
            return
        _write_peers(candidates)
    except OSError as error:
        raise fail(str(error)) from None
    finally:
        for candidate in candidates:
            candidate.disk.close()


def _candidate(data_dir: str, moved: dict[str, str]) -> _Candidate:
    disk = _open(data_dir)
    found = inspect(disk)
    id_file = Path(data_dir) / NODE_ID_FILE
    node_id = id_file.read_text().strip() if id_file.is_file() else ""
    known = found.configuration.get(node_id)
    server = Server(node_id, moved.get(node_id) or (known.address if known is not None else ""), True)
    problem = ""
    if found.problems:
        problem = f"{found.problems[0][1]}: `meshagent operator raft repair {data_dir}` first"
    elif not node_id:
        problem = f"{id_file} is missing or empty"
    elif not server.address:
        problem = f"server {node_id} is not among those its log knows: say -address={node_id}=host:port"
    if problem:
        disk.close()
        raise fail(f"{data_dir}: {problem}")
    return _Candidate(data_dir, disk, found, server)


def _say_standing(candidates: list[_Candidate]) -> None:
    best = max(candidates, key=lambda each: each.reach)
    rows = [["Data directory", "ID", "Address", "Last index", "Last term", "Behind"]]
    for each in candidates:
        behind = best.found.last_index - each.found.last_index
        index, term = str(each.found.last_index), str(each.found.last_term)
        rows.append([each.data_dir, each.server.node_id, each.server.address, index, term, str(behind)])
    show_table(rows)
    given = {each.server.node_id for each in candidates}
    gone = [each for each in best.found.configuration.servers if each.node_id not in given]
    voters = len(best.found.configuration.voters)
    left = len(best.found.configuration.voters & given)
    say(f"{best.server.node_id} has the most: it would lead, with everything up to entry {best.found.last_index}.")
    for server in gone:
        say(f"{server.node_id} at {server.address} would no longer belong to the cluster.")
    if 2 * left > voters:
        say("These are a majority: nothing acknowledged is lost, and they would go on by themselves.")
    else:
        say(
            f"These are {left} of {voters} that vote: what only the others acknowledged, behind entry"
            f" {best.found.last_index}, is lost."
        )


def _write_peers(candidates: list[_Candidate]) -> None:
    servers = sorted((each.server for each in candidates), key=lambda server: server.node_id)
    data = encode_peers(Configuration(tuple(servers)))
    try:
        decode_peers(data, name=PEERS_FILE)
    except MeshError as error:
        raise fail(str(error)) from None
    for each in candidates:
        file = each.disk.create(PEERS_FILE + ".tmp")
        file.write(0, data)
        file.sync()
        file.close()
        each.disk.rename(PEERS_FILE + ".tmp", PEERS_FILE)
        each.disk.sync_names()
        say(f"wrote {Path(each.data_dir) / 'raft' / PEERS_FILE}")
    say("Start all of these servers now.")
