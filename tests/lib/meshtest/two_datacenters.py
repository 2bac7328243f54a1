"""Two datacenters of one server each, with one authority, and built-in sidecars in both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshtest.process import AgentProcess, free_ports
from meshtest.sidecars import Sidecars, sidecars


def active_root(agent: AgentProcess) -> str:
    """The id of the root in force, "" for none."""
    return str(agent.get("/v1/connect/ca/roots")["ActiveRootID"])


@contextmanager
def two_datacenters(folder: Path) -> Iterator[tuple[Sidecars, Sidecars]]:
    """Those of dc1, the primary, and of dc2, once both trust the same root."""
    near = AgentProcess.server({"node_name": "near", "primary_datacenter": "dc1"})
    far = AgentProcess.server(
        {
            "node_name": "far",
            "datacenter": "dc2",
            "primary_datacenter": "dc1",
            "ports": (ports := free_ports()),
            "retry_join_wan": [f"127.0.0.1:{near.ports['serf_wan']}"],
            "retry_interval_wan": "1s",
        },
        ports=ports,
    )
    for name in ("near", "far"):
        (folder / name).mkdir()
    with near, far, sidecars(near, folder / "near") as here, sidecars(far, folder / "far") as there:
        near.wait("the root", lambda: active_root(near))
        far.wait("the primary's root", lambda: active_root(far) == active_root(near))
        yield here, there
