"""`raft/peers.json`: with which servers a cluster begins, or goes on after the loss of too many of them.

    [{"id": "adf4238a-882b-9ddc-4a9d-5b6758e4159e", "address": "10.1.0.1:8300", "non_voter": false}, ...]

Source: surface row G7; developer.hashicorp.com/consul/docs/install/recovery ("Manual recovery using peers.json"). It is
read once at a start, and removed when what it says is on disk. Pure. What may change: nothing; it is Consul's form.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.raft.configuration import Configuration, Server
from meshagent.errors import ConfigError
from meshagent.ids import is_uuid

__all__ = ["MAX_BYTES", "parse_peers"]

#: Far more than any set of servers needs.
MAX_BYTES = 1 << 20


class _Peer(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    address: str
    non_voter: bool = False


_decoder = msgspec.json.Decoder(list[_Peer])


def parse_peers(text: bytes, place: str, own_id: str) -> Configuration:
    """The servers that the file at `place` names.

    Raises:
        ConfigError: it does not hold what it should, or not the server `own_id` that reads it; all problems at once.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{place}: larger than {MAX_BYTES} bytes")
    try:
        rows = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            f'{place}: {error}; expected [{{"id": "<node id>", "address": "<ip:port>", "non_voter": false}}, ...]'
        ) from error
    problems = []
    for place_in_file, row in enumerate(rows):
        where = f"{place}: [{place_in_file}]"
        if not is_uuid(row.id):
            problems.append(
                f"{where}.id: {row.id!r} is not a node id (a UUID; data_dir/node-id holds that of a server)"
            )
        if not _is_address(row.address):
            problems.append(f"{where}.address: {row.address!r} is not an address and port, such as 10.1.0.1:8300")
    for name in ("id", "address"):
        values = [getattr(row, name).lower() for row in rows]
        problems += [f"{place}: {name} {value!r} stands there twice" for value in _doubled(values)]
    if not problems and not any(not row.non_voter for row in rows):
        problems.append(f"{place}: names no server that votes")
    if not problems and not any(row.id.lower() == own_id for row in rows):
        problems.append(f"{place}: does not name this server, whose id is {own_id}")
    if problems:
        raise ConfigError(problems)
    servers = [Server(row.id.lower(), row.address, not row.non_voter) for row in rows]
    return Configuration(tuple(sorted(servers, key=lambda server: server.node_id)))


def _doubled(values: list[str]) -> list[str]:
    return sorted({value for value in values if values.count(value) > 1})


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(colon and host and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536)
