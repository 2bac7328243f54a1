"""Base64 as Go decodes it, with Go's words for a bad one.

Source: RFC 4648 section 4; pkg.go.dev/encoding/base64 (StdEncoding: padding is due, line ends are skipped), whose
errors name the byte. What may change here: nothing that people see in an error.
"""

from __future__ import annotations

import base64

__all__ = ["decode_base64"]

_ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_LINE_ENDS = b"\r\n"
_PAD = ord("=")


def decode_base64(text: str) -> bytes:
    """The bytes that `text` stands for.

    Raises:
        ValueError: `illegal base64 data at input byte 3`.
    """
    data = text.encode()
    wrong = _first_wrong(data)
    if wrong is not None:
        raise ValueError(f"illegal base64 data at input byte {wrong}")
    return base64.b64decode(data.translate(None, _LINE_ENDS))


def _first_wrong(data: bytes) -> int | None:
    """Where Go stops reading: each four characters are a quantum, the last may end in one or two pads."""
    at, end = 0, len(data)
    filled = 0
    while at < end:
        byte = data[at]
        at += 1
        if byte in _ALPHABET:
            filled = (filled + 1) % 4
        elif byte == _PAD:
            if filled < 2:
                return at - 1
            if filled == 2:
                at = _past_line_ends(data, at)
                if at == end:
                    return end
                if data[at] != _PAD:
                    return at - 1
                at += 1
            at = _past_line_ends(data, at)
            return at if at < end else None
        elif byte not in _LINE_ENDS:
            return at - 1
    return end - filled if filled else None


def _past_line_ends(data: bytes, at: int) -> int:
    while at < len(data) and data[at] in _LINE_ENDS:
        at += 1
    return at
