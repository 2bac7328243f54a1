from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from meshagent.agent.config.watches import HttpHandler, Watch
from meshagent.agent.watches.follow import Change
from meshagent.agent.watches.handlers import handle, run_program, shell_line
from meshagent.errors import MeshError

CHANGE = Change("42", {"Key": "k"})


def program(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


async def test_a_program_gets_the_change_and_its_index(tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = f"import os, sys; open({str(out)!r}, 'w').write(os.environ['CONSUL_INDEX'] + sys.stdin.read())"
    await handle(Watch(type="key", key="k", args=program(text)), CHANGE)
    assert out.read_text() == '42{"Key":"k"}\n'


async def test_a_program_need_not_read_and_may_talk_much() -> None:
    await run_program(program("print('x' * 1_000_000)"), Change("1", "y" * 1_000_000))


async def test_a_program_that_fails_is_an_error_with_its_status() -> None:
    with pytest.raises(MeshError, match="ended with exit status 3"):
        await run_program(program("raise SystemExit(3)"), CHANGE)
    with pytest.raises(MeshError, match="cannot run /no/such/program: No such file"):
        await run_program(("/no/such/program",), CHANGE)


async def test_a_program_is_killed_with_its_watch(tmp_path: Path) -> None:
    fifo, line = tmp_path / "fifo", asyncio.Event()
    text = f"import os, time; f = open({str(fifo)!r}, 'w'); f.write(str(os.getpid())); f.flush(); time.sleep(600)"
    import os

    os.mkfifo(fifo)
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    loop = asyncio.get_running_loop()
    task = loop.create_task(run_program(program(text), CHANGE))
    loop.add_reader(descriptor, line.set)
    await line.wait()
    pid = int(os.read(descriptor, 99))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    line.clear()
    await line.wait()  # the other end of the pipe closes when the program is gone
    assert os.read(descriptor, 99) == b""
    loop.remove_reader(descriptor)
    os.close(descriptor)
    assert pid > 0


async def test_the_old_handler_is_a_line_for_a_shell(tmp_path: Path) -> None:
    assert shell_line("a | b")[1:] == ("-c", "a | b")
    await handle(Watch(type="key", key="k", handler=f"cat > {tmp_path / 'out'}"), CHANGE)
    assert (tmp_path / "out").read_text() == '{"Key":"k"}\n'


async def test_an_address_gets_a_request() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(len(CHANGE.body))
        seen.extend((head, body))
        status = b"500 No" if b"/bad" in head else b"204 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = HttpHandler(path=f"http://127.0.0.1:{port}/hook", method="PUT", header={"X-A": ("1", "2")})
    await handle(Watch(type="nodes", handler_type="http", http_handler_config=config), CHANGE)
    head = seen[0].decode()
    assert head.startswith("PUT /hook HTTP/1.1\r\n")
    assert "X-Consul-Index: 42\r\n" in head
    assert "X-A: 1\r\nX-A: 2\r\n" in head
    assert json.loads(seen[1]) == CHANGE.value
    bad = HttpHandler(path=f"http://127.0.0.1:{port}/bad")
    with pytest.raises(MeshError, match="answered 500"):
        await handle(Watch(type="nodes", handler_type="http", http_handler_config=bad), CHANGE)
    server.close()
    with pytest.raises(MeshError, match="cannot call"):
        await handle(Watch(type="nodes", handler_type="http", http_handler_config=bad), CHANGE)
