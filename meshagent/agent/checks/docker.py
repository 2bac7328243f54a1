"""I/O edge: docker checks: a command inside a container, its exit code decides, as for scripts.

Source: surface rows K16 and K5; docs.docker.com/reference/api/engine, "Exec": POST /containers/{id}/exec, POST
/exec/{id}/start, GET /exec/{id}/json. The engine is at `DOCKER_HOST` (unix:// or tcp://), by default
unix:///var/run/docker.sock. aiohttp speaks to it, imported on the first run: this is no hot path.

`Shell` served the old `Script` field, which Consul refuses today: `Args` are the command line and no shell sees them.
A command that runs out of time goes on inside its container, the engine has no call to end it; the check is critical.

What may be changed here: nothing of the wording.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from meshagent.agent.checks.definition import Definition, or_default
from meshagent.agent.checks.dial import describe
from meshagent.agent.checks.docker_stream import Demultiplexer
from meshagent.agent.checks.output import Tail, effective_max_size
from meshagent.agent.checks.probe import Outcome, Probe, ProbeFailed, Tools, critical
from meshagent.agent.checks.script import DEFAULT_TIMEOUT_S, by_exit_code, timed_out
from meshagent.errors import RemoteProtocolError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["DEFAULT_HOST", "parse_host", "prepare"]

DEFAULT_HOST = "unix:///var/run/docker.sock"
#: Answers other than a command's output are short JSON.
MAX_ANSWER_BYTES = 64 * 1024
#: Of an endless output the tail of what came so far is shown, in time.
_PIECE_BYTES = 64 * 1024


def parse_host(host: str) -> tuple[str, str]:
    """(`unix`, path) or (`tcp`, base URL) of a `DOCKER_HOST`.

    Raises:
        ProbeFailed: it is neither.
    """
    scheme, separator, rest = host.partition("://")
    if not separator:
        raise ProbeFailed(f"unable to parse docker host `{host}`")
    if scheme == "unix":
        return "unix", rest
    if scheme in ("tcp", "http"):
        return "tcp", f"http://{urlsplit(f'tcp://{rest}').netloc}{urlsplit(f'tcp://{rest}').path.rstrip('/')}"
    raise ProbeFailed(f"unable to parse docker host `{host}`: neither unix:// nor tcp://")


def prepare(definition: Definition, tools: Tools) -> Probe:
    """The probe of a docker check.

    Raises:
        ProbeFailed: `DOCKER_HOST` cannot be used.
    """
    command = list(definition.args)
    engine = parse_host(tools.settings.docker_host or DEFAULT_HOST)
    max_bytes = effective_max_size(tools.settings.output_max_size, definition.output_max_size)
    timeout_s = or_default(definition.timeout, DEFAULT_TIMEOUT_S)
    container = definition.docker_container_id

    async def probe() -> Outcome:
        import aiohttp  # a quarter of a second that an agent without docker checks does not spend

        output = Tail(max_bytes)
        try:
            async with asyncio.timeout(timeout_s), _session(engine) as session:
                exec_id = await _create(session, container, command)
                await _start(session, container, exec_id, output)
                code = await _exit_code(session, container, exec_id)
        except ProbeFailed as error:
            return critical(str(error))
        except TimeoutError:
            return critical(timed_out(timeout_s, output.captured()))
        except aiohttp.ClientConnectorError as error:
            where = f"dial {engine[0]} {engine[1].removeprefix('http://')}: connect"
            return critical(f"create exec failed for container {container}: {where}: {describe(error.os_error)}")
        except aiohttp.ClientError as error:
            return critical(f"docker exec failed for container {container}: {error}")
        return by_exit_code(code, output.captured())

    return probe


def _session(engine: tuple[str, str]) -> aiohttp.ClientSession:
    import aiohttp

    kind, where = engine
    connector = aiohttp.UnixConnector(path=where) if kind == "unix" else aiohttp.TCPConnector()
    return aiohttp.ClientSession(
        base_url="http://docker" if kind == "unix" else where,
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None),
    )


async def _create(session: aiohttp.ClientSession, container: str, command: list[str]) -> str:
    wanted = {"AttachStdin": False, "AttachStdout": True, "AttachStderr": True, "Tty": False, "Cmd": command}
    code, body = await _call(session, "POST", f"/containers/{quote(container, safe='')}/exec", wanted)
    if code == 404:
        raise ProbeFailed(f"create exec failed for unknown container {container}")
    if code == 409:
        raise ProbeFailed(f"create exec failed since container {container} is paused or stopped")
    if code != 201:
        raise ProbeFailed(f"create exec failed for container {container} with status {code}: {_show(body)}")
    exec_id = _field(body, "Id")
    if not isinstance(exec_id, str) or not exec_id:
        raise ProbeFailed(f"create exec response for container {container} cannot be parsed: {_show(body)}")
    return exec_id


async def _start(session: aiohttp.ClientSession, container: str, exec_id: str, output: Tail) -> None:
    how = {"Detach": False, "Tty": False}
    async with session.post(f"/exec/{quote(exec_id, safe='')}/start", json=how) as response:
        if response.status == 404:
            raise ProbeFailed(f"start exec failed for container {container}: invalid exec id {exec_id}")
        if response.status == 409:
            raise ProbeFailed(f"start exec failed since container {container} is paused or stopped")
        if response.status != 200:
            body = await response.content.read(MAX_ANSWER_BYTES)
            raise ProbeFailed(f"start exec failed for container {container} with status {response.status}: "
                              f"body: {_show(body)}")  # fmt: skip
        stream = Demultiplexer()
        try:
            async for piece in response.content.iter_chunked(_PIECE_BYTES):
                for text in stream.feed(piece):
                    output.append(text)
            stream.feed_eof()
        except RemoteProtocolError as error:
            raise ProbeFailed(f"start exec failed for container {container}: {error}") from error
        except OSError:
            # The engine is known to reset the connection after the last byte; the exit code is asked for next.
            return


async def _exit_code(session: aiohttp.ClientSession, container: str, exec_id: str) -> int:
    code, body = await _call(session, "GET", f"/exec/{quote(exec_id, safe='')}/json", None)
    if code == 404:
        raise ProbeFailed(f"inspect exec failed for container {container}: invalid exec id {exec_id}")
    if code != 200:
        raise ProbeFailed(f"inspect exec failed for container {container} with status {code}: {_show(body)}")
    exit_code = _field(body, "ExitCode")
    if not isinstance(exit_code, int):
        raise ProbeFailed(f"inspect exec response for container {container} cannot be parsed: {_show(body)}")
    return exit_code


async def _call(session: aiohttp.ClientSession, method: str, path: str, body: Any) -> tuple[int, bytes]:
    async with session.request(method, path, json=body) as response:
        return response.status, await response.content.read(MAX_ANSWER_BYTES)


def _field(body: bytes, name: str) -> Any:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value.get(name) if isinstance(value, dict) else None


def _show(body: bytes) -> str:
    return body.decode("utf-8", "replace").strip()
