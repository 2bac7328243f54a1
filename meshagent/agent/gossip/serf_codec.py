"""serf's messages as bytes.

A message is its number in one byte and one msgpack map (`Relay`: and then a whole message). It travels as a user
message of memberlist, or (`PushPull`) as the user state of a full exchange, or (`Key*`, `ConflictResponse`) as payload
of a query or its response.

Source: surface rows S40, S41; captured from real peers in tests/data/golden/gossip, which every codec here is held to
byte for byte. What may change here: keys are written in byte order. Names and times come from others: `decode` refuses
with RemoteProtocolError what does not fit, and allocates nothing by a claimed length.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.gossip import fields as go
from meshagent.agent.gossip.serf_messages import (
    EVENT_SLOTS,
    ConflictResponse,
    Event,
    EventsAt,
    Join,
    KeyRequest,
    KeyResponse,
    Kind,
    Leave,
    Message,
    PushPull,
    Query,
    QueryResponse,
    Relay,
)
from meshagent.errors import RemoteProtocolError

__all__ = ["decode", "encode"]

#: Members of one pool in a push/pull; serf's pools have some ten thousand at most.
MAX_MEMBERS = 1 << 17


def encode(message: Message) -> bytes:
    """A message as serf writes it, its number first."""
    kind, write = _ENCODERS[type(message)]
    encoded: bytes = bytes((kind,)) + write(message)
    return encoded


def decode(data: bytes) -> Message:
    """The message in `data`; what follows it is ignored.

    >>> decode(bytes.fromhex("0182a54c54696d6502a44e6f6465a5656c646572"))
    Join(ltime=2, node='elder')

    Raises:
        RemoteProtocolError: it is none.
    """
    if not data:
        raise RemoteProtocolError("empty message")
    read = _DECODERS.get(data[0])
    if read is None:
        raise RemoteProtocolError(f"message number {data[0]} is not known")
    most = MAX_MEMBERS if data[0] == Kind.PUSH_PULL else go.MAX_ELEMENTS
    fields, end = go.read_value_end(data[1:], max_elements=most)
    if data[0] == Kind.CONFLICT_RESPONSE and fields is None:
        return ConflictResponse(known=False)
    if type(fields) is not dict:
        raise RemoteProtocolError("message is no map")
    message: Message = read(fields, data[1 + end :])
    return message


# --- bytes of each ---------------------------------------------------------------------------------------------------


def _join(message: Join) -> bytes:
    return go.pack({"LTime": message.ltime, "Node": message.node})


def _leave(message: Leave) -> bytes:
    return go.pack({"LTime": message.ltime, "Node": message.node, "Prune": message.prune})


def _event(event: Event) -> bytes:
    return go.pack({"CC": event.coalesce, "LTime": event.ltime, "Name": event.name, "Payload": event.payload})


def _query(query: Query) -> bytes:
    return go.pack(
        {
            "Addr": query.addr,
            "Filters": list(query.filters) or None,
            "Flags": query.flags,
            "ID": query.id,
            "LTime": query.ltime,
            "Name": query.name,
            "Payload": query.payload,
            "Port": query.port,
            "RelayFactor": query.relay_factor,
            "SourceNode": query.source_node,
            "Timeout": query.timeout_ns,
        }
    )


def _response(response: QueryResponse) -> bytes:
    return go.pack(
        {
            "Flags": response.flags,
            "From": response.sender,
            "ID": response.id,
            "LTime": response.ltime,
            "Payload": response.payload,
        }
    )


def _push_pull(state: PushPull) -> bytes:
    slots: list[Any] = [None] * EVENT_SLOTS
    for at in state.events:
        events = [{"Name": name, "Payload": payload} for name, payload in at.events]
        slots[at.ltime % EVENT_SLOTS] = {"Events": events, "LTime": at.ltime}
    return go.pack(
        {
            "EventLTime": state.event_ltime,
            "Events": slots,
            "LTime": state.ltime,
            "LeftMembers": list(state.left),
            "QueryLTime": state.query_ltime,
            "StatusLTimes": state.status,
        }
    )


def _key_request(request: KeyRequest) -> bytes:
    return go.pack({"Key": request.key})


def _key_response(response: KeyResponse) -> bytes:
    return go.pack(
        {
            "Keys": None if response.keys is None else list(response.keys),
            "Message": response.message,
            "PrimaryKey": response.primary_key,
            "Result": response.result,
        }
    )


def _conflict(response: ConflictResponse) -> bytes:
    if not response.known:
        return go.pack(None)
    low, high, current, delegate_low, delegate_high, delegate = response.versions
    return go.pack(
        {
            "Addr": response.addr,
            "DelegateCur": delegate,
            "DelegateMax": delegate_high,
            "DelegateMin": delegate_low,
            "Name": response.name,
            "Port": response.port,
            "ProtocolCur": current,
            "ProtocolMax": high,
            "ProtocolMin": low,
            "Status": response.status,
            "Tags": response.tags,
        }
    )


def _relay(relay: Relay) -> bytes:
    place = {"IP": relay.addr, "Port": relay.port, "Zone": ""}
    return go.pack({"DestAddr": place, "DestName": relay.name}) + relay.inner


_ENCODERS: dict[type, tuple[Kind, Any]] = {
    Join: (Kind.JOIN, _join),
    Leave: (Kind.LEAVE, _leave),
    Event: (Kind.USER_EVENT, _event),
    Query: (Kind.QUERY, _query),
    QueryResponse: (Kind.QUERY_RESPONSE, _response),
    PushPull: (Kind.PUSH_PULL, _push_pull),
    KeyRequest: (Kind.KEY_REQUEST, _key_request),
    KeyResponse: (Kind.KEY_RESPONSE, _key_response),
    ConflictResponse: (Kind.CONFLICT_RESPONSE, _conflict),
    Relay: (Kind.RELAY, _relay),
}


def _read_join(fields: go.Fields, _: bytes) -> Join:
    return Join(go.u64(fields, b"LTime"), go.text(fields, b"Node"))


def _read_leave(fields: go.Fields, _: bytes) -> Leave:
    return Leave(go.u64(fields, b"LTime"), go.text(fields, b"Node"), go.flag(fields, b"Prune"))


def _read_event(fields: go.Fields, _: bytes) -> Event:
    return Event(
        go.u64(fields, b"LTime"),
        go.text(fields, b"Name"),
        go.raw_or_none(fields, b"Payload"),
        go.flag(fields, b"CC"),
    )


def _read_query(fields: go.Fields, _: bytes) -> Query:
    filters = go.listing(fields, b"Filters")
    if not all(type(part) is bytes for part in filters):
        raise RemoteProtocolError("Filters holds something other than bytes")
    return Query(
        ltime=go.u64(fields, b"LTime"),
        id=go.u32(fields, b"ID"),
        addr=_address(fields, b"Addr"),
        port=go.u16(fields, b"Port"),
        source_node=go.text(fields, b"SourceNode"),
        filters=tuple(filters),
        flags=go.u32(fields, b"Flags"),
        relay_factor=go.u8(fields, b"RelayFactor"),
        timeout_ns=go.i64(fields, b"Timeout"),
        name=go.text(fields, b"Name"),
        payload=go.raw_or_none(fields, b"Payload"),
    )


def _read_response(fields: go.Fields, _: bytes) -> QueryResponse:
    return QueryResponse(
        ltime=go.u64(fields, b"LTime"),
        id=go.u32(fields, b"ID"),
        sender=go.text(fields, b"From"),
        flags=go.u32(fields, b"Flags"),
        payload=go.raw_or_none(fields, b"Payload"),
    )


def _read_push_pull(fields: go.Fields, _: bytes) -> PushPull:
    status = go.mapping(fields, b"StatusLTimes")
    return PushPull(
        ltime=go.u64(fields, b"LTime"),
        status={_name(name): go.u64(status, name) for name in status},
        left=tuple(_name(name) for name in go.listing(fields, b"LeftMembers")),
        event_ltime=go.u64(fields, b"EventLTime"),
        events=tuple(_events_at(slot) for slot in go.listing(fields, b"Events") if slot is not None),
        query_ltime=go.u64(fields, b"QueryLTime"),
    )


def _events_at(slot: object) -> EventsAt:
    if not isinstance(slot, dict):
        raise RemoteProtocolError("Events holds something other than events")
    events = []
    for event in go.listing(slot, b"Events"):
        if not isinstance(event, dict):
            raise RemoteProtocolError("Events holds something other than events")
        events.append((go.text(event, b"Name"), go.raw_or_none(event, b"Payload")))
    return EventsAt(go.u64(slot, b"LTime"), tuple(events))


def _read_key_request(fields: go.Fields, _: bytes) -> KeyRequest:
    return KeyRequest(go.raw(fields, b"Key"))


def _read_key_response(fields: go.Fields, _: bytes) -> KeyResponse:
    keys = None if fields.get(b"Keys") is None else tuple(_name(key) for key in go.listing(fields, b"Keys"))
    return KeyResponse(
        result=go.flag(fields, b"Result"),
        message=go.text(fields, b"Message"),
        keys=keys,
        primary_key=go.text(fields, b"PrimaryKey"),
    )


def _read_conflict(fields: go.Fields, _: bytes) -> ConflictResponse:
    tags = go.mapping(fields, b"Tags")
    low, high, current, delegate_low, delegate_high, delegate = (
        go.u8(fields, name)
        for name in (b"ProtocolMin", b"ProtocolMax", b"ProtocolCur", b"DelegateMin", b"DelegateMax", b"DelegateCur")
    )
    return ConflictResponse(
        name=go.text(fields, b"Name"),
        addr=_address(fields, b"Addr"),
        port=go.u16(fields, b"Port"),
        tags={_name(name): _name(value) for name, value in tags.items()},
        status=go.i64(fields, b"Status"),
        versions=(low, high, current, delegate_low, delegate_high, delegate),
    )


def _read_relay(fields: go.Fields, rest: bytes) -> Relay:
    place = go.mapping(fields, b"DestAddr")
    port = go.i64(place, b"Port")
    if not 0 <= port < 1 << 16:
        raise RemoteProtocolError(f"DestAddr has port {port}")
    if not rest:
        raise RemoteProtocolError("relay of nothing")
    return Relay(_address(place, b"IP"), port, go.text(fields, b"DestName"), rest)


def _address(fields: go.Fields, name: bytes) -> bytes:
    address = go.raw(fields, name)
    if len(address) not in (0, 4, 16):
        raise RemoteProtocolError(f"{name.decode()} has {len(address)} bytes; an address has 4 or 16")
    return address


def _name(value: object) -> str:
    if not isinstance(value, bytes):
        raise RemoteProtocolError("a number stands where text belongs")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("a name is not UTF-8") from None


_DECODERS: dict[int, Any] = {
    Kind.LEAVE: _read_leave,
    Kind.JOIN: _read_join,
    Kind.PUSH_PULL: _read_push_pull,
    Kind.USER_EVENT: _read_event,
    Kind.QUERY: _read_query,
    Kind.QUERY_RESPONSE: _read_response,
    Kind.KEY_REQUEST: _read_key_request,
    Kind.KEY_RESPONSE: _read_key_response,
    Kind.CONFLICT_RESPONSE: _read_conflict,
    Kind.RELAY: _read_relay,
}
