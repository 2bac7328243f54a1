"""Message bytes: the question parser, the answer encoder, and the door to dnslib.

Source: RFC 1035 section 4 (messages, compression), RFC 6891 (EDNS), RFC 7871 (client subnet), RFC 1996 (NOTIFY);
surface rows D20, D25, D26, D30, D34. A name is its uncompressed wire form with the root byte (`b"\\x02db\\x00"`); text
is lower case, dotted, without the final dot. Everything returned for sending starts after the message id, which the
edge puts in front.

What may change here: speed. Questions are parsed and answers encoded by hand because this is the path of every query
that is not in the cache (a dnslib round trip costs about 150 us, this one 5). dnslib decodes what other servers send;
no other module imports it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from meshagent.errors import RemoteProtocolError

__all__ = [
    "AA",
    "AAAA",
    "ANY",
    "AXFR",
    "CNAME",
    "FOLDED_OWNER",
    "FORMERR",
    "IN",
    "MAX_POINTER",
    "NOERROR",
    "NOTIMP",
    "NS",
    "NXDOMAIN",
    "OPT",
    "PTR",
    "QR",
    "QUESTION_OWNER",
    "RA",
    "RD",
    "REFUSED",
    "SERVFAIL",
    "SOA",
    "SRV",
    "TC",
    "TXT",
    "ZONE_OWNER",
    "A",
    "Dropped",
    "Malformed",
    "Question",
    "Record",
    "address",
    "as_spelt",
    "decode_records",
    "encode",
    "folded",
    "packed_address",
    "parse_question",
    "parse_reply",
    "record",
    "soa",
    "text_of_name",
    "txt",
    "type_of",
    "wire_name",
]

A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
PTR: Final = 12
TXT: Final = 16
AAAA: Final = 28
SRV: Final = 33
OPT: Final = 41
AXFR: Final = 252
ANY: Final = 255
IN: Final = 1

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5

QR: Final = 0x8000
AA: Final = 0x0400
TC: Final = 0x0200
RD: Final = 0x0100
RA: Final = 0x0080
CD: Final = 0x0010
#: What a FORMERR or NOTIMP keeps of the query's flags: TC RD RA AD CD (as Consul's DNS library does).
_KEPT_FLAGS: Final = 0x03B0

MAX_NAME_BYTES: Final = 255
#: Compression pointers have 14 bits.
MAX_POINTER: Final = 0x3FFF
_ECS_OPTION: Final = 8

_COUNTS = Struct("!HHHHH")  # flags and the four counts: the header behind the id
_RR_FIXED = Struct("!HHIH")  # type, class, TTL, length of the data
_PAIR = Struct("!HH")

#: A record as (owner, all behind the owner with names spelt out, where in that a name begins, whether it may be
#: compressed). The name, if any (position 0: none), is the end of the record. An SOA has position -1: its two names are
#: put in when it is encoded, and the bytes are type, class, TTL, two bytes for the length, and the five numbers.
Record = tuple[bytes, bytes, int, bool]

#: Owners that are filled in when the answer is encoded: the question's name and its zone part, as they were spelt.
QUESTION_OWNER: Final = b""
ZONE_OWNER: Final = b"\x00zone"
#: The question's name with all but the zone part in lower case (Consul answers `.addr.` and `.virtual.` names so).
FOLDED_OWNER: Final = b"\x00folded"

#: Characters a label can hold without being escaped in text form; a label with any other never names anything here.
_PLAIN = bytes(c for c in range(0x21, 0x7F) if chr(c) not in "'@;()\"\\.")


class Dropped(RemoteProtocolError):
    """A packet that gets no reply: shorter than a header, or itself a response."""


class Malformed(RemoteProtocolError):
    """A packet that is answered with a header only; `reply` is that header without the id."""

    def __init__(self, message: str, reply: bytes) -> None:
        self.reply = reply
        super().__init__(message)


class Question:
    """One parsed query.

    `name` is the wire name as sent; `text` its lower-case text, or "" for the root; `plain` is whether `text` can name
    anything. `raw` is name, type and class as they go back. `edns` is the OPT record to send back or b"",
    `udp_size` what the client takes over UDP (at least 512).
    """

    __slots__ = ("cls", "edns", "flags", "name", "plain", "raw", "text", "type", "udp_size")

    def __init__(
        self, flags: int, name: bytes, text: str, plain: bool, raw: bytes, qtype: int, cls: int, edns: bytes, size: int
    ) -> None:
        self.flags = flags
        self.name = name
        self.text = text
        self.plain = plain
        self.raw = raw
        self.type = qtype
        self.cls = cls
        self.edns = edns
        self.udp_size = size

    @property
    def reply_flags(self) -> int:
        """QR, the opcode, and for a standard query RD and CD as they came."""
        flags = self.flags
        if flags & 0x7800:
            return QR | (flags & 0x7800)
        return QR | (flags & (RD | CD))


def _header_only(flags: int, rcode: int) -> bytes:
    kept = flags & _KEPT_FLAGS
    if rcode == NOTIMP:
        kept |= flags & 0x7800
    return _COUNTS.pack(QR | kept | rcode, 0, 0, 0, 0)


def parse_question(data: bytes) -> Question:
    """Parse a query.

    Raises:
        Dropped: it deserves no reply.
        Malformed: it is answered with FORMERR or NOTIMP.
    """
    size = len(data)
    if size < 12:
        raise Dropped("shorter than a header")
    flags, questions, answers, authority, additional = _COUNTS.unpack_from(data, 2)
    if flags & 0x8000:
        raise Dropped("a response")
    if flags & 0x7800 and flags & 0x7800 != 0x2000:  # only QUERY and NOTIFY are known
        raise Malformed("opcode", _header_only(flags, NOTIMP))
    if questions != 1 or answers > 1 or authority > 1 or additional > 2:
        raise Malformed("counts", _header_only(flags, FORMERR))
    at = 12
    labels = []
    try:
        while length := data[at]:
            if length > 63:  # a pointer has nothing before it to point to; 0x40 and 0x80 are reserved
                raise Malformed("label", _header_only(flags, FORMERR))
            at += 1
            labels.append(data[at : at + length])
            at += length
    except IndexError:
        raise Malformed("name without end", _header_only(flags, FORMERR)) from None
    at += 1
    end = at + 4
    if end > size or at - 12 > MAX_NAME_BYTES:
        raise Malformed("question", _header_only(flags, FORMERR))
    qtype, cls = _PAIR.unpack_from(data, at)
    dotted = b".".join(labels)
    plain = len(dotted.translate(None, _PLAIN)) == len(labels) - 1
    text = dotted.decode("latin-1").lower()
    edns, udp_size = b"", 512
    if end < size and (answers or authority or additional):
        try:
            edns, udp_size = _find_opt(data, end, answers + authority, additional)
        except (IndexError, ValueError):
            raise Malformed("records", _header_only(flags, FORMERR)) from None
    return Question(flags, data[12:at], text, plain, data[12:end], qtype, cls, edns, udp_size)


def _find_opt(data: bytes, at: int, skipped: int, additional: int) -> tuple[bytes, int]:
    """(OPT record to send back, UDP size) from the records behind the question; raises ValueError or IndexError."""
    size = len(data)
    edns, udp_size = b"", 512
    for number in range(skipped + additional):
        if at == size:  # the counts promised more than there is: tolerated, as Consul's library does
            break
        while length := data[at]:
            if length & 0xC0 == 0xC0:
                at += 1
                break
            if length > 63:
                raise ValueError
            at += length + 1
        at += 1
        if at + 10 > size:
            raise ValueError
        rtype, cls, _, rdlength = _RR_FIXED.unpack_from(data, at)
        at += 10
        if at + rdlength > size:
            raise ValueError
        if rtype == OPT and number >= skipped and not edns:
            subnet = _echoed_subnet(data[at : at + rdlength])
            edns = b"\x00" + _RR_FIXED.pack(OPT, cls, 0, len(subnet)) + subnet
            udp_size = max(512, cls)
        at += rdlength
    return edns, udp_size


def _echoed_subnet(options: bytes) -> bytes:
    """The client-subnet option with scope 0, as it goes back (RFC 7871 section 7.2.1); raises ValueError."""
    at, size = 0, len(options)
    found = b""
    while at < size:
        if at + 4 > size:
            raise ValueError
        code, length = _PAIR.unpack_from(options, at)
        at += 4
        if at + length > size:
            raise ValueError
        if code == _ECS_OPTION:
            option = options[at : at + length]
            if length < 4:
                raise ValueError
            family, source = int.from_bytes(option[:2], "big"), option[2]
            widest = {0: 0, 1: 32, 2: 128}.get(family)
            # RFC 7871 section 6: exactly the bytes of the address that the prefix covers, and no bits behind it.
            if widest is None or source > widest or length - 4 != (source + 7) // 8:
                raise ValueError
            if source % 8 and option[-1] & (0xFF >> source % 8):
                raise ValueError
            found = options[at - 4 : at] + option[:3] + b"\x00" + option[4:]
        at += length
    return found


# --- values ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def packed_address(text: str) -> bytes | None:
    """4 or 16 bytes of an IP address, or None when it is something else (a host name). IPv4-mapped IPv6 is IPv4."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.scope_id is not None:
            return None
        if parsed.ipv4_mapped is not None:
            return parsed.ipv4_mapped.packed
    return parsed.packed


@lru_cache(maxsize=65536)
def wire_name(text: str) -> bytes | None:
    """Wire form of a dotted name (final dot or not), or None when a label or the name is too long or empty."""
    labels = text.removesuffix(".").split(".")
    if labels == [""]:
        return b"\x00"
    out = bytearray()
    for label in labels:
        raw = label.encode()
        if not 0 < len(raw) <= 63:
            return None
        out.append(len(raw))
        out += raw
    out.append(0)
    return bytes(out) if len(out) <= MAX_NAME_BYTES else None


def text_of_name(name: bytes) -> str:
    """Dotted text of a wire name, with the final dot; for logs and look-ups."""
    at, labels = 0, []
    while length := name[at]:
        labels.append(name[at + 1 : at + 1 + length].decode("latin-1"))
        at += length + 1
    return ".".join(labels) + "."


@lru_cache(maxsize=4096)
def _head(rtype: int, ttl_s: int, length: int) -> bytes:
    """What stands between owner and data."""
    return _RR_FIXED.pack(rtype, IN, ttl_s, length)


def record(
    owner: bytes, rtype: int, ttl_s: int, data: bytes = b"", target: bytes | None = None, compress: bool = True
) -> Record:
    """A record; `target` is a name at the end of its data (SRV targets are not compressed, RFC 2782)."""
    if target is None:
        return (owner, _head(rtype, ttl_s, len(data)) + data, 0, False)
    return (owner, _head(rtype, ttl_s, len(data) + len(target)) + data + target, 10 + len(data), compress)


def address(owner: bytes, ttl_s: int, packed: bytes) -> Record:
    """A or AAAA, by the length of the address."""
    length = len(packed)
    return (owner, _head(A if length == 4 else AAAA, ttl_s, length) + packed, 0, False)


def txt(owner: bytes, ttl_s: int, text: str) -> Record:
    """A TXT record of one text, cut into strings of at most 255 bytes."""
    raw = text.encode()
    pieces = [raw[at : at + 255] for at in range(0, len(raw), 255)] or [b""]
    return record(owner, TXT, ttl_s, b"".join(bytes((len(piece),)) + piece for piece in pieces))


def soa(owner: bytes, ttl_s: int, numbers: Iterable[int]) -> Record:
    """An SOA of the owner: serial, refresh, retry, expire, minimum. Its names are `ns.` and `hostmaster.` the owner."""
    data = b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in numbers)
    return (owner, _head(SOA, ttl_s, 0) + data, -1, True)


def type_of(rr: Record) -> int:
    """The type of a record."""
    return rr[1][0] << 8 | rr[1][1]


# --- answers ---------------------------------------------------------------------------------------------------


def encode(
    flags: int,
    question: Question,
    zone: bytes,
    answers: Sequence[Record],
    authority: Sequence[Record] = (),
    additional: Sequence[Record] = (),
    compress: bool = True,
) -> bytes:
    """A whole message behind the id. `zone` is the wire name of the domain, the end of the question's name (or not)."""
    counts = _COUNTS.pack(flags, 1, len(answers), len(authority), len(additional) + (1 if question.edns else 0))
    name = question.name
    where: dict[bytes, int] = {}
    if compress:
        at = 0
        while length := name[at]:
            where[name[at:]] = 12 + at
            at += length + 1
    parts = [counts, question.raw]
    offset = 12 + len(question.raw)
    for section in (answers, authority, additional):
        for owner, tail, name_at, may_compress in section:
            if owner is QUESTION_OWNER:
                owner = name
            elif owner is ZONE_OWNER:
                owner = as_spelt(name, zone)
            elif owner is FOLDED_OWNER:
                owner = folded(name, zone)
            full_owner = owner
            if compress:
                owner = _compressed(owner, offset, where)
            offset += len(owner)
            if name_at < 0:
                tail = _with_names(tail, full_owner, offset, where if compress else None)
            elif name_at and compress:
                short = _compressed(tail[name_at:], offset + name_at, where)
                if may_compress:
                    length = name_at - 10 + len(short)
                    tail = tail[:8] + length.to_bytes(2, "big") + tail[10:name_at] + short
            parts.append(owner)
            parts.append(tail)
            offset += len(tail)
    if question.edns:
        parts.append(question.edns)
    return b"".join(parts)


def as_spelt(name: bytes, zone: bytes) -> bytes:
    """`zone` in the spelling of the question's name when that lies in it."""
    own = name[-len(zone) :]
    return own if own.lower() == zone else zone


def folded(name: bytes, zone: bytes) -> bytes:
    """`name` with what stands before `zone` in lower case; an unchanged name comes back as the same object."""
    end = len(name) - len(zone)
    lower = name[:end].lower() + name[end:]
    return name if lower == name else lower


def _with_names(tail: bytes, zone: bytes, offset: int, where: dict[bytes, int] | None) -> bytes:
    """The SOA `tail` of `zone` with its names, as written at `offset`."""
    mname, rname = b"\x02ns" + zone, b"\x0ahostmaster" + zone
    if where is not None:
        mname = _compressed(mname, offset + 10, where)
        rname = _compressed(rname, offset + 10 + len(mname), where)
    data = mname + rname + tail[10:]
    return tail[:8] + len(data).to_bytes(2, "big") + data


def _compressed(name: bytes, offset: int, where: dict[bytes, int]) -> bytes:
    """`name` as written at `offset`, pointing to the longest ending written before; remembers its endings."""
    at = 0
    while length := name[at]:
        ending = name[at:]
        known = where.get(ending)
        if known is not None:
            return name[:at] + (0xC000 | known).to_bytes(2, "big")
        if offset + at <= MAX_POINTER:
            where[ending] = offset + at
        at += length + 1
    return name


# --- what other servers send -----------------------------------------------------------------------------------


def parse_reply(data: bytes, query: bytes) -> int | None:
    """Flags of `data` when it is a reply to `query` (same id, opcode and question), else None: stray or forged."""
    if len(data) < 12 or data[:2] != query[:2] or not data[2] & 0x80 or (data[2] ^ query[2]) & 0x78:
        return None
    end = 12
    while query[end]:
        end += query[end] + 1
    end += 5
    if data[4:6] == b"\x00\x01":
        if data[12:end].lower() != query[12:end].lower():
            return None
    elif data[3] & 0x0F in (NOERROR, NXDOMAIN):  # errors may come without the question (FORMERR of old servers)
        return None
    return int.from_bytes(data[2:4], "big")


def decode_records(data: bytes, types: Iterable[int]) -> list[Record]:
    """The answer records of those types (A, AAAA, CNAME) from another server's message, with their TTLs.

    Raises:
        RemoteProtocolError: the message cannot be decoded.
    """
    import dnslib

    wanted = set(types)
    try:
        message = dnslib.DNSRecord.parse(data)
        return [_foreign(rr) for rr in message.rr if rr.rtype in wanted and rr.rclass == IN]
    except (dnslib.DNSError, ValueError, IndexError, KeyError, UnicodeError) as error:
        raise RemoteProtocolError(f"reply of a recursor: {error}") from error


def _foreign(rr: Any) -> Record:
    owner = _label_bytes(rr.rname)
    if rr.rtype == CNAME:
        return record(owner, CNAME, rr.ttl, target=_label_bytes(rr.rdata.label))
    return record(owner, rr.rtype, rr.ttl, bytes(rr.rdata.data))


def _label_bytes(label: Any) -> bytes:
    return b"".join(bytes((len(part),)) + part for part in label.label) + b"\x00"
