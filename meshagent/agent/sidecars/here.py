"""I/O edge: what the sidecars of this host answer at their sockets; a page at once, or a tap line by line.

Source: `connect/proxy/telemetry/places.py` and `admin.py`, which answer. What may change here: sizes and times.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

from meshagent.connect.proxy.telemetry import places
from meshagent.errors import BadRequest, InternalError, TooLarge, Unavailable

__all__ = ["MAX_PAGE_BYTES", "page", "socket_for", "tap_lines"]

#: `/edges` of 1,000 edges with their paths stays below it.
MAX_PAGE_BYTES = 8 << 20
MAX_LINE_BYTES = 1 << 20
#: A sidecar on the same host answers within milliseconds; one that does not is stuck.
TIMEOUT_S = 2.0
_NO_ANSWER = (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError)


def socket_for(proxy_id: str) -> Path:
    """Where the sidecar of that id listens, if it is of this user."""
    return places.socket_of(places.place_of(os.environ), proxy_id)


async def page(path: Path, target: str) -> bytes:
    """The body of a page. Raises Unavailable, InternalError, TooLarge, BadRequest."""
    try:
        async with asyncio.timeout(TIMEOUT_S), _asked(path, target) as reader:
            found = bytearray()
            while piece := await reader.read(65536):
                found += piece
                if len(found) > MAX_PAGE_BYTES:
                    raise TooLarge(f"its answer has more than {MAX_PAGE_BYTES} bytes")
            return bytes(found)
    except _NO_ANSWER as error:
        raise _silent(error) from error


async def tap_lines(path: Path, filters: tuple[tuple[str, str], ...]) -> AsyncGenerator[bytes, None]:
    """What its tap says as it comes: whole lines, several at once; b"" where it only says that it is there.

    Raises as `page`.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S) as limit, _asked(path, f"/tap?{urlencode(filters)}") as reader:
            limit.reschedule(None)
            held = bytearray()
            while piece := await reader.read(65536):
                held += piece
                end = held.rfind(b"\n") + 1
                if end:
                    lines = b"".join(_told(bytes(held[:end])))
                    del held[:end]
                    yield lines
                elif len(held) > MAX_LINE_BYTES:
                    raise TooLarge(f"a line of its tap has more than {MAX_LINE_BYTES} bytes")
    except _NO_ANSWER as error:
        raise _silent(error) from error


def _silent(error: BaseException) -> Unavailable:
    return Unavailable(f"it does not answer: {str(error) or 'timed out'}")


def _told(lines: bytes) -> Iterator[bytes]:
    return (line for line in lines.splitlines(keepends=True) if line != b"\n")


@asynccontextmanager
async def _asked(path: Path, target: str) -> AsyncIterator[asyncio.StreamReader]:
    """The body of an answer, which ends with the connection."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except (FileNotFoundError, ConnectionRefusedError):
        raise Unavailable(f"nothing listens at {path}: an Envoy, or not run by the agent's user?") from None
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: sidecar\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1] if head.startswith(b"HTTP/1.1 ") else b""
        if status != b"200":
            problem = (await reader.read(4096)).decode("utf-8", "replace").strip()
            if status == b"400":
                raise BadRequest(problem)
            raise InternalError(f"it answers {status.decode('ascii', 'replace') or 'no HTTP'}: {problem}")
        yield reader
    finally:
        writer.close()
