"""What Go's encoding/json says about a text that is not JSON.

Source: pkg.go.dev/encoding/json (SyntaxError) and answers of a running Consul (surface row C7): a body is refused with
Go's words, e.g. ``invalid character 'o' in literal null (expecting 'u')``, ``unexpected EOF`` or ``EOF``.

It runs only after a fast parser has refused a text, so it may be slow. Like Go's Decoder it looks at the first value
and ignores what follows. The wording may only change towards Go's.
"""

from __future__ import annotations

__all__ = ["first_value", "syntax_problem"]

#: Go refuses deeper nesting (maxNestingDepth).
MAX_DEPTH = 10_000

_SPACE = b" \t\r\n"
_DIGITS = b"0123456789"
_HEX = b"0123456789abcdefABCDEF"
_LITERALS = {0x74: b"true", 0x66: b"false", 0x6E: b"null"}


def first_value(text: bytes) -> tuple[int, int]:
    """Where the first JSON value of `text` starts and ends.

    Raises:
        ValueError: with Go's message, when there is none.
    """
    start = _skip_space(text, 0)
    if start == len(text):
        raise ValueError("EOF")
    return start, _scan(text, start)


def _skip_space(text: bytes, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _char(text: bytes, at: int) -> int:
    if at >= len(text):
        raise ValueError("unexpected EOF")
    return text[at]


def _invalid(char: int, context: str) -> ValueError:
    return ValueError(f"invalid character {_quote(char)} {context}")


def _quote(char: int) -> str:
    if char == 0x27:
        return r"'\''"
    named = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 0x5C: r"\\"}.get(char)
    if named is not None:
        return f"'{named}'"
    if char < 0x20 or char == 0x7F:
        return f"'\\x{char:02x}'"
    if 0x80 <= char < 0xA0 or char == 0xAD:
        return f"'\\u{char:04x}'"
    return f"'{chr(char)}'"


def _scan(text: bytes, at: int) -> int:
    """The end of the value that starts at `at`; `open_` holds the brackets still open."""
    open_ = bytearray()
    while True:
        at = _skip_space(text, at)
        char = _char(text, at)
        if char in b"{[":
            open_.append(char)
            if len(open_) > MAX_DEPTH:
                raise ValueError("exceeded max depth")
            at = _skip_space(text, at + 1)
            char = _char(text, at)
            if char == open_[-1] + 2:  # "{" + 2 is "}", "[" + 2 is "]"
                open_.pop()
                at += 1
            elif open_[-1] == 0x7B:
                at = _key(text, at)
                continue
            else:
                continue
        else:
            at = _scalar(text, at)
        while open_:
            at = _skip_space(text, at)
            char = _char(text, at)
            at += 1
            if char == 0x2C:  # ","
                if open_[-1] == 0x7B:
                    at = _key(text, _skip_space(text, at))
                break
            if char != open_[-1] + 2:
                raise _invalid(char, "after object key:value pair" if open_[-1] == 0x7B else "after array element")
            open_.pop()
        else:
            return at


def _key(text: bytes, at: int) -> int:
    char = _char(text, at)
    if char != 0x22:
        raise _invalid(char, "looking for beginning of object key string")
    at = _skip_space(text, _string(text, at))
    char = _char(text, at)
    if char != 0x3A:
        raise _invalid(char, "after object key")
    return at + 1


def _scalar(text: bytes, at: int) -> int:
    char = text[at]
    if char == 0x22:
        return _string(text, at)
    if char == 0x2D or char in _DIGITS:
        return _number(text, at)
    word = _LITERALS.get(char)
    if word is None:
        raise _invalid(char, "looking for beginning of value")
    for step in range(1, len(word)):
        found = _char(text, at + step)
        if found != word[step]:
            raise _invalid(found, f"in literal {word.decode()} (expecting {_quote(word[step])})")
    return at + len(word)


def _string(text: bytes, at: int) -> int:
    at += 1
    while True:
        char = _char(text, at)
        at += 1
        if char == 0x22:
            return at
        if char < 0x20:
            raise _invalid(char, "in string literal")
        if char != 0x5C:
            continue
        char = _char(text, at)
        at += 1
        if char == 0x75:  # \uXXXX
            for _ in range(4):
                digit = _char(text, at)
                if digit not in _HEX:
                    raise _invalid(digit, r"in \u hexadecimal character escape")
                at += 1
        elif char not in b'bfnrt\\/"':
            raise _invalid(char, "in string escape code")


def _number(text: bytes, at: int) -> int:
    if text[at] == 0x2D:
        at += 1
        if _char(text, at) not in _DIGITS:
            raise _invalid(text[at], "in numeric literal")
    if text[at] == 0x30:
        at += 1
    else:
        at = _digits(text, at)
    if at < len(text) and text[at] == 0x2E:
        at += 1
        if _char(text, at) not in _DIGITS:
            raise _invalid(text[at], "after decimal point in numeric literal")
        at = _digits(text, at)
    if at < len(text) and text[at] in b"eE":
        at += 1
        if _char(text, at) in b"+-":
            at += 1
        if _char(text, at) not in _DIGITS:
            raise _invalid(text[at], "in exponent of numeric literal")
        at = _digits(text, at)
    return at


def _digits(text: bytes, at: int) -> int:
    while at < len(text) and text[at] in _DIGITS:
        at += 1
    return at


def syntax_problem(text: bytes) -> str:
    """What is wrong with the first JSON value of `text`, in Go's words; "" when it is one."""
    try:
        first_value(text)
    except ValueError as error:
        return str(error)
    return ""
