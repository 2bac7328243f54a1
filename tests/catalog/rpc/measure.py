"""Frames and forwarded proposals a second over loopback between two processes; prints, asserts nothing.

    python tests/catalog/rpc/measure.py [--tls] [--seconds 3]

The leader's log applies in memory at once: what is measured is the port, not the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).parents[2] / "lib"))

from meshagent.catalog.log import MemoryLog
from meshagent.catalog.rpc.forward import ForwardingLog
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.leading import leader_methods
from meshagent.catalog.rpc.peers import Peers
from meshagent.catalog.rpc.server import RpcServer
from meshagent.catalog.rpc.settings import TlsSettings
from meshagent.catalog.rpc.tls import load_security
from meshagent.clock import SystemClock
from meshagent.metrics import Metrics, MetricsSettings

LEADER, FOLLOWER = Identity("id-leader", "leader", "dc1"), Identity("id-follower", "follower", "dc1")


class Nothing:
    def apply(self, command: bytes) -> bool:
        return True

    def flush(self) -> None:
        return


class Log(MemoryLog):
    """`MemoryLog` as `SharedLog`; on the follower somebody else leads."""

    leads = True
    leader_id = LEADER.node_id
    applied_index = 1

    def propose(self, command: bytes, request_id: bytes | None = None) -> Any:
        return super().propose(command)

    def hand_in(self, command: bytes, request_id: bytes, answer: Any) -> None:
        answer.set_result(self.propose(command).result())

    @property
    def is_leader(self) -> bool:
        return self.leads

    has_others = True
    on_change: list[Any] = []

    def when_applied(self, index: int) -> Any:
        raise AssertionError("everything is applied")

    def confirmed(self) -> Any:
        raise AssertionError("not asked")


def tls_settings(folder: str) -> TlsSettings:
    if not folder:
        return TlsSettings()
    return TlsSettings(
        ca_file=f"{folder}/ca.pem",
        cert_file=f"{folder}/leaf.pem",
        key_file=f"{folder}/key.pem",
        verify_incoming=True,
        verify_outgoing=True,
        verify_server_hostname=True,
    )


def metrics() -> Metrics:
    return Metrics(MetricsSettings(), SystemClock().monotonic)


async def echo(_: Any, payload: bytes) -> bytes:
    return payload


async def serve(folder: str) -> None:
    heard = 0

    def count(_: Any, payload: bytes) -> None:
        nonlocal heard
        heard += 1

    async def raft_heard(_: Any, payload: bytes) -> bytes:
        return b"%d" % heard

    server = RpcServer(LEADER, clock=SystemClock(), metrics=metrics(), security=load_security(tls_settings(folder)))
    server.methods.update({**leader_methods(Log(Nothing())), "echo": echo, "raft-heard": raft_heard})  # type: ignore[arg-type]
    server.on_raft = count
    print(server.listen("127.0.0.1", 0)[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def drive(port: int, folder: str, seconds: float) -> None:
    peers = Peers(
        identity=lambda: FOLLOWER,
        security=lambda: load_security(tls_settings(folder)),
        clock=SystemClock(),
        rng=random.Random(1),
        metrics=metrics(),
    )
    peers.set_servers({LEADER.node_id: f"127.0.0.1:{port}"})
    while (link := peers.link(LEADER.node_id)) is None:
        await asyncio.sleep(0.01)

    async def rate(name: str, workers: int, one: Any) -> None:
        done = 0
        until = time.monotonic() + seconds

        async def work() -> None:
            nonlocal done
            while time.monotonic() < until:
                await one()
                done += 1

        began = time.monotonic()
        await asyncio.gather(*(work() for _ in range(workers)))
        print(f"{name:<48} {done / (time.monotonic() - began):>10,.0f}/s")

    await rate("request and answer, 100 bytes, 1 at a time", 1, lambda: link.call("echo", bytes(100), 10))
    await rate("request and answer, 100 bytes, 64 at a time", 64, lambda: link.call("echo", bytes(100), 10))
    sent, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        for _ in range(50):
            sent += link.send_raft(bytes(200))
        await asyncio.sleep(0)
    heard = int(await link.call("raft-heard", b"", 10))
    print(f"{'Raft messages of 200 bytes, one way, heard':<48} {heard / (time.monotonic() - began):>10,.0f}/s")
    sent, began = 0, time.monotonic()
    while time.monotonic() < began + seconds:
        sent += link.send_raft(bytes(1 << 20))
        await asyncio.sleep(0)
    await link.call("raft-heard", b"", 10)
    print(f"{'Raft messages of 1 MiB, one way, MiB':<48} {sent / (time.monotonic() - began):>10,.0f}/s")
    log = Log(Nothing())
    log.leads = False
    forwarding = ForwardingLog(
        log,
        peers,
        node_id=FOLLOWER.node_id,
        origin=bytes(8),
        clock=SystemClock(),
        metrics=metrics(),  # type: ignore[arg-type]
    )
    for workers in (1, 64, 512):
        await rate(
            f"forwarded writes of 100 bytes, {workers} at a time", workers, lambda: forwarding.propose(bytes(100))
        )
    await rate("default reads' indexes, 64 at a time", 64, forwarding.read_barrier)
    await peers.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--serve", metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.serve is not None:
        uvloop.run(serve(arguments.serve))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = ""
        if arguments.tls:
            from meshtest.certificates import make_ca, make_leaf

            folder = made
            authority = make_ca()
            certificate, key = make_leaf(authority, "server.dc1.consul")
            for name, data in (("ca.pem", authority.pem), ("leaf.pem", certificate), ("key.pem", key)):
                Path(folder, name).write_bytes(data)
        command = [sys.executable, __file__, "--serve", folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as leader:
            assert leader.stdout is not None
            uvloop.run(drive(int(leader.stdout.readline()), folder, arguments.seconds))
            assert leader.stdin is not None
            leader.stdin.close()


if __name__ == "__main__":
    main()
