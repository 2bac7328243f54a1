"""`render`: what an Envoy is to hold, from the snapshot of its proxy.

Pure: the same snapshot gives the same resources. Source: design.md "One intermediate form for the mesh"; surface rows
X5, X8, X12. What may change here: a row of `RENDERERS` for a kind of proxy.
"""

from __future__ import annotations

from collections.abc import Callable

from meshagent.connect.envoy.edge import edge
from meshagent.connect.envoy.extensions import apply
from meshagent.connect.envoy.mesh_gateway import mesh_gateway
from meshagent.connect.envoy.resources import Resources
from meshagent.connect.envoy.sidecar import sidecar
from meshagent.connect.envoy.terminating import terminating
from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["RENDERERS", "render"]

RENDERERS: dict[str, Callable[[ProxySnapshot], Resources]] = {
    "connect-proxy": sidecar,
    "mesh-gateway": mesh_gateway,
    "terminating-gateway": terminating,
    "ingress-gateway": edge,
    "api-gateway": edge,
}


def render(snapshot: ProxySnapshot, envoy_version: str = "") -> Resources:
    """The resources of a proxy; `envoy_version` ("1.40.0") is "" when it is not known.

    Raises:
        KeyError: a kind that has none.
        BadRequest: an escape hatch cannot be read.
        ExtensionFailed: an extension that is required cannot be applied: nothing is to be sent.
    """
    found = RENDERERS[snapshot.kind](snapshot)
    if snapshot.mesh.validate_clusters:
        for route in found.routes.values():
            route["validate_clusters"] = True
    return apply(found, snapshot, envoy_version=envoy_version)
