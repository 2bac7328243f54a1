"""Go's quoted strings, as filter expressions and their error texts write them.

Source: go.dev/ref/spec#String_literals; pkg.go.dev/strconv#Quote and #Unquote. Bytes that are not UTF-8 (`\\x80`) are
surrogate escapes inside. What may change here: nothing but mistakes, Go's language is given.
"""

from __future__ import annotations

import re

__all__ = ["quote", "unescape"]

_ESCAPE = re.compile(
    r"""\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|([^\\\n"]+)"""
)
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}


def unescape(text: str) -> str | None:
    """The inside of an interpreted Go string (go.dev/ref/spec#String_literals); None when it is malformed."""
    out = bytearray()
    at = 0
    while at < len(text):
        found = _ESCAPE.match(text, at)
        if found is None:
            return None
        at = found.end()
        simple, byte, octal, short, long, plain = found.groups()
        if plain is not None:
            out += plain.encode()
        elif short or long:
            point = int(short or long, 16)
            if point > 0x10FFFF or 0xD800 <= point < 0xE000:
                return None
            out += chr(point).encode()
        else:
            number = _SIMPLE[simple] if simple else int(byte, 16) if byte else int(octal, 8)
            if number > 255:
                return None
            out.append(number)
    return out.decode("utf-8", "surrogateescape")


def quote(text: str) -> str:
    """`text` as Go quotes it in error texts (strconv.Quote)."""
    out = ['"']
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char in "\a\b\f\n\r\t\v":
            out.append("\\" + "abtnvfr"[code - 7])
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif char.isprintable():
            out.append(char)
        else:
            out.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return "".join(out) + '"'
