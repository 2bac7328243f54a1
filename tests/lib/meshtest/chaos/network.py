"""I/O edge: the wires between the servers: a namespace for each on one bridge, or plain loopback.

Packets are dropped where they arrive, by source address, so each direction of each pair can fail alone. Clients sit on
the bridge and reach every server whatever happens between those.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from meshtest.process import free_ports

DEFAULT_PORTS = {"http": 8500, "dns": 8600, "server": 8300, "serf_lan": 8301, "serf_wan": 8302}
ALL_PORTS = {**DEFAULT_PORTS, "grpc": 8502, "grpc_tls": 8503}


class Loopback:
    """Every server on 127.0.0.1 with ports of its own. Nothing can be cut."""

    can_cut = False
    can_mount = False

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self._ports = {name: free_ports() for name in self.names}

    def address(self, name: str) -> str:
        return "127.0.0.1"

    def ports(self, name: str) -> dict[str, int]:
        return self._ports[name]

    def inside(self, name: str) -> list[str]:
        """What goes before a command that is to run where this server runs."""
        return []

    def cut(self, source: str, target: str) -> None:
        raise NotImplementedError("no namespaces here: nothing can be cut")

    lossy = slow = cut

    def heal(self) -> None:
        return


class Namespaces(Loopback):
    """A namespace, an address and the default ports for each server. Only inside `private.enter()`."""

    can_cut = True
    can_mount = True

    def __init__(self, names: Iterable[str]) -> None:
        assert os.environ.get("MESHTEST_PRIVATE"), "not in the network of another program"
        self.names = list(names)
        self._number = {name: number for number, name in enumerate(self.names, 1)}
        self._rules: dict[str, list[str]] = {name: [] for name in self.names}
        _ip("link set lo up")
        _ip("link add chaos type bridge")
        _ip("addr add 10.77.0.254/24 dev chaos")
        _ip("link set chaos up")
        for name, number in self._number.items():
            _ip(f"netns add {name}")
            _ip(f"link add v{number} type veth peer name eth0 netns {name}")
            _ip(f"link set v{number} master chaos up")
            _ip(f"-n {name} addr add {self.address(name)}/24 dev eth0")
            _ip(f"-n {name} link set eth0 up")
            _ip(f"-n {name} link set lo up")

    def address(self, name: str) -> str:
        return f"10.77.0.{self._number[name]}"

    def ports(self, name: str) -> dict[str, int]:
        return ALL_PORTS

    def inside(self, name: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{name}"]

    def cut(self, source: str, target: str) -> None:
        """Nothing that `source` sends comes to `target` any more."""
        self._add(target, f"ip saddr {self.address(source)} drop")

    def lossy(self, source: str, target: str, percent: int = 20) -> None:
        self._add(target, f"ip saddr {self.address(source)} numgen random mod 100 < {percent} drop")

    def slow(self, source: str, target: str, kbytes_per_s: int = 200) -> None:
        """What comes faster than this is dropped: TCP slows down to it."""
        self._add(target, f"ip saddr {self.address(source)} limit rate over {kbytes_per_s} kbytes/second drop")

    def heal(self) -> None:
        for name in self.names:
            if self._rules[name]:
                self._rules[name] = []
                self._load(name)

    def _add(self, target: str, rule: str) -> None:
        self._rules[target].append(rule)
        self._load(target)

    def _load(self, name: str) -> None:
        rules = "\n".join(self._rules[name])
        text = (
            "table inet chaos\ndelete table inet chaos\n"
            f"table inet chaos {{\n chain arriving {{\n type filter hook input priority 0;\n{rules}\n}}\n}}\n"
        )
        subprocess.run([*self.inside(name), "nft", "-f", "-"], input=text, text=True, check=True)


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)
