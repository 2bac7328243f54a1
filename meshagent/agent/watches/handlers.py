"""I/O edge: what a watch does with a change: a program gets it on standard input, or an address as a request.

Source: surface row G41; developer.hashicorp.com/consul/docs/dynamic-app-config/watches. `args` is run as it is. The old
`handler` is a line for a shell, written by whoever writes the configuration; only there is a shell started.

What may change here: how much of a program's output is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshagent.agent.watches.follow import Change
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.config.watches import HttpHandler, Watch

__all__ = ["handle", "run_program", "shell_line"]

log = logging.getLogger("agent.watch")

#: Of a program's output so much is logged; the rest is read and dropped.
MAX_OUTPUT_BYTES = 4096
#: A killed process is gone within milliseconds, unless the kernel holds it.
LAST_WORDS_S = 1.0


async def handle(watch: Watch, change: Change) -> None:
    """Hand a change over.

    Raises:
        MeshError: the program ended with an error or cannot be started; the address did not take it.
    """
    if watch.handler_type == "http" and watch.http_handler_config is not None:
        await _call(watch.http_handler_config, change)
    else:
        await run_program(watch.args or shell_line(watch.handler), change)


def shell_line(line: str) -> tuple[str, ...]:
    """The arguments that have the user's shell run `line`."""
    return (os.environ.get("SHELL") or "/bin/sh", "-c", line)


async def run_program(args: Sequence[str], change: Change) -> None:
    """Run `args` with the change on standard input and its index in CONSUL_INDEX; its output goes to the log.

    Raises:
        MeshError: as `handle`.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "CONSUL_INDEX": change.index},
            start_new_session=True,
        )
    except OSError as error:
        raise MeshError(f"cannot run {args[0]}: {error.strerror or error}") from None
    try:
        output, _ = await asyncio.gather(_output(process), _feed(process, change.body))
        code = await process.wait()
    finally:
        if process.returncode is None:  # the watch ends
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await process.wait()
    if output:
        log.debug("watch handler output: handler=%s output=%s", args[0], output)
    if code:
        raise MeshError(f"{args[0]} ended with exit status {code}" if code > 0 else f"{args[0]} got signal {-code}")


async def _output(process: asyncio.subprocess.Process) -> str:
    kept = b""
    while process.stdout is not None and (piece := await process.stdout.read(65536)):
        kept = (kept + piece)[:MAX_OUTPUT_BYTES]
    return kept.decode("utf-8", "replace").strip()


async def _feed(process: asyncio.subprocess.Process, body: bytes) -> None:
    stdin = process.stdin
    if stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read
        stdin.write(body)
        await stdin.drain()
    stdin.close()


async def _call(config: HttpHandler, change: Change) -> None:
    import aiohttp

    headers = [(name, value) for name, values in (config.header or {}).items() for value in values]
    headers += [("Content-Type", "application/json"), ("X-Consul-Index", change.index)]
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=config.timeout)) as session,
            session.request(
                config.method, config.path, data=change.body, headers=headers, ssl=not config.tls_skip_verify
            ) as answer,
        ):
            text = (await answer.content.read(MAX_OUTPUT_BYTES)).decode("utf-8", "replace").strip()
    except TimeoutError:
        raise MeshError(f"{config.path} did not answer within {config.timeout:g} s") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise MeshError(f"cannot call {config.path}: {error}") from None
    if answer.status // 100 != 2:
        raise MeshError(f"{config.path} answered {answer.status}: {text}")
