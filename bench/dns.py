"""DNS answers per second, as ratios to a bare recvfrom/sendto loop in the same run.

`python bench/dns.py` prints JSON; `run()` is what bench/run.py calls. Needs dnsperf (Debian package of that name).
Server and yardstick are one process each, on loopback; dnsperf takes the other core. Every figure is the median of
`ROUNDS` runs that alternate with the yardstick, because the machine's speed wanders.

Goals: cached answers >= 0.8 of the yardstick, with 1,000 instances >= 0.7 of the figure with 3, every question
different >= 0.25 of the yardstick.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SECONDS = 2
ROUNDS = 3
#: Services of their own for the run in which every question differs.
NAMES = 30_000
#: Bytes the yardstick answers with: as many as an A answer with three records.
ANSWER_BYTES = 86


def yardstick(pipe: Connection) -> None:
    """Constant bytes for every datagram, blocking."""
    bare = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
    bare.bind(("127.0.0.1", 0))
    pipe.send(bare.getsockname()[1])
    receive, send = bare.recvfrom, bare.sendto
    # A whole answer to the question of the first datagram, so that dnsperf counts it.
    packet, peer = receive(512)
    end = packet.index(b"\x00", 12) + 5
    answer = b"\x85\x00\x00\x01\x00\x03\x00\x00\x00\x00" + packet[12:end]
    answer += 3 * bytes.fromhex("c00c000100010000000000040a150001")
    send(packet[:2] + answer, peer)
    while True:
        packet, peer = receive(4096)
        send(packet[:2] + answer, peer)


def server(pipe: Connection) -> None:
    """Our server on a store of `NAMES` services and a few big ones."""
    import asyncio

    import uvloop

    uvloop.run(_serve(pipe))
    asyncio.set_event_loop_policy(None)


async def _serve(pipe: Connection) -> None:
    import asyncio

    from meshagent.catalog.commands import Register
    from meshagent.catalog.model import Node, Service
    from meshagent.catalog.store import Store
    from meshagent.clock import SystemClock
    from meshagent.dns.server import DnsServer
    from meshagent.dns.settings import DnsSettings

    store = Store()

    def register(number: int, name: str) -> None:
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        node = Node(name=f"n{number}", address=address, datacenter="dc1", meta={"consul-version": "1.20.1"})
        store.execute(Register(node, Service(id=name, name=name, port=8000)))

    for number in range(1000):
        register(number, "thousand")
        if number < 3:
            register(number, "three")
    for number in range(NAMES):
        register(number % 2000, f"svc-{number}")
    dns = DnsServer(store, DnsSettings(), SystemClock(), random.Random())
    await dns.start([("127.0.0.1", 0)])
    pipe.send(dns.addresses[0][1])
    # The pipe's end means: stop. So a profiler that watches this process sees it end by itself.
    await asyncio.get_running_loop().run_in_executor(None, _wait, pipe)
    await dns.stop()


def _wait(pipe: Connection) -> None:
    try:
        pipe.recv()
    except EOFError:
        return


class Peer:
    """A process that serves on a port."""

    def __init__(self, target: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=target, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.port = int(self.pipe.recv())

    def stop(self) -> None:
        self.pipe.close()
        self.process.join(1)
        if self.process.is_alive():
            self.process.kill()


def dnsperf(port: int, questions: Path, *options: str, seconds: int = SECONDS) -> float:
    """Answers per second."""
    command = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(questions), "-l", str(seconds), "-q", "100"]
    out = subprocess.run([*command, *options], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Queries per second:\s+([\d.]+)", out)
    if found is None:
        raise RuntimeError(out)
    return float(found[1])


def questions(directory: Path) -> dict[str, Path]:
    """The files of questions."""
    rng = random.Random(1)
    names = [f"svc-{number}.service.consul" for number in range(NAMES)]
    rng.shuffle(names)
    mixed = []
    for _ in range(50_000):
        spelt = "".join(rng.choice((c.upper(), c)) for c in "three.service.consul")
        mixed.append(f"{spelt} A")
    sets = {
        "a_3": ["three.service.consul A"],
        "srv_3": ["three.service.consul SRV"],
        "a_1000": ["thousand.service.consul A"],
        "srv_1000": ["thousand.service.consul SRV"],
        "missing_cached": ["nope.service.consul A"],
        "different_existing": [f"{name} A" for name in names],
        "different_existing_srv": [f"{name} SRV" for name in names],
        "different_missing": [f"no-{rng.getrandbits(48):x}.service.consul A" for _ in range(300_000)],
        "different_spelling": mixed,
    }
    paths = {}
    for name, lines in sets.items():
        paths[name] = directory / name
        paths[name].write_text("\n".join(lines) + "\n")
    return paths


def run(only: str = "") -> dict[str, Any]:
    """Figures by name: answers per second, the yardstick's beside it, and the ratio."""
    if shutil.which("dnsperf") is None:
        return {"skipped": "dnsperf is not installed"}
    bare, ours = Peer(yardstick), Peer(server)
    result: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory() as directory:
            files = questions(Path(directory))
            dnsperf(bare.port, files["a_3"], seconds=1)
            for name, path in files.items():
                if only not in name:
                    continue
                pairs = [(dnsperf(ours.port, path), dnsperf(bare.port, files["a_3"])) for _ in range(ROUNDS)]
                figure = statistics.median(pair[0] for pair in pairs)
                base = statistics.median(pair[1] for pair in pairs)
                ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
                result[name] = {"per_s": round(figure), "bare_per_s": round(base), "ratio": round(ratio, 3)}
            for kind in ("a", "srv"):
                if f"{kind}_3" in result and f"{kind}_1000" in result:
                    ratio = result[f"{kind}_1000"]["per_s"] / result[f"{kind}_3"]["per_s"]
                    result[f"{kind}_1000_to_3"] = round(ratio, 3)
    finally:
        bare.stop()
        ours.stop()
    return result


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The link `dns` beside this file's directory must not hide anything, nor this file the room.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]
    print(json.dumps(run(sys.argv[1] if len(sys.argv) > 1 else ""), indent=1))
