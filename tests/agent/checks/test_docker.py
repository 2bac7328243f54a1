import asyncio
import json
from types import SimpleNamespace

import pytest
from aiohttp import web

from meshagent.agent.checks.docker import parse_host, prepare
from meshagent.agent.checks.probe import Outcome, ProbeFailed


def frame(stream, content):
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


class Engine:
    """A Docker engine with the three calls that matter, on a unix socket or a port."""

    def __init__(self):
        self.asked = []
        self.create = (201, {"Id": "e1"})
        self.start = 200
        self.inspect = (200, {"ExitCode": 0, "Running": False})
        self.output = frame(1, b"fine\n")
        self.hang = False
        app = web.Application()
        app.router.add_post("/containers/{id}/exec", self._create)
        app.router.add_post("/exec/{id}/start", self._start)
        app.router.add_get("/exec/{id}/json", self._inspect)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def _create(self, request):
        self.asked.append((request.raw_path, await request.json()))
        return self._answer(*self.create)

    async def _start(self, request):
        self.asked.append((request.raw_path, await request.json()))
        if self.start != 200:
            return web.Response(status=self.start, text="why")
        # The engine takes the connection over: no length, no chunks, it ends when the command does.
        response = web.StreamResponse(headers={"Content-Type": "application/vnd.docker.multiplexed-stream"})
        response.force_close()
        await response.prepare(request)
        await response.write(self.output)
        if self.hang:
            await asyncio.Event().wait()
        return response

    async def _inspect(self, request):
        self.asked.append((request.raw_path, None))
        return self._answer(*self.inspect)

    @staticmethod
    def _answer(status, body):
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))


@pytest.fixture
async def docker(tmp_path, define, make_tools):
    """A fake engine, and `run(**fields)` for a check of container c1."""
    engine = Engine()
    await engine.runner.setup()
    path = tmp_path / "docker.sock"
    await web.UnixSite(engine.runner, str(path)).start()
    tools = make_tools(docker_host=f"unix://{path}")

    async def run(**fields):
        given = {"docker_container_id": "c1", "args": ("/check.sh", "a b"), **fields}
        return await prepare(define("docker", **given), tools)()

    yield SimpleNamespace(engine=engine, run=run)
    await engine.runner.cleanup()


@pytest.mark.parametrize(("code", "status"), [(0, "passing"), (1, "warning"), (2, "critical"), (137, "critical")])
async def test_the_exit_code_decides(docker, code, status):
    """K16"""
    docker.engine.inspect = (200, {"ExitCode": code})
    docker.engine.output = frame(1, b"out\n") + frame(2, b"err\n")
    assert await docker.run() == Outcome(status, "out\nerr\n")


async def test_what_the_engine_is_asked(docker):
    await docker.run()
    command = {"AttachStdin": False, "AttachStdout": True, "AttachStderr": True, "Tty": False}
    assert docker.engine.asked == [
        ("/containers/c1/exec", {**command, "Cmd": ["/check.sh", "a b"]}),
        ("/exec/e1/start", {"Detach": False, "Tty": False}),
        ("/exec/e1/json", None),
    ]


async def test_a_container_id_cannot_leave_its_place(docker):
    await docker.run(docker_container_id="../x?y")
    assert docker.engine.asked[0][0] == "/containers/..%2Fx%3Fy/exec"


async def test_the_tail_of_the_output_is_kept(docker):
    docker.engine.output = frame(1, b"0123456789") + frame(1, b"ABCDEFGHIJ")
    outcome = await docker.run(output_max_size=8)
    assert outcome == Outcome("passing", "Captured 8 of 20 bytes\n...\nCDEFGHIJ")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("create", (404, "no"), "create exec failed for unknown container c1"),
        ("create", (409, "no"), "create exec failed since container c1 is paused or stopped"),
        ("create", (500, "boom\n"), "create exec failed for container c1 with status 500: boom"),
        ("create", (201, "junk"), "create exec response for container c1 cannot be parsed: junk"),
        ("create", (201, []), "create exec response for container c1 cannot be parsed: []"),
        ("start", 404, "start exec failed for container c1: invalid exec id e1"),
        ("start", 409, "start exec failed since container c1 is paused or stopped"),
        ("start", 500, "start exec failed for container c1 with status 500: body: why"),
        ("inspect", (404, "no"), "inspect exec failed for container c1: invalid exec id e1"),
        ("inspect", (500, "boom"), "inspect exec failed for container c1 with status 500: boom"),
        ("inspect", (200, {"ExitCode": None}), "inspect exec response for container c1 cannot be parsed: "),
        ("output", b"junk of all kinds", "start exec failed for container c1: not a multiplexed docker stream"),
    ],
)
async def test_trouble_is_critical_and_named(docker, setting, value, message):
    setattr(docker.engine, setting, value)
    outcome = await docker.run()
    assert outcome.status == "critical"
    assert outcome.output.startswith(message)


async def test_a_command_that_hangs(docker):
    docker.engine.hang = True
    outcome = await docker.run(timeout=2.0)
    assert outcome == Outcome("critical", "Timed out (2s) running check\n\nfine\n")


async def test_no_engine(define, make_tools, tmp_path):
    tools = make_tools(docker_host=f"unix://{tmp_path}/nothing.sock")
    outcome = await prepare(define("docker", docker_container_id="c1", args=("x",)), tools)()
    assert outcome == Outcome(
        "critical",
        f"create exec failed for container c1: dial unix {tmp_path}/nothing.sock: connect: no such file or directory",
    )


async def test_an_engine_that_speaks_no_http(define, make_tools, serve):
    async def garbage(reader, writer):
        await reader.read(10)
        writer.write(b"\0\1\2\r\n\r\n")

    tools = make_tools(docker_host=f"tcp://127.0.0.1:{await serve(garbage)}")
    outcome = await prepare(define("docker", docker_container_id="c1", args=("x",)), tools)()
    assert outcome.status == "critical"
    assert outcome.output.startswith("docker exec failed for container c1: ")


async def test_an_engine_over_tcp(define, make_tools):
    engine = Engine()
    await engine.runner.setup()
    await web.TCPSite(engine.runner, "127.0.0.1", 0).start()
    tools = make_tools(docker_host=f"tcp://127.0.0.1:{engine.runner.addresses[0][1]}")
    outcome = await prepare(define("docker", docker_container_id="c1", args=("x",)), tools)()
    await engine.runner.cleanup()
    assert outcome == Outcome("passing", "fine\n")


def test_hosts():
    assert parse_host("unix:///run/docker.sock") == ("unix", "/run/docker.sock")
    assert parse_host("tcp://10.0.0.1:2375") == ("tcp", "http://10.0.0.1:2375")
    assert parse_host("tcp://10.0.0.1:2375/v1/") == ("tcp", "http://10.0.0.1:2375/v1")
    for bad in ("nonsense", "npipe://./x", ""):
        with pytest.raises(ProbeFailed, match="unable to parse docker host"):
            parse_host(bad)
