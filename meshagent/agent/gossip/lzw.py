"""LZW as Go's `compress/lzw` writes it: least significant bit first, 8-bit literals (as GIF, not TIFF or Unix).

Source: golden README section 3.5, lzw.jsonl (streams from Go); Welch 1984. 256 clears the table, 257 ends the stream,
258 is the first entry; codes begin at 9 bits and end at 12. Must not be changed: the bytes. The decoder never makes
more than `limit` bytes, however little it is given.
"""

from __future__ import annotations

from meshagent.errors import RemoteProtocolError

__all__ = ["compress", "decompress"]

_CLEAR = 256
_END = 257
_FIRST_WIDTH = 9
_MAX_WIDTH = 12
_MAX_CODE = (1 << _MAX_WIDTH) - 1
_LITERALS: list[bytes] = [bytes((byte,)) for byte in range(256)] + [b"", b""]


def compress(data: bytes) -> bytes:
    """The stream of `data`: a clear code, codes, the end code, zero bits to the next byte."""
    out = bytearray()
    width, high, overflow = _FIRST_WIDTH, _END, 1 << _FIRST_WIDTH
    bits, count = _CLEAR, width
    table: dict[int, int] = {}
    code = -1
    for byte in data:
        if code < 0:
            code = byte
            continue
        key = code << 8 | byte
        known = table.get(key)
        if known is not None:
            code = known
            continue
        bits |= code << count
        count += width
        code = byte
        high += 1
        if high == overflow:
            width += 1
            overflow <<= 1
        if high == _MAX_CODE:
            bits |= _CLEAR << count
            count += width
            width, high, overflow = _FIRST_WIDTH, _END, 1 << _FIRST_WIDTH
            table.clear()
        else:
            table[key] = high
        whole = count >> 3
        out += (bits & ((1 << (whole << 3)) - 1)).to_bytes(whole, "little")
        bits >>= whole << 3
        count &= 7
    if code >= 0:
        bits |= code << count
        count += width
        high += 1
        if high == overflow:
            width += 1
        if high == _MAX_CODE:
            bits |= _CLEAR << count
            count += width
            width = _FIRST_WIDTH
    bits |= _END << count
    count += width
    out += bits.to_bytes((count + 7) >> 3, "little")
    return bytes(out)


def decompress(data: bytes, limit: int) -> bytes:
    """What `data` holds, at most `limit` bytes. The leading clear code may be missing, the end code may not.

    Raises RemoteProtocolError: cut short, a code that cannot be, or more than `limit` bytes.
    """
    pieces: list[bytes] = []
    size = 0
    table = _LITERALS.copy()
    width, overflow, mask = _FIRST_WIDTH, 1 << _FIRST_WIDTH, (1 << _FIRST_WIDTH) - 1
    last = b""
    bits = count = 0
    for byte in data:
        bits |= byte << count
        count += 8
        if count < width:
            continue
        code = bits & mask
        bits >>= width
        count -= width
        known = len(table)
        if code == _CLEAR:
            table = _LITERALS.copy()
            width, overflow, mask = _FIRST_WIDTH, 1 << _FIRST_WIDTH, (1 << _FIRST_WIDTH) - 1
            last = b""
            continue
        if code == _END:
            return b"".join(pieces)
        if code < known:
            phrase = table[code]
        elif code == known and last:
            phrase = last + last[:1]
        else:
            raise RemoteProtocolError(f"lzw: code {code} is not known yet")
        size += len(phrase)
        if size > limit:
            raise RemoteProtocolError(f"lzw: more than {limit} bytes")
        pieces.append(phrase)
        if last:
            table.append(last + phrase[:1])
            known += 1
        last = phrase
        if known >= overflow:
            if width == _MAX_WIDTH:
                last = b""
            else:
                width += 1
                overflow <<= 1
                mask = (1 << width) - 1
    raise RemoteProtocolError("lzw: no end code")
