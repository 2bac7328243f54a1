"""What agents ask each other about the sidecars of their hosts, and how they answer.

Source: ours; agent/sidecars/README.md. Payloads are msgpack arrays of the method `sidecars`, since 0.2. What may change
here: fields grow at the end.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from meshagent.errors import RemoteProtocolError

__all__ = ["METHOD", "Ask", "Said", "decode_ask", "decode_said", "encode"]

METHOD = "sidecars"

_T = TypeVar("_T")
_Word = Annotated[str, msgspec.Meta(max_length=1024)]


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """`what` is a row of `questions.QUESTIONS`; `service` narrows it to the sidecars of one service, "" asks all.
    `wide`: a server answers for the client agents that are connected to it, too."""

    what: _Word
    service: _Word = ""
    filters: Annotated[tuple[tuple[_Word, _Word], ...], msgspec.Meta(max_length=32)] = ()
    wide: bool = False


class Said(msgspec.Struct, frozen=True, array_like=True):
    """Something that an agent says. The first of each has neither body nor problem: the agent answers.

    `problem` is why nothing comes from it, or from its sidecar `proxy_id`.
    """

    node: str
    body: bytes = b""
    proxy_id: str = ""
    problem: str = ""


def encode(message: Ask | Said) -> bytes:
    """A payload."""
    return msgspec.msgpack.encode(message)


def decode_ask(payload: bytes) -> Ask:
    """Raises RemoteProtocolError."""
    return _decode(payload, Ask)


def decode_said(payload: bytes) -> Said:
    """Raises RemoteProtocolError."""
    return _decode(payload, Said)


def _decode(payload: bytes, type: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(payload, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a question about sidecars does not decode: {error}") from error
