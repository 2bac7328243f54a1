"""The smallest plug-in that an Envoy loads: it has a memory, allocates from one place, and does nothing.

Source: github.com/proxy-wasm/spec (ABI 0.2.1: what a module must export); webassembly.github.io/spec (binary format).
"""

from __future__ import annotations

__all__ = ["PLUGIN"]


def _section(kind: int, body: bytes) -> bytes:
    return bytes([kind, len(body)]) + body


def _export(name: str, kind: int, index: int) -> bytes:
    return bytes([len(name)]) + name.encode() + bytes([kind, index])


_FUNCTION, _MEMORY = 0, 2
#: () -> () and (i32) -> i32.
_TYPES = bytes([2, 0x60, 0, 0, 0x60, 1, 0x7F, 1, 0x7F])
_EXPORTS = (
    _export("memory", _MEMORY, 0),
    _export("proxy_abi_version_0_2_1", _FUNCTION, 0),
    _export("_initialize", _FUNCTION, 0),
    _export("malloc", _FUNCTION, 1),
)
#: Nothing; the constant 1024.
_CODE = bytes([2, 2, 0, 0x0B, 5, 0, 0x41, 0x80, 0x08, 0x0B])

PLUGIN = (
    b"\0asm\1\0\0\0"
    + _section(1, _TYPES)
    + _section(3, bytes([2, 0, 1]))
    + _section(5, bytes([1, 0, 1]))
    + _section(7, bytes([len(_EXPORTS)]) + b"".join(_EXPORTS))
    + _section(10, _CODE)
)
