"""Gossip messages handled per second on one core, encrypted: `python bench/gossip.py [--seconds 3] [--profile]`.

Seconds are of CPU, so that other work beside does not count. Without sockets (the machine with its codecs: opening,
reading, deciding, sealing the answers) and with them (datagrams over the loopback into a real transport). The
yardstick of the same run is what nobody can go below: AES-GCM opening of the same packets and msgpack decoding of
their messages, nothing else. Reach: 20,000 messages a second.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgpack
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from meshtest.gossipgolden import Ring  # noqa: E402
from meshtest.gossipmachine import Recorder, peer  # noqa: E402
from meshtest.serfnet import Net  # noqa: E402

from meshagent.agent.gossip import messages as m  # noqa: E402
from meshagent.agent.gossip.packet import PacketCodec  # noqa: E402
from meshagent.agent.gossip.seal import Seal  # noqa: E402
from meshagent.agent.gossip.settings import LAN  # noqa: E402
from meshagent.agent.gossip.signals import PacketRead  # noqa: E402
from meshagent.agent.gossip.streams import StreamCodec  # noqa: E402
from meshagent.agent.gossip.swim import Memberlist  # noqa: E402
from meshagent.agent.gossip.transport import GossipTransport  # noqa: E402
from meshagent.clock import SystemClock  # noqa: E402

KEY = b"k" * 32
MEMBERS = 1000
SOURCE = ("10.0.1.1", 7946)


def codec() -> PacketCodec:
    return PacketCodec(Seal(Ring(KEY), lambda: os.urandom(12)))


def machine(packets: PacketCodec, delegate: Recorder) -> Memberlist:
    made = Memberlist("me", b"\x7f\0\0\1", 7946, settings=LAN, delegate=delegate, rng=Random(1), packets=packets)
    made.start(0.0)
    for number in range(MEMBERS):
        made.handle(PacketRead(packets.encode([m.encode_alive(peer(f"node-{number}"))])[0], SOURCE), 0.0)
    made.take_commands()
    return made


def workloads() -> dict[str, tuple[list[bytes], int]]:
    """Name -> packets (before sealing: lists of messages, sealed here), messages in them."""
    random, packets = Random(2), codec()
    kinds: dict[str, list[list[bytes]]] = {
        "pings alone": [],
        "gossip: 5 in a compound": [],
        "news: alive, 5 in a compound": [],
    }
    for number in range(2000):
        ping = m.encode_ping(m.Ping(number, "me", ("127.0.0.1", 9), "node-1"))
        known = [m.encode_alive(peer(f"node-{random.randrange(MEMBERS)}")) for _ in range(3)]
        user = b"\x08\x03" + msgpack.packb({"CC": False, "LTime": number, "Name": "deploy", "Payload": b"x" * 20})
        kinds["pings alone"].append([ping])
        kinds["gossip: 5 in a compound"].append([ping, *known, user])
        kinds["news: alive, 5 in a compound"].append(
            [m.encode_alive(peer(f"node-{random.randrange(MEMBERS)}", 2 + number)) for _ in range(5)]
        )
    return {
        name: ([packets.encode(messages)[0] for messages in rows], sum(len(messages) for messages in rows))
        for name, rows in kinds.items()
    }


def rate(work: Callable[[], int], seconds: float) -> float:
    """Messages a second of `work`, which does some and returns how many."""
    done, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        done += work()
    return done / (time.process_time() - start)


def yardstick(sealed: list[bytes], count: int) -> Callable[[], int]:
    cipher = AESGCM(KEY)

    def work() -> int:
        for packet in sealed:
            plain = cipher.decrypt(packet[1:13], packet[13:], b"")
            parts = [plain] if plain[0] != 7 else PacketCodec().decode(plain)[0]
            for part in parts:
                msgpack.unpackb(part[1:] if part[0] != 8 else part[2:], raw=True)
        return count

    return work


def handling(sealed: list[bytes], count: int) -> Callable[[], int]:
    delegate = Recorder()
    made, now = machine(codec(), delegate), 1.0

    def work() -> int:
        nonlocal now
        for packet in sealed:
            now += 0.00005
            made.handle(PacketRead(packet, SOURCE), now)
        delegate.heard.clear()
        return count

    return work


def serf_handling(sealed: list[bytes], count: int) -> Callable[[], int]:
    """The same with serf on the machine, which knows the same members."""
    serf, now, packets = Net().peer("me", keys=[KEY], address=("127.0.0.1", 7946)).serf, 1.0, codec()
    for number in range(MEMBERS):
        alive = peer(f"node-{number}", meta=b"\xff\x81\xa4role\xa4node")
        serf.handle(PacketRead(packets.encode([m.encode_alive(alive)])[0], SOURCE), now)

    def work() -> int:
        nonlocal now
        for packet in sealed:
            now += 0.00005
            serf.handle(PacketRead(packet, SOURCE), now)
        return count

    return work


async def over_sockets(sealed: list[bytes], count: int, seconds: float) -> float:
    """The same through a transport on the loopback; only the time of the receiving side counts."""
    packets, delegate = codec(), Recorder()
    made = machine(packets, delegate)
    transport = GossipTransport(made, StreamCodec(packets), SystemClock())
    address = transport.listen("127.0.0.1", 0)
    asyncio.get_running_loop().add_reader(transport._udp.fileno(), transport._readable)
    done, busy = 0, 0.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        end = time.process_time() + seconds
        while time.process_time() < end:
            for at in range(0, len(sealed), 50):
                for packet in sealed[at : at + 50]:
                    sender.sendto(packet, address)
                start = time.process_time()
                transport._readable()
                busy += time.process_time() - start
                done += 50 * count // len(sealed)
                delegate.heard.clear()
    await transport.close()
    return done / busy


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    print(
        f"{'workload':32} {'yardstick':>9} {'machine':>10} {'ratio':>6} {'with serf':>10} {'transport':>10} messages/s"
    )
    for name, (sealed, count) in workloads().items():
        work = handling(sealed, count)
        if options.profile:
            with cProfile.Profile() as profile:
                rate(work, options.seconds)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
            continue
        bare = rate(yardstick(sealed, count), options.seconds)
        ours = rate(work, options.seconds)
        stacked = rate(serf_handling(sealed, count), options.seconds)
        sockets = asyncio.run(over_sockets(sealed, count, options.seconds))
        print(f"{name:32} {bare:10,.0f} {ours:10,.0f} {ours / bare:6.2f} {stacked:10,.0f} {sockets:10,.0f}")


if __name__ == "__main__":
    main()
