"""Which records answer which kind of name and type: one row, one builder.

Source: surface rows D1-D16, D21, D28, D29; RFC 1464 (metadata as TXT), RFC 2782 (SRV), RFC 2308 (negative answers).

To add a record: a builder `(Scene) -> Sections` and a row in `ROWS`; `node_meta` (TXT) is the smallest example.
Order, size limits and spelling are not decided here but in `answer.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from meshagent.catalog.model import Node, ServiceEntry
from meshagent.catalog.peering.imported import at_peer
from meshagent.dns.names import Asked, Kind, Zones, parse_name
from meshagent.dns.sections import Sections, nothing_here, unknown_name
from meshagent.dns.settings import DnsSettings
from meshagent.dns.view import (
    Addresses,
    NamesView,
    Topics,
    addresses_of_instance,
    addresses_of_node,
)
from meshagent.dns.wire import (
    AAAA,
    ANY,
    AXFR,
    CNAME,
    FOLDED_OWNER,
    NOTIMP,
    NS,
    PTR,
    QUESTION_OWNER,
    SOA,
    SRV,
    TXT,
    ZONE_OWNER,
    A,
    Record,
    address,
    packed_address,
    record,
    soa,
    txt,
    type_of,
    wire_name,
)

__all__ = ["RECORDS", "ROWS", "Row", "Scene", "build", "zone_record"]

#: How often a CNAME inside our domains is followed (row D15).
MAX_CNAME_DEPTH: Final = 3
#: Outside names looked up for one answer; a service with more hostnames than this is not a DNS service.
MAX_WANTED: Final = 8
#: Nodes whose part in SRV answers is remembered.
MAX_NAMED_NODES: Final = 65536
#: Name servers listed (row D14).
MAX_SERVERS: Final = 3


class Scene(NamedTuple):
    """Everything a builder may look at. `resolved` holds what recursors said about outside names."""

    asked: Asked
    qtype: int
    zones: Zones
    settings: DnsSettings
    view: NamesView
    datacenter: str
    resolved: Mapping[str, tuple[Record, ...]]
    depth: int = MAX_CNAME_DEPTH


Builder = Callable[[Scene], Sections]


def _local(scene: Scene) -> bool:
    """Whether the name lies in the datacenter that `view` tells of, or is what a peer has told of."""
    asked = scene.asked
    return not asked.datacenter or asked.datacenter == scene.datacenter.lower()


# --- nodes -----------------------------------------------------------------------------------------------------


def node_meta(scene: Scene) -> Sections:
    """TXT of a node: its metadata."""
    node, topics = _node(scene)
    if node is None:
        return unknown_name(topics)
    return Sections(topics, _meta_records(QUESTION_OWNER, node, scene.settings.node_ttl_s))


def node_address(scene: Scene) -> Sections:
    """A or AAAA of a node, with its metadata beside it."""
    node, topics = _node(scene)
    if node is None:
        return unknown_name(topics)
    ttl = scene.settings.node_ttl_s
    answers, wants, more = _address_records(scene, addresses_of_node(node), ttl)
    sections = Sections(topics + more, answers)
    sections.ordered = True
    sections.wants = wants
    if scene.settings.enable_additional_node_meta_txt:
        sections.additional = _meta_records(QUESTION_OWNER, node, ttl)
    return sections


def node_any(scene: Scene) -> Sections:
    """Addresses and metadata of a node."""
    node, topics = _node(scene)
    if node is None:
        return unknown_name(topics)
    ttl = scene.settings.node_ttl_s
    answers, wants, more = _address_records(scene, addresses_of_node(node), ttl)
    sections = Sections(topics + more, (*answers, *_meta_records(QUESTION_OWNER, node, ttl)))
    sections.ordered = True
    sections.wants = wants
    return sections


def _node(scene: Scene) -> tuple[Node | None, Topics]:
    return scene.view.node(at_peer(scene.asked.name, scene.asked.peer)) if _local(scene) else (None, ())


def _meta_records(owner: bytes, node: Node, ttl: int) -> tuple[Record, ...]:
    if not node.meta:
        return ()
    return tuple(txt(owner, ttl, _meta_text(key, value)) for key, value in sorted(node.meta.items()))


_EDGE_SPACES = re.compile(r"^ +| +$")


def _meta_text(key: str, value: str) -> str:
    """`key=value` after RFC 1464; a key that starts `rfc1035-` gives the bare value (row D1)."""
    if key[:8].lower() == "rfc1035-":
        return value
    key = _EDGE_SPACES.sub(lambda spaces: "` " * len(spaces[0]), key.replace("`", "``")).replace("=", "`=")
    return f"{key}={value.replace('`', '``')}"


def _address_records(
    scene: Scene, where: Addresses, ttl: int, owner: bytes = QUESTION_OWNER
) -> tuple[tuple[Record, ...], tuple[str, ...], Topics]:
    """(records of the asked family, wanted outside names, topics); a host name becomes a CNAME and what it leads to."""
    packed = _of_type(where, scene.qtype)
    if packed or not where.host:
        return tuple(address(owner, ttl, ip) for ip in packed), (), ()
    target = wire_name(where.host)
    if target is None:
        return (), (), ()
    records, wants, topics = _follow(scene, where.host)
    # A chain that runs in a circle says the same again.
    return tuple(dict.fromkeys((record(owner, CNAME, ttl, target=target), *records))), wants, topics


def _of_type(where: Addresses, qtype: int) -> tuple[bytes, ...]:
    """The addresses a question of that type gets: of one family, or both."""
    if qtype == A:
        return (where.v4,) if where.v4 else ()
    if qtype == AAAA:
        return (where.v6,) if where.v6 else ()
    if where.v4:
        return (where.v4, where.v6) if where.v6 else (where.v4,)
    return (where.v6,) if where.v6 else ()


def _follow(scene: Scene, host: str) -> tuple[tuple[Record, ...], tuple[str, ...], Topics]:
    """What a host name leads to (row D15): through our own table if it is ours, else from a recursor."""
    text = host.rstrip(".").lower()
    asked = parse_name(text, True, ANY, scene.zones)
    if asked.kind is Kind.OUTSIDE:
        if text in scene.resolved:
            return scene.resolved[text], (), ()
        return (), (text,) if scene.settings.recursors else (), ()
    if scene.depth <= 0:
        return (), (), ()
    found = build(scene._replace(asked=asked, qtype=ANY, depth=scene.depth - 1))
    owner = wire_name(host) or b"\x00"
    wanted = (A, AAAA, CNAME)  # metadata stays behind
    asked_for = (QUESTION_OWNER, FOLDED_OWNER)
    records = tuple(
        (owner if rr[0] in asked_for else rr[0], rr[1], rr[2], rr[3]) for rr in found.answers if type_of(rr) in wanted
    )
    return records, found.wants, found.topics


# --- services --------------------------------------------------------------------------------------------------


def service_addresses(scene: Scene) -> Sections:
    """Addresses of a service's usable instances, one record for each distinct address (rows D2, D7)."""
    usable, topics, ttl, ordered = _instances(scene)
    if not usable:
        return unknown_name(topics)
    qtype = scene.qtype
    weight_of: dict[bytes, int] = {}
    host: Addresses | None = None
    for entry, weight in usable:
        where = addresses_of_instance(entry)
        packed = _of_type(where, qtype)
        for ip in packed:
            weight_of[ip] = weight_of.get(ip, 0) + weight
        if host is None and not packed and where.host:
            host = where
    if weight_of:
        sections = Sections(topics, [address(QUESTION_OWNER, ttl, ip) for ip in weight_of])
        sections.simple = sections.capped = True
        sections.ordered = ordered
        if len(weight_of) > 1:
            sections.weights = _uneven(list(weight_of.values()))
        return sections
    if host is not None:
        records, wants, more = _address_records(scene, host, ttl)
        sections = Sections(topics + more, records)
        sections.ordered = sections.capped = True
        sections.wants = wants
        return sections
    return nothing_here(topics)


class _Beside(NamedTuple):
    """What a node or host name contributes to an SRV answer: target, its records, what else they depend on."""

    target: bytes
    records: tuple[Record, ...] = ()
    wants: tuple[str, ...] = ()
    topics: Topics = ()
    followed: bool = False
    """Whether the target is a host name, so that the records may belong to other names."""


def service_srv(scene: Scene) -> Sections:
    """SRV of a service's usable instances with the addresses and metadata of their targets (row D4)."""
    usable, topics, ttl, ordered = _instances(scene)
    if not usable:
        return unknown_name(topics)
    with_texts = scene.settings.enable_additional_node_meta_txt
    answers: list[Record] = []
    extras: list[tuple[Record, ...]] = []
    texts: list[tuple[Record, ...]] = []
    weights: list[int] = []
    wants: tuple[str, ...] = ()
    simple = True
    any_texts = False
    for entry, weight in usable:
        node = entry.node
        own = entry.service.address
        named, text = _named_node(scene, node, ttl)
        if own and own != node.address:
            beside = _own_target(scene, own, ttl)
            if text:
                simple = False  # metadata has the node's name, which is not the target
        else:
            beside = named
        if beside is None:
            continue
        if beside.followed:
            simple = False
            topics += tuple(topic for topic in beside.topics if topic not in topics)
            wants += tuple(host for host in beside.wants if host not in wants)
        port = entry.service.port
        data = b"\x00\x01" + weight.to_bytes(2, "big") + (port if 0 <= port <= 65535 else 0).to_bytes(2, "big")
        answers.append(record(QUESTION_OWNER, SRV, ttl, data, beside.target, False))
        extras.append(beside.records)
        weights.append(weight)
        if with_texts:
            texts.append(text)
            if text:
                any_texts = True
    if not answers:
        return nothing_here(topics)
    sections = Sections(topics, answers)
    sections.extras = extras
    if any_texts:
        sections.texts = texts
    sections.simple = simple
    sections.ordered = ordered
    sections.weights = _uneven(weights)
    sections.wants = wants[:MAX_WANTED]
    return sections


def _named_node(scene: Scene, node: Node, ttl: int) -> tuple[_Beside | None, tuple[Record, ...]]:
    """What a node contributes as a target, and its metadata. Remembered as long as its row is the same."""
    key = (node.name, ttl, scene.asked.zone.text)
    memo = scene.view.named_nodes
    known = memo.get(key)
    if known is not None and known[0] is node:
        return known[1], known[2]
    if node.peer_name:
        name = wire_name(f"{node.name}.node.{node.peer_name}.peer.{scene.asked.zone.text}")
    else:
        name = _labels(f"{node.name}.node", scene)
    where = addresses_of_node(node)
    texts = _meta_records(name, node, ttl) if name is not None else ()
    if not where.v4 and not where.v6 and where.host:
        # What a host name leads to may change without the node: not remembered.
        return _host_target(scene, where.host), texts
    beside = None
    if name is not None:
        beside = _Beside(name, tuple(address(name, ttl, ip) for ip in _of_type(where, ANY)))
    if len(memo) >= MAX_NAMED_NODES:
        memo.clear()
    memo[key] = (node, beside, texts)
    return beside, texts


def _own_target(scene: Scene, own: str, ttl: int) -> _Beside | None:
    """The target of an instance with an address of its own: the address spelt as a name, or the host name it is."""
    packed = packed_address(own)
    if packed is None:
        return _host_target(scene, own)
    name = _labels(f"{packed.hex()}.addr", scene)
    return _Beside(name, (address(name, ttl, packed),)) if name is not None else None


def _host_target(scene: Scene, host: str) -> _Beside | None:
    target = wire_name(host)
    if target is None:
        return None
    records, wants, topics = _follow(scene, host)
    return _Beside(target, records, wants, topics, True)


def service_other(scene: Scene) -> Sections:
    """Any other type of a service: nothing, or the CNAME of one that lives at a host name."""
    found = service_addresses(scene._replace(qtype=ANY))
    if found.answers and type_of(found.answers[0]) == CNAME:
        return found
    return found if found.rcode else nothing_here(found.topics)


class _Instances(NamedTuple):
    """Usable instances with their weights, what changes that, the TTL of their records, and whether order counts."""

    usable: list[tuple[ServiceEntry, int]]
    topics: Topics
    ttl_s: int
    ordered: bool = False


def _instances(scene: Scene) -> _Instances:
    if not _local(scene):
        return _Instances([], (), 0)
    asked, settings = scene.asked, scene.settings
    if asked.kind is Kind.QUERY:
        found = scene.view.query(asked.name)
        if found is None:
            return _Instances([], ("prepared-queries",), 0)
        ttl_s = settings.ttl_of(found.service) if found.ttl_s is None else found.ttl_s
        return _Instances(found.usable, found.topics, ttl_s, found.ordered)
    if asked.kind is Kind.INGRESS:
        usable, topics = scene.view.ingress(asked.name, only_passing=settings.only_passing)
        return _Instances(usable, topics, settings.ttl_of(asked.name))
    connect = asked.kind is Kind.CONNECT
    name = at_peer(asked.name, asked.peer)
    usable, topics = scene.view.instances(name, asked.tag, connect=connect, only_passing=settings.only_passing)
    return _Instances(usable, topics, settings.ttl_of(asked.name))


def _uneven(weights: list[int]) -> list[int] | None:
    return weights if min(weights) != max(weights) else None


def _labels(front: str, scene: Scene) -> bytes | None:
    return wire_name(f"{front}.{scene.datacenter}.{scene.asked.zone.text}")


def virtual_address(scene: Scene) -> Sections:
    """The virtual address of a mesh service, whatever the type (row D8): elsewhere and unknown ones have none."""
    if not _local(scene):
        return Sections()
    packed, topics = scene.view.virtual_ip(at_peer(scene.asked.name, scene.asked.peer))
    return Sections(topics, (address(FOLDED_OWNER, 0, packed),) if packed else ())


# --- addresses -------------------------------------------------------------------------------------------------


def spelt_address(scene: Scene) -> Sections:
    """The address that an `.addr.` name spells; under another type it goes into Additional (row D5)."""
    packed = bytes.fromhex(scene.asked.name)
    found = (address(FOLDED_OWNER, scene.settings.node_ttl_s, packed),)
    if scene.qtype in (A if len(packed) == 4 else AAAA, ANY):
        return Sections((), found)
    sections = Sections()
    sections.additional = found
    return sections


def pointer(scene: Scene) -> Sections:
    """PTR of an address: its node, else its service (row D12)."""
    text = scene.asked.name
    if not text:
        return unknown_name()
    node, service, topics = scene.view.names_at(text)
    name = f"{node}.node" if node else f"{service}.service" if service else ""
    target = _labels(name, scene) if name else None
    if target is None:
        return unknown_name(topics)
    return Sections(topics, (record(QUESTION_OWNER, PTR, 0, target=target),))


# --- the zone --------------------------------------------------------------------------------------------------


def zone_record(settings: DnsSettings, owner: bytes, serial: int) -> Record:
    """The SOA record of `owner` (row D13)."""
    timers = settings.soa
    numbers = (serial, timers.refresh, timers.retry, timers.expire, timers.min_ttl)
    return soa(owner, timers.min_ttl, numbers)


def zone_soa(scene: Scene) -> Sections:
    """SOA of the main domain, its name servers in Authority, their addresses in Additional (rows D13, D14)."""
    servers, glue, topics = _servers(scene)
    # `answer.py` puts the serial in when the answer is sent.
    sections = Sections(topics, (zone_record(scene.settings, scene.zones.main.wire, 0),))
    sections.authority = servers
    sections.additional = glue
    return sections


def zone_ns(scene: Scene) -> Sections:
    """The name servers of the domain; any name under it asked for NS answers so."""
    servers, glue, topics = _servers(scene)
    sections = Sections(topics, servers)
    sections.additional = glue
    sections.ordered = True
    return sections


def _servers(scene: Scene) -> tuple[list[Record], list[Record], Topics]:
    usable, topics = scene.view.instances("consul", "", connect=False, only_passing=scene.settings.only_passing)
    ttl = scene.settings.node_ttl_s
    servers: list[Record] = []
    glue: list[Record] = []
    for entry, _ in usable:
        # A name that is no host name cannot be a name server.
        if not _HOST_NAME.fullmatch(entry.node.name):
            continue
        name = _labels(f"{entry.node.name}.node", scene)
        if name is None:
            continue
        servers.append(record(ZONE_OWNER, NS, ttl, target=name))
        glue += [address(name, ttl, ip) for ip in _of_type(addresses_of_instance(entry), ANY)]
        if len(servers) == MAX_SERVERS:
            break
    return servers, glue, topics


_HOST_NAME = re.compile(r"[A-Za-z0-9-]+")


def refused_transfer(scene: Scene) -> Sections:
    """Zone transfers are not offered (row D34)."""
    sections = Sections()
    sections.rcode = NOTIMP
    return sections


# --- the rest --------------------------------------------------------------------------------------------------


def empty(scene: Scene) -> Sections:
    """NOERROR with nothing at all."""
    return Sections()


def unknown(scene: Scene) -> Sections:
    """NXDOMAIN."""
    return unknown_name()


@dataclass(frozen=True, slots=True)
class Row:
    """`types` () stands for all that no other row of the kind names."""

    kind: Kind
    types: tuple[int, ...]
    build: Builder
    help: str
    example: str


ROWS: Final = (
    Row(Kind.NODE, (A, AAAA), node_address, "address of a node, its metadata beside it", "n1.node.consul A"),
    Row(Kind.NODE, (TXT,), node_meta, "metadata of a node", "n1.node.consul TXT"),
    Row(Kind.NODE, (ANY,), node_any, "addresses and metadata of a node", "n1.node.consul ANY"),
    Row(Kind.NODE, (), empty, "a node has no other records, and is not looked up for them", "n1.node.consul MX"),
    Row(Kind.SERVICE, (A, AAAA, ANY, TXT), service_addresses, "instances that may be used", "web.service.consul A"),
    Row(Kind.SERVICE, (SRV,), service_srv, "instances with port and weight", "_web._tcp.service.consul SRV"),
    Row(Kind.SERVICE, (), service_other, "nothing, or where the service lives", "web.service.consul CNAME"),
    Row(Kind.CONNECT, (A, AAAA, ANY, TXT), service_addresses, "mesh endpoints of a service", "web.connect.consul A"),
    Row(Kind.CONNECT, (SRV,), service_srv, "mesh endpoints with port and weight", "web.connect.consul SRV"),
    Row(Kind.CONNECT, (), service_other, "nothing", "web.connect.consul MX"),
    Row(Kind.VIRTUAL, (), virtual_address, "virtual address of a mesh service", "web.virtual.consul A"),
    Row(Kind.INGRESS, (A, AAAA, ANY, TXT), service_addresses, "gateways that let it in", "web.ingress.consul A"),
    Row(Kind.INGRESS, (SRV,), service_srv, "the same with port and weight", "web.ingress.consul SRV"),
    Row(Kind.INGRESS, (), service_other, "nothing", "web.ingress.consul MX"),
    Row(Kind.QUERY, (A, AAAA, ANY, TXT), service_addresses, "instances a prepared query gives", "geo.query.consul A"),
    Row(Kind.QUERY, (SRV,), service_srv, "the same with port and weight", "_geo._tcp.query.consul SRV"),
    Row(Kind.QUERY, (), service_other, "nothing, or where the service lives", "geo.query.consul CNAME"),
    Row(Kind.ADDR, (), spelt_address, "the address that the name spells", "0a000001.addr.consul A"),
    Row(Kind.REVERSE, (), pointer, "who has the address", "1.0.0.10.in-addr.arpa PTR"),
    Row(Kind.NOTHING, (), unknown, "inside our domain, but no name of ours", "zork.consul A"),
)
#: Rows of the zone itself: they hold for every name inside our domains.
ZONE_ROWS: Final = (
    Row(Kind.NOTHING, (SOA,), zone_soa, "start of authority", "consul SOA"),
    Row(Kind.NOTHING, (NS,), zone_ns, "name servers", "consul NS"),
    Row(Kind.NOTHING, (AXFR,), refused_transfer, "zone transfers are not offered", "consul AXFR"),
)


def _table() -> dict[tuple[Kind, int], Builder]:
    """(kind, type) -> builder; type 0 for any other. Raises ValueError on a duplicate."""
    table: dict[tuple[Kind, int], Builder] = {}
    for row in ROWS:
        for qtype in row.types or (0,):
            if (row.kind, qtype) in table:
                raise ValueError(f"two rows for {row.kind.value} and type {qtype}")
            table[row.kind, qtype] = row.build
    for kind in Kind:
        if kind in (Kind.REVERSE, Kind.OUTSIDE):
            continue
        for row in ZONE_ROWS:
            table.update({(kind, qtype): row.build for qtype in row.types})
    return table


RECORDS: Final = _table()


def build(scene: Scene) -> Sections:
    """The records that answer `scene`; not for names outside."""
    kind = scene.asked.kind
    builder = RECORDS.get((kind, scene.qtype)) or RECORDS[kind, 0]
    return builder(scene)
