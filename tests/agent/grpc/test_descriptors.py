"""Files made of tables; the makers' library reads them, and messages by them."""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf import descriptor_pool, message_factory

from meshagent.agent.grpc.descriptors import Enum, Rpc, described
from meshagent.agent.grpc.protobuf import BOOL, BYTES, INT, MANY, MAP, TEXT, Field, Schema, nested


@dataclass(frozen=True, slots=True)
class Inner:
    text: str = ""


@dataclass(frozen=True, slots=True)
class Outer:
    name: str = ""
    data: bytes = b""
    yes: bool = False
    level: int = 0
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    tags: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


INNER = Schema(Inner, (Field(1, "text", TEXT),))
OUTER = Schema(
    Outer,
    (
        Field(1, "name", TEXT),
        Field(2, "data", BYTES),
        Field(3, "yes", BOOL),
        Field(4, "level", INT),
        Field(5, "inner", nested(INNER)),
        Field(6, "many", nested(INNER), MANY),
        Field(7, "tags", TEXT, MANY),
        Field(8, "notes", TEXT, MAP),
    ),
)


def test_a_message_written_by_a_table_is_read_by_its_file() -> None:
    files = described(
        "a/b.proto",
        "a.b.Greeter",
        (Rpc("Greet", "Outer", "Inner", answers=True),),
        {"Outer": OUTER, "Inner": INNER},
        (Enum("Outer.level", "Level", ("NONE", "LOW")),),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(files["a/b.proto"])
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("a.b.Outer"))
    value = Outer("n", b"d", True, 1, Inner("i"), (Inner("1"), Inner("2")), ("x",), {"k": "v"})
    read = kind.FromString(OUTER.encode(value))
    assert (read.name, read.data, read.yes, read.level, read.inner.text) == ("n", b"d", True, 1, "i")
    assert [one.text for one in read.many] == ["1", "2"]
    assert (list(read.tags), dict(read.notes)) == (["x"], {"k": "v"})
    level = pool.FindMessageTypeByName("a.b.Outer").fields_by_name["level"]
    assert level.enum_type.values_by_number[1].name == "LOW"
    (method,) = pool.FindServiceByName("a.b.Greeter").methods
    assert (method.name, method.input_type.name, method.output_type.name) == ("Greet", "Outer", "Inner")
    assert (method.client_streaming, method.server_streaming) == (False, True)
