"""Where a listener accepts."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path

import pytest

from meshagent.connect.proxy.door import Door


class Greets(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"hello")  # type: ignore[attr-defined]
        transport.close()


async def greeting(path: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    said = await reader.read()
    writer.close()
    return said


@pytest.mark.parametrize(("mode", "bits"), [("", 0o600), ("0660", 0o660)])
async def test_a_socket_is_private_unless_told_and_goes_when_it_is_closed(tmp_path: Path, mode: str, bits: int) -> None:
    path = tmp_path / "up.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))  # by a process that is gone
    door = Door()
    await door.open_socket(Greets, str(path), mode)
    assert stat.S_IMODE(path.stat().st_mode) == bits
    assert await greeting(str(path)) == b"hello"
    assert (door.close(), door.close(), path.exists()) == (True, False, False)


async def test_a_file_in_its_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("mine")
    with pytest.raises(OSError):
        await Door().open_socket(Greets, str(path), "")
    assert path.read_text() == "mine"


async def test_a_closed_port_accepts_nobody() -> None:
    door = Door()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError):
            await door.open(Greets, "127.0.0.1", port)
    await door.open(Greets, "127.0.0.1", port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b"hello"
    writer.close()
    door.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
