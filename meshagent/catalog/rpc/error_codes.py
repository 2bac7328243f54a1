"""Errors as numbers on the wire and back.

Source: `meshagent/errors.py`. What may be changed: numbers are append-only; a class that a peer does not know arrives
as InternalError with the same message.
"""

from __future__ import annotations

from meshagent.catalog.rpc.frames import MAX_ERROR_CHARS
from meshagent.errors import (
    BadRequest,
    ConfigError,
    Conflict,
    CorruptData,
    Denied,
    InternalError,
    LocalProtocolError,
    MeshError,
    NoLeader,
    NotFound,
    RemoteProtocolError,
    Timeout,
    TooLarge,
    Unavailable,
)

__all__ = ["CODES", "code_and_message", "error_of"]

#: Number -> class. Append-only; since 0.1.
CODES: dict[int, type[MeshError]] = {
    1: InternalError,
    2: BadRequest,
    3: ConfigError,
    4: NotFound,
    5: Conflict,
    6: Denied,
    7: TooLarge,
    8: NoLeader,
    9: Unavailable,
    10: Timeout,
    11: CorruptData,
    12: LocalProtocolError,
    13: RemoteProtocolError,
}
_NUMBERS = {error: code for code, error in CODES.items()}


def code_and_message(error: BaseException) -> tuple[int, str]:
    """What to send for `error`. One that is not a MeshError is a bug here: its text stays in our own log."""
    if not isinstance(error, MeshError):
        return 1, "internal error: see the log of the server"
    code = next((_NUMBERS[kind] for kind in type(error).__mro__ if kind in _NUMBERS), 1)
    return code, str(error)[:MAX_ERROR_CHARS]


def error_of(code: int, message: str) -> MeshError:
    """The error that was sent."""
    return CODES.get(code, InternalError)(message)
