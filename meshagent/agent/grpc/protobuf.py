"""Protocol buffers by tables: a message is a type of ours and rows of (number, attribute, kind). Pure.

    PLACE = Schema(Place, (Field(1, "partition", TEXT), Field(2, "datacenter", TEXT)))
    PLACE.encode(Place("", "dc1")) == b"\\x12\\x03dc1"

Source: protobuf.dev/programming-guides/encoding. Zero values are not written, unknown fields are skipped, the last of
several values counts. Bounds: `MAX_ITEMS` repeated values; a message is no longer
than what was received; schemas do not refer to themselves, so none is endless. What may change here: kinds of fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from meshagent.errors import RemoteProtocolError

__all__ = [
    "BOOL",
    "BYTES",
    "INT",
    "MANY",
    "MAP",
    "MAX_ITEMS",
    "TEXT",
    "UINT",
    "Field",
    "Kind",
    "Schema",
    "nested",
    "tagged",
    "varint",
]

T = TypeVar("T")

#: Repeated values of one field: instances of a service, tags, entries of a map.
MAX_ITEMS = 100_000

#: How often a field stands in its message.
ONE, MANY, MAP = "one", "many", "map"

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is written and read. `empty` values are not written."""

    wire: int
    encode: Callable[[Any], bytes]
    decode: Callable[[Any], Any]
    empty: Callable[[Any], bool]


def varint(value: int) -> bytes:
    """A number of up to 64 bits, as it travels."""
    value &= _MASK
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise RemoteProtocolError("protobuf: a number is cut off or too long")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, raw value) in the order of the message."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise RemoteProtocolError("protobuf: field number 0")
        value: Any
        if wire == _VARINT:
            value, at = _read_varint(data, at)
        elif wire == _LENGTH:
            length, at = _read_varint(data, at)
            if length > end - at:
                raise RemoteProtocolError("protobuf: a field is longer than its message")
            value, at = data[at : at + length], at + length
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
            if length > end - at:
                raise RemoteProtocolError("protobuf: a field is longer than its message")
            value, at = data[at : at + length], at + length
        else:
            raise RemoteProtocolError(f"protobuf: wire type {wire}")
        yield number, wire, value


def tagged(number: int, wire: int, encoded: bytes) -> bytes:
    """A field: its number, how it is written, and its bytes."""
    head = varint(number << 3 | wire)
    return head + varint(len(encoded)) + encoded if wire == _LENGTH else head + encoded


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError(f"protobuf: a text is not UTF-8: {error}") from None


def _int32(value: int) -> int:
    """Numbers of 32 bits travel sign-extended to 64."""
    value &= 0xFFFF_FFFF
    return value - 2**32 if value >= 2**31 else value


def _never(_: Any) -> bool:
    return False


TEXT = Kind(_LENGTH, str.encode, _text, lambda value: not value)
BYTES = Kind(_LENGTH, bytes, bytes, lambda value: not value)
BOOL = Kind(_VARINT, lambda value: varint(int(value)), bool, lambda value: not value)
INT = Kind(_VARINT, varint, _int32, lambda value: not value)
#: A number of 64 bits without a sign.
UINT = Kind(_VARINT, varint, int, lambda value: not value)


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `form`: `ONE` value; `MANY`, a tuple on our side; `MAP` from texts, a dict on our side."""

    number: int
    attribute: str
    kind: Kind
    form: str = ONE


class Schema(Generic[T]):
    """A message: what it becomes, and its fields. Fields that are not in a message keep the type's default."""

    def __init__(self, make: Callable[..., T], fields: Sequence[Field]) -> None:
        self._make = make
        self.fields = self._fields = tuple(fields)
        self._by_number = {field.number: field for field in fields}

    def encode(self, value: T) -> bytes:
        """The bytes of a message."""
        out: list[bytes] = []
        for field in self._fields:
            held = getattr(value, field.attribute)
            kind, number = field.kind, field.number
            if field.form == MANY:
                out += [tagged(number, kind.wire, kind.encode(one)) for one in held or ()]
            elif field.form == MAP:
                out += [tagged(number, _LENGTH, _entry(kind, key, held[key])) for key in sorted(held or ())]
            elif held is not None and not kind.empty(held):
                out.append(tagged(number, kind.wire, kind.encode(held)))
        return b"".join(out)

    def decode(self, data: bytes) -> T:
        """The message in some bytes.

        Raises:
            RemoteProtocolError: there is none.
        """
        found: dict[str, Any] = {}
        for number, wire, raw in _fields(data):
            field = self._by_number.get(number)
            if field is None:
                continue
            if wire != (_LENGTH if field.form == MAP else field.kind.wire):
                raise RemoteProtocolError(f"protobuf: the field {field.attribute} has wire type {wire}")
            if field.form == MANY:
                items = found.setdefault(field.attribute, [])
                _bound(items)
                items.append(field.kind.decode(raw))
            elif field.form == MAP:
                entries = found.setdefault(field.attribute, {})
                _bound(entries)
                key, value = _read_entry(field.kind, raw)
                entries[key] = value
            else:
                found[field.attribute] = field.kind.decode(raw)
        for field in self._fields:
            if field.form == MANY and field.attribute in found:
                found[field.attribute] = tuple(found[field.attribute])
        return self._make(**found)


def _bound(items: Any) -> None:
    if len(items) >= MAX_ITEMS:
        raise RemoteProtocolError(f"protobuf: more than {MAX_ITEMS} values")


def _entry(kind: Kind, key: str, value: Any) -> bytes:
    """An entry of a map is a message of key and value."""
    return tagged(1, _LENGTH, key.encode()) + tagged(2, kind.wire, kind.encode(value))


def _read_entry(kind: Kind, raw: bytes) -> tuple[str, Any]:
    key, value = "", kind.decode(b"" if kind.wire == _LENGTH else 0)
    for number, wire, part in _fields(raw):
        if number == 1 and wire == _LENGTH:
            key = _text(part)
        elif number == 2 and wire == kind.wire:
            value = kind.decode(part)
    return key, value


def nested(schema: Schema[Any], empty: Callable[[Any], bool] = _never) -> Kind:
    """A message inside another; `empty` ones are not written."""
    return Kind(_LENGTH, schema.encode, schema.decode, empty)
