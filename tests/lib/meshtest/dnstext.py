"""DNS questions and answers in the text form of the golden recordings, through dnspython.

Source: RFC 1035 and 6891 as dnspython reads them: an independent judge of the daemon's bytes. Pure: bytes in, text out.
"""

from __future__ import annotations

import base64
import ipaddress
from typing import Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from meshtest.golden import DnsAnswer

QUERY_ID = 0x4242


def question_bytes(query: dict[str, Any]) -> bytes:
    """The packet a recorded `{"dns": {...}}` request stands for."""
    if "raw" in query:
        return base64.b64decode(query["raw"])
    message = dns.message.QueryMessage(id=QUERY_ID)
    message.flags = dns.flags.Flag(0)
    if query.get("rd", True):
        message.flags |= dns.flags.RD
    if query.get("cd", False):
        message.flags |= dns.flags.CD
    message.set_opcode(dns.opcode.Opcode(query.get("opcode", 0)))
    for one in (query, *query.get("more", ())):
        message.question.append(
            dns.rrset.RRset(
                dns.name.from_text(one["name"]),
                dns.rdataclass.from_text(one.get("class", "IN")),
                dns.rdatatype.from_text(one["type"]),
            )
        )
    if "edns" in query or "ecs" in query or "do" in query or "edns_version" in query:
        options = [_client_subnet(query["ecs"])] if "ecs" in query else []
        flags = dns.flags.DO if query.get("do") else 0
        message.use_edns(query.get("edns_version", 0), flags, query.get("edns", 1232), options=options)
    return message.to_wire()


def answer_of(wire: bytes | None, *, check_id: bool = True) -> DnsAnswer:
    """An answer packet as the recordings render it; None: no packet came."""
    if wire is None:
        return DnsAnswer(reply=False)
    try:
        message = dns.message.from_wire(wire, one_rr_per_rrset=True, ignore_trailing=False)
    except (dns.exception.DNSException, ValueError) as error:
        return DnsAnswer(reply=True, size=len(wire), problem=f"the answer does not parse: {error!r}")
    problem = ""
    if check_id and message.id != QUERY_ID:
        problem = f"id: expected {QUERY_ID:#x}, got {message.id:#x}"
    sections = {
        "question": [f"{one.name} {_klass(one.rdclass)} {_type(one.rdtype)}" for one in message.question],
        "answer": _records(message.answer),
        "authority": _records(message.authority),
        "additional": _records(message.additional),
    }
    return DnsAnswer(
        reply=True,
        rcode=dns.rcode.to_text(dns.rcode.Rcode(message.rcode())),
        flags=[name.lower() for name in dns.flags.to_text(message.flags).split()],
        opcode=int(message.opcode()),
        sections=sections,
        edns=_edns(message),
        size=len(wire),
        problem=problem,
    )


def _client_subnet(text: str) -> dns.edns.ECSOption:
    network = text.split("/")
    return dns.edns.ECSOption(str(ipaddress.ip_address(network[0])), int(network[1]))


def _records(section: list[dns.rrset.RRset]) -> list[str]:
    return [
        f"{rrset.name} {rrset.ttl} {_klass(rrset.rdclass)} {_type(rrset.rdtype)} {rdata.to_text()}"
        for rrset in section
        for rdata in rrset
    ]


def _klass(value: int) -> str:
    # class 0 is reserved; the recordings show its number
    return "0" if value == 0 else dns.rdataclass.to_text(dns.rdataclass.RdataClass(value))


def _type(value: int) -> str:
    # SPF (99) is obsolete (RFC 7208 section 3.1); the recordings ask for it as an unknown type
    return "TYPE99" if value == 99 else dns.rdatatype.to_text(dns.rdatatype.RdataType(value))


def _edns(message: dns.message.Message) -> dict[str, Any] | None:
    if message.opt is None:
        return None
    edns: dict[str, Any] = {
        "udp": int(message.payload),
        "flags": message.ednsflags & 0xFFFF,
        "version": int(message.edns),
        "extended_rcode": message.ednsflags >> 24,
    }
    for option in message.options:
        if isinstance(option, dns.edns.ECSOption):
            edns["ecs"] = f"{option.address}/{option.srclen}/{option.scopelen}"
    return edns
