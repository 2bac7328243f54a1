"""Protocol buffers by tables, with the library of their makers as the judge of bytes."""

from __future__ import annotations

import hypothesis.strategies as st
import msgspec
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given

from meshagent.agent.grpc import protobuf
from meshagent.agent.grpc.protobuf import BOOL, BYTES, INT, MANY, MAP, TEXT, Field, Schema, nested
from meshagent.errors import RemoteProtocolError


class Inner(msgspec.Struct, frozen=True):
    text: str = ""
    number: int = 0


class Outer(msgspec.Struct, frozen=True):
    text: str = ""
    data: bytes = b""
    flag: bool = False
    number: int = 0
    words: tuple[str, ...] = ()
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    meta: dict[str, str] | None = None
    places: dict[str, Inner] | None = None


INNER = Schema(Inner, (Field(1, "text", TEXT), Field(2, "number", INT)))
OUTER = Schema(
    Outer,
    (
        Field(1, "text", TEXT),
        Field(2, "data", BYTES),
        Field(3, "flag", BOOL),
        Field(4, "number", INT),
        Field(5, "words", TEXT, MANY),
        Field(6, "inner", nested(INNER)),
        Field(7, "inners", nested(INNER), MANY),
        Field(18, "meta", TEXT, MAP),
        Field(19, "places", nested(INNER), MAP),
    ),
)

texts = st.text(max_size=8)
inners = st.builds(Inner, texts, st.integers(-(2**31), 2**31 - 1))
outers = st.builds(
    Outer,
    text=texts,
    data=st.binary(max_size=8),
    flag=st.booleans(),
    number=st.integers(-(2**31), 2**31 - 1),
    words=st.lists(texts, max_size=3).map(tuple),
    inner=st.none() | inners,
    inners=st.lists(inners, max_size=3).map(tuple),
    meta=st.dictionaries(texts, texts, max_size=3).map(lambda found: found or None),
    places=st.dictionaries(texts, inners, max_size=3).map(lambda found: found or None),
)


def _judge() -> type:
    """The class that the library makes of the same message."""
    proto = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(name: str, *fields: tuple[int, str, int, bool, str], within: object = None) -> object:
        made = (within.nested_type if within is not None else proto.message_type).add(name=name)  # type: ignore[attr-defined]
        for number, attribute, kind, many, of in fields:
            label = kinds.LABEL_REPEATED if many else kinds.LABEL_OPTIONAL
            field = made.field.add(name=attribute, number=number, type=kind, label=label)  # type: ignore[arg-type]
            if of:
                field.type_name = of
        return made

    text, number, sub = kinds.TYPE_STRING, kinds.TYPE_INT32, kinds.TYPE_MESSAGE
    message("Inner", (1, "text", text, False, ""), (2, "number", number, False, ""))
    outer = message(
        "Outer",
        (1, "text", text, False, ""),
        (2, "data", kinds.TYPE_BYTES, False, ""),
        (3, "flag", kinds.TYPE_BOOL, False, ""),
        (4, "number", number, False, ""),
        (5, "words", text, True, ""),
        (6, "inner", sub, False, ".t.Inner"),
        (7, "inners", sub, True, ".t.Inner"),
        (18, "meta", sub, True, ".t.Outer.MetaEntry"),
        (19, "places", sub, True, ".t.Outer.PlacesEntry"),
    )
    for name, value in (
        ("MetaEntry", (2, "value", text, False, "")),
        ("PlacesEntry", (2, "value", sub, False, ".t.Inner")),
    ):
        entry = message(name, (1, "key", text, False, ""), value, within=outer)
        entry.options.map_entry = True  # type: ignore[attr-defined]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(proto)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Outer"))


JUDGE = _judge()


@given(outers)
def test_messages_survive_their_codec(value: Outer) -> None:
    assert OUTER.decode(OUTER.encode(value)) == value


@given(outers)
def test_the_library_reads_and_writes_the_same(value: Outer) -> None:
    judged = JUDGE.FromString(OUTER.encode(value))  # type: ignore[attr-defined]
    assert (judged.text, judged.data, judged.flag, judged.number, tuple(judged.words)) == (
        value.text, value.data, value.flag, value.number, value.words,
    )  # fmt: skip
    assert dict(judged.meta) == (value.meta or {})
    assert {key: (one.text, one.number) for key, one in judged.places.items()} == {
        key: (one.text, one.number) for key, one in (value.places or {}).items()
    }
    assert OUTER.decode(judged.SerializeToString()) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        OUTER.decode(data)
    except RemoteProtocolError as error:
        assert str(error).startswith("protobuf:")


def test_fields_that_nobody_knows_are_skipped() -> None:
    assert INNER.decode(OUTER.encode(Outer(text="a", flag=True, meta={"a": "b"}))) == Inner("a")
    fixed = b"\x49" + bytes(8) + b"\x4d" + bytes(4)  # fields 9 of 64 and of 32 bits
    assert INNER.decode(fixed + INNER.encode(Inner("a"))) == Inner("a")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x0a\x05abc", "a field is longer than its message"),
        (b"\x49\x00", "a field is longer than its message"),
        (b"\x80", "a number is cut off or too long"),
        (b"\x80" * 11, "a number is cut off or too long"),
        (b"\x02", "field number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x08\x01", "the field text has wire type 0"),
        (b"\x0a\x01\xff", "a text is not UTF-8"),
    ],
)
def test_what_is_broken_is_told(data: bytes, problem: str) -> None:
    with pytest.raises(RemoteProtocolError, match=problem):
        INNER.decode(data)


@pytest.mark.parametrize("field", [b"\x2a\x00", b"\x92\x01\x00"])
def test_repeated_values_are_bounded(monkeypatch: pytest.MonkeyPatch, field: bytes) -> None:
    monkeypatch.setattr(protobuf, "MAX_ITEMS", 1)
    OUTER.decode(field)
    with pytest.raises(RemoteProtocolError, match="more than 1 values"):
        OUTER.decode(field + field)
