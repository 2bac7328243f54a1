"""I/O edge: resources as the static configuration of an Envoy, which says whether it takes them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from meshagent.connect.envoy.resources import Resources
from meshtest.meshpeers import envoy_program

WITHIN_S = 120.0


def static(resources: Resources) -> dict[str, Any]:
    """What is told over streams stands in line."""
    clusters = []
    for one in resources.clusters.values():
        cluster = dict(one)
        if cluster.get("type") == "EDS":
            told = cluster.pop("eds_cluster_config").get("service_name") or cluster["name"]
            assignment = {**resources.endpoints[told], "cluster_name": cluster["name"]}
            cluster |= {"type": "STATIC", "load_assignment": assignment}
        clusters.append(cluster)
    listeners = [_inline(one, resources) for one in resources.listeners.values()]
    return {"static_resources": {"listeners": listeners, "clusters": clusters}}


def _inline(value: Any, resources: Resources) -> Any:
    if isinstance(value, list):
        return [_inline(one, resources) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: _inline(one, resources) for key, one in value.items() if key != "rds"}
    if "rds" in value:
        made["route_config"] = resources.routes[value["rds"]["route_config_name"]]
    return made


def refusal(resources: Resources, folder: Path) -> str:
    """Why an Envoy does not take them, "" when it does."""
    path = folder / "static.json"
    path.write_text(json.dumps(static(resources)))
    argv = [envoy_program(), "--mode", "validate", "-c", str(path), "-l", "error", "--concurrency", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    return (done.stdout + done.stderr).strip() or "no word" if done.returncode else ""
