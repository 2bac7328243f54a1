"""From JSON-like values to typed values, the way Consul reads them, with Consul's words when it cannot.

Source: surface row C7 and the answers of a running Consul: keys match without regard to case, agent registrations also
take snake_case, durations are Go strings or whole nanoseconds, null leaves the default, and what is refused is refused
in the words of Go's encoding/json. Configuration files use the same tables with their own wording
(`decode_file_value`), because there every problem is reported at once and with its place.

A target is a msgspec Struct (a catalog row or a definition), or a list or dict of such. What is known of a type is
computed once (`_plan`). A Struct may say how Go calls it: `go_name` (default: the class name) and `go_alias` (True when
Consul decodes it through an embedded alias, which shows in its messages). The wording may only change towards Go's.
"""

from __future__ import annotations

import base64
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, Union

import msgspec

from meshagent.agent.go_base64 import decode_base64
from meshagent.durations import MAX_NS, format_duration, parse_duration
from meshagent.errors import BadRequest, MeshError
from meshagent.gojson import first_value
from meshagent.located import Blocks

__all__ = [
    "Nanoseconds",
    "Problem",
    "Seconds",
    "Words",
    "decode",
    "decode_body",
    "decode_file_value",
    "field_names",
    "to_builtins",
]

T = TypeVar("T")

_SECONDS, _NANOSECONDS, _WORDS = object(), object(), object()
#: A duration inside, in seconds; outside a Go string ("10s") or whole nanoseconds.
Seconds = Annotated[float, _SECONDS]
#: A duration inside, in whole nanoseconds; outside as `Seconds`.
Nanoseconds = Annotated[int, _NANOSECONDS]
#: A list of strings; one string stands for a list of it.
Words = Annotated[tuple[str, ...], _WORDS]

#: Go's names of the rows of catalog/model.py where they differ from ours.
_GO_NAMES = {
    "Service": "NodeService",
    "Check": "HealthCheck",
    "CheckDefinition": "HealthCheckDefinition",
    "Proxy": "ConnectProxyConfig",
    "Connect": "ServiceConnect",
    "Expose": "ExposeConfig",
    "MeshGateway": "MeshGatewayConfig",
    "TransparentProxy": "TransparentProxyConfig",
    "AccessLogs": "AccessLogsConfig",
}
#: Rows that upstream decodes through an embedded alias (`go_alias`).
_GO_ALIASES = frozenset({"Proxy", "Upstream", "TransparentProxy", "ExposePath", "CheckDefinition"})
#: Fields that Go leaves at zero when their object is given without them, where our row has another default.
_GO_ZERO: dict[str, dict[str, Any]] = {"Weights": {"passing": 0, "warning": 0}}
_TENANCY = {"Namespace": "Namespaces", "Partition": "Partitions"}


class Problem(Exception):
    """One thing that does not fit. `path` leads to it (raw keys, list positions), `text` says what in plain words."""

    def __init__(self, go: str, text: str, *, unknown_key: str = "") -> None:
        super().__init__(text)
        self.go = go
        self.text = text
        self.path: list[str | int] = []
        self.unknown_key = unknown_key
        self.go_struct: str | None = None
        self.go_path: list[str] = []
        self.go_done = False

    def go_message(self) -> str:
        """Go's wording: `go` holds `{field}` where the place belongs."""
        if "{field}" not in self.go:
            return self.go
        if self.go_struct is None:
            return self.go.replace("Go struct field {field} of type ", "Go value of type ")
        return self.go.replace("{field}", f"{self.go_struct}.{'.'.join(self.go_path)}")


class _Reading:
    """How one value is read: `snake` takes snake_case keys; `problems` collects instead of raising (files)."""

    __slots__ = ("problems", "snake")

    def __init__(self, snake: bool, problems: list[Problem] | None = None) -> None:
        self.snake = snake
        self.problems = problems

    def step(self, key: str | int, convert: _Convert, value: Any) -> Any:
        """`convert(value)`, with `key` put before the path of its problems; `_NOTHING` where a file has a problem."""
        if self.problems is None:
            try:
                return convert(value, self)
            except Problem as problem:
                problem.path.insert(0, key)
                raise
        before = len(self.problems)
        result = _NOTHING
        try:
            result = convert(value, self)
        except Problem as problem:
            self.problems.append(problem)
        for found in self.problems[before:]:
            found.path.insert(0, key)
        return result


_NOTHING: Any = object()
_Convert = Callable[[Any, _Reading], Any]


class _Field:
    __slots__ = ("attribute", "convert", "exact", "go_key")

    def __init__(self, attribute: str, go_key: str, exact: type | None, convert: _Convert) -> None:
        self.attribute = attribute
        self.go_key = go_key
        self.exact = exact
        self.convert = convert


class _Plan:
    """What is known of a Struct: fields by exact key, by folded key, and by folded snake_case key."""

    __slots__ = ("alias", "exact", "folded", "go_name", "required", "snake", "type")

    def __init__(self, type_: type[msgspec.Struct]) -> None:
        self.type = type_
        self.go_name: str = getattr(type_, "go_name", _GO_NAMES.get(type_.__name__, type_.__name__))
        self.alias: bool = getattr(type_, "go_alias", type_.__name__ in _GO_ALIASES)
        self.exact: dict[str, _Field] = {}
        self.folded: dict[str, _Field] = {}
        self.snake: dict[str, _Field] = {}
        self.required: dict[str, Any] = dict(_GO_ZERO.get(type_.__name__, {}))

    def fill(self) -> None:
        hints = typing.get_type_hints(self.type, include_extras=True)
        for info in msgspec.structs.fields(self.type):
            exact, convert = _compile(hints[info.name])
            field = _Field(info.name, info.encode_name, exact, convert)
            self.exact[info.encode_name] = field
            self.folded[info.encode_name.casefold()] = field
            self.snake[info.name.casefold()] = field
            if info.default is msgspec.NODEFAULT and info.default_factory is msgspec.NODEFAULT:
                self.required[info.name] = _zero(hints[info.name])
        for other, attribute in getattr(self.type, "also_known_as", {}).items():
            field = next(f for f in self.exact.values() if f.attribute == attribute)
            self.folded.setdefault(other.casefold(), field)

    def find(self, key: str, snake: bool) -> _Field | None:
        folded = key.casefold()
        return self.folded.get(folded) or (self.snake.get(folded) if snake else None)

    def build(self, raw: Any, reading: _Reading) -> Any:
        if not isinstance(raw, dict):
            raw = _only_block(raw, reading)
            if not isinstance(raw, dict):
                raise _mismatch(raw, f"structs.{self.go_name}", "an object")
        values: dict[str, Any] = dict(self.required) if self.required else {}
        exact = self.exact
        for key, value in raw.items():
            field = exact.get(key) or self.find(key, reading.snake)
            if field is not None and type(value) is field.exact:
                values[field.attribute] = value
                continue
            if value is None and field is not None:
                continue
            try:
                result = reading.step(key, field.convert if field else self._refuse(key, reading), value)
            except Problem as problem:
                if field is not None:
                    self._place(problem, field)
                raise
            if result is not _NOTHING and field is not None:
                values[field.attribute] = result
        return self.type(**values)

    def _refuse(self, key: str, reading: _Reading) -> _Convert:
        def unknown(_value: Any, _reading: _Reading) -> Any:
            import difflib

            known = [f.attribute if reading.snake else f.go_key for f in self.exact.values()]
            near = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise Problem(f'json: unknown field "{key}"', f"invalid config key {key}{hint}", unknown_key=key)

        return unknown

    def _place(self, problem: Problem, field: _Field) -> None:
        if problem.go_done:
            return
        if problem.go_struct is None:
            problem.go_struct = "" if self.alias else self.go_name
        problem.go_path.insert(0, field.go_key)
        if self.alias:
            problem.go_path.insert(0, "Alias")
            problem.go_done = True


_plans: dict[type, _Plan] = {}


def _plan(type_: type[msgspec.Struct]) -> _Plan:
    plan = _plans.get(type_)
    if plan is None:
        plan = _plans[type_] = _Plan(type_)  # before fill(): types may hold themselves
        plan.fill()
    return plan


# --- one converter for each kind of field ---------------------------------------------------------------------------


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, float):
        return f"number {value:g}"
    if isinstance(value, int):
        return "number" if -MAX_NS - 1 <= value <= MAX_NS else f"number {value}"
    if isinstance(value, dict):
        return "object"
    return "array"


_PLAIN = {"bool": "a boolean", "string": "a string", "object": "an object", "array": "a list"}


def _mismatch(value: Any, go_type: str, wanted: str) -> Problem:
    kind = _json_kind(value)
    shown = f"{_PLAIN.get(kind, 'a number')} ({str(value)[:60]!r})" if kind not in {"object", "array"} else _PLAIN[kind]
    if go_type != "int" and kind.startswith("number"):
        kind = "number"
    return Problem(
        f"json: cannot unmarshal {kind} into Go struct field {{field}} of type {go_type}",
        f"must be {wanted}, not {shown}",
    )


def _only_block(value: Any, reading: _Reading) -> Any:
    """In files a block that may come once is a list of one; anywhere else a list stays a list."""
    if reading.problems is not None and isinstance(value, list):
        if len(value) == 1:
            return value[0]
        if isinstance(value, Blocks) and value:
            raise Problem("", f"given {len(value)} times, may be given once")
    return value


def _string(value: Any, _: _Reading) -> str:
    if not isinstance(value, str):
        raise _mismatch(value, "string", "a string")
    return value


def _bool(value: Any, _: _Reading) -> bool:
    if not isinstance(value, bool):
        raise _mismatch(value, "bool", "true or false")
    return value


def _int(value: Any, _: _Reading) -> int:
    if type(value) is not int or not -MAX_NS - 1 <= value <= MAX_NS:
        raise _mismatch(value, "int", "a whole number")
    return value


def _float(value: Any, _: _Reading) -> float:
    if type(value) is not float and type(value) is not int:
        raise _mismatch(value, "float64", "a number")
    return float(value)


def _nanoseconds(value: Any, reading: _Reading) -> int:
    if isinstance(value, str):
        try:
            return parse_duration(value) if value else 0
        except ValueError as error:
            raise Problem(str(error), f'{error}; write it like "10s" or "1h30m"') from None
    if reading.problems is None and type(value) in {int, float} and -MAX_NS - 1 <= value <= MAX_NS:
        return int(value)
    raise _mismatch(value, "time.Duration", 'a duration such as "10s"')


def _seconds(value: Any, reading: _Reading) -> float:
    return _nanoseconds(value, reading) / 1e9


def _bytes(value: Any, _: _Reading) -> bytes:
    if not isinstance(value, str):
        raise _mismatch(value, "[]uint8", "base64 text")
    try:
        return decode_base64(value)
    except ValueError as error:
        raise Problem(str(error), "is not base64") from None


def _anything(value: Any, _: _Reading) -> Any:
    """A free-form value as plain dicts and lists."""
    if isinstance(value, dict):
        return {key: _anything(inner, _) for key, inner in value.items()}
    if isinstance(value, Blocks) and len(value) == 1:
        return _anything(value[0], _)
    if isinstance(value, list):
        return [_anything(inner, _) for inner in value]
    return value


def _words(value: Any, reading: _Reading) -> tuple[str, ...]:
    result: tuple[str, ...] = _compile(tuple[str, ...])[1]([value] if isinstance(value, str) else value, reading)
    return result


def _list_of(inner: Any, make: Callable[[list[Any]], Any]) -> _Convert:
    exact, convert = _compile(inner)
    zero = _raw_zero(inner)  # Go's null leaves an element at zero
    go_type = f"[]{_go_type(inner)}"

    def convert_list(value: Any, reading: _Reading) -> Any:
        if not isinstance(value, list):
            raise _mismatch(value, go_type, "a list")
        result = []
        for at, item in enumerate(value):
            item = item if type(item) is exact else reading.step(at, convert, zero if item is None else item)
            if item is not _NOTHING:
                result.append(item)
        return make(result)

    return convert_list


def _dict_of(inner: Any) -> _Convert:
    exact, convert = _compile(inner)
    zero = _raw_zero(inner)
    go_type = f"map[string]{_go_type(inner)}"

    def convert_dict(value: Any, reading: _Reading) -> dict[str, Any]:
        if not isinstance(value, dict):
            value = _only_block(value, reading)
            if not isinstance(value, dict):
                raise _mismatch(value, go_type, "an object")
        result = {}
        for key, item in value.items():
            item = item if type(item) is exact else reading.step(key, convert, zero if item is None else item)
            if item is not _NOTHING:
                result[key] = item
        return result

    return convert_dict


_SCALARS: dict[Any, tuple[type | None, _Convert]] = {
    str: (str, _string),
    bool: (bool, _bool),
    int: (None, _int),
    float: (float, _float),
    bytes: (None, _bytes),
    Any: (None, _anything),
}


def _split(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """`hint` without `| None`: its origin and arguments."""
    if typing.get_origin(hint) in {Union, types.UnionType}:
        (hint,) = (a for a in typing.get_args(hint) if a is not type(None))
    return typing.get_origin(hint) or hint, typing.get_args(hint)


def _compile(hint: Any) -> tuple[type | None, _Convert]:
    """The type that needs no conversion, and the conversion for all others."""
    origin, args = _split(hint)
    if origin is Annotated:
        if _SECONDS in args:
            return None, _seconds
        if _WORDS in args:
            return None, _words
        return (None, _nanoseconds) if _NANOSECONDS in args else _compile(args[0])
    if origin in _SCALARS:
        return _SCALARS[origin]
    if origin in {tuple, list}:
        return None, _list_of(args[0], origin)
    if origin in {dict, Mapping} or origin is typing.get_origin(Mapping[str, str]):
        return None, _dict_of(args[1] if args else Any)
    if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
        plan = _plan(origin)
        return None, plan.build
    raise TypeError(f"cannot decode into {hint!r}")


def _go_type(hint: Any) -> str:
    origin, args = _split(hint)
    if origin is Annotated:
        return "time.Duration"
    if origin in {tuple, list}:
        return f"[]{_go_type(args[0])}"
    if origin is dict:
        return f"map[string]{_go_type(args[1]) if args else 'interface {}'}"
    if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
        return f"structs.{_plan(origin).go_name}"
    return {str: "string", bool: "bool", int: "int", float: "float64", bytes: "[]uint8"}.get(origin, "interface {}")


def _raw_zero(hint: Any) -> Any:
    """What stands for null where nothing may be left out."""
    origin, args = _split(hint)
    if origin is Annotated:
        return [] if _WORDS in args else ""
    if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
        return {}
    return {str: "", bool: False, int: 0, float: 0.0, bytes: "", tuple: [], list: [], dict: {}}.get(origin)


def _zero(hint: Any) -> Any:
    """The value of a field that has no default and is not given."""
    return _compile(hint)[1](_raw_zero(hint), _Reading(False))


# --- the ways in ----------------------------------------------------------------------------------------------------

_targets: dict[Any, _Convert] = {}


def _convert(target: Any, raw: Any, reading: _Reading) -> Any:
    convert = _targets.get(target)
    if convert is None:
        convert = _targets[target] = _compile(target)[1]
    return convert(raw, reading)


def decode(
    type_: type[T],
    raw: Any,
    *,
    snake_case: bool = True,
    where: str = "",
    prefix: str = "Request decode failed: ",
    error: type[MeshError] = BadRequest,
    go_value: str = "",
    tenancy: bool = False,
) -> T:
    """`raw` (dicts, lists, strings, numbers) as a `type_`.

    `where` stands before the message. `go_value` is what Go calls the whole target where that shows
    (`Go value of type api.TxnOps`). `tenancy` explains Enterprise's Namespace and Partition, as catalog endpoints do.

    Raises:
        MeshError: an `error` with Consul's message after `prefix`, for the first problem.
    """
    try:
        return typing.cast(T, _convert(type_, {} if raw is None else raw, _Reading(snake_case)))
    except Problem as problem:
        text = problem.go_message()
        if go_value and problem.go_struct is None:
            text = text.rpartition(" of type ")[0] + f" of type {go_value}" if " of type " in text else text
        if tenancy and problem.unknown_key in _TENANCY:
            text += f" - {_TENANCY[problem.unknown_key]} are a Consul Enterprise feature"
        raise error(f"{where}{prefix}{text}") from None


def decode_body(
    type_: type[T],
    body: bytes,
    *,
    snake_case: bool = False,
    prefix: str = "Request decode failed: ",
    error: type[MeshError] = BadRequest,
    go_value: str = "",
    tenancy: bool = False,
) -> T:
    """The first JSON value of `body` as a `type_`; like Consul, what follows it is ignored.

    Raises:
        MeshError: as `decode`, also for bytes that are not JSON.
    """
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            raw = _decode_leniently(body)
        except ValueError as problem:
            raise error(f"{prefix}{problem}") from None
    return decode(type_, raw, snake_case=snake_case, prefix=prefix, error=error, go_value=go_value, tenancy=tenancy)


def _decode_leniently(body: bytes) -> Any:
    """As Go: text after the value is ignored, bad UTF-8 and lone surrogates become U+FFFD."""
    import json

    start, end = first_value(body)
    try:
        return _mend(json.loads(body[start:end].decode("utf-8", "replace")))
    except RecursionError:
        raise ValueError("exceeded max depth") from None
    except ValueError:
        raise ValueError("number out of range") from None  # more than 4,300 digits


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mend(inner) for inner in value]
    if isinstance(value, dict):
        return {_mend(key): _mend(inner) for key, inner in value.items()}
    return value


def decode_file_value(type_: type[T], raw: Any, problems: list[Problem]) -> T | None:
    """`raw` from a configuration file as a `type_`; all that does not fit is added to `problems`.

    Durations must be strings here, and blocks (`Blocks`) are taken as an object or a list, as the target needs.
    """
    try:
        return typing.cast(T, _convert(type_, raw, _Reading(True, problems)))
    except Problem as problem:
        problems.append(problem)
        return None


def field_names(type_: type[msgspec.Struct]) -> tuple[str, ...]:
    """The keys a file may use for a Struct, in snake_case."""
    return tuple(_plan(type_).snake)


def to_builtins(value: Any) -> Any:
    """The reverse of `decode`: dicts with Consul's JSON names, durations as Go strings, defaults left out."""
    if isinstance(value, msgspec.Struct):
        return _struct_to_builtins(value)
    if isinstance(value, tuple | list):
        return [to_builtins(inner) for inner in value]
    if isinstance(value, dict):
        return {key: to_builtins(inner) for key, inner in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _struct_to_builtins(value: msgspec.Struct) -> dict[str, Any]:
    plan = _plan(type(value))
    left_out = plan.type(**plan.required)
    result = {}
    for field in plan.exact.values():
        inner = getattr(value, field.attribute)
        if inner is None or inner == getattr(left_out, field.attribute):
            continue
        if field.convert is _seconds:
            inner = format_duration(round(inner * 1e9))
        elif field.convert is _nanoseconds:
            inner = format_duration(inner)
        result[field.go_key] = to_builtins(inner)
    return result
