"""I/O edge: `meshagent-cni`, a CNI plugin that sends the traffic of an allocation through its sidecar.

Nomad looks for it as `consul-cni` among its plugins (`ln -s .../meshagent-cni /opt/cni/bin/consul-cni`) and gives it
the redirection in CNI_ARGS. On Kubernetes the plugin of consul-k8s reads it from the pod; this one does not ask there.

Source: surface row N11; `connect/cni.py`, `connect/redirect_config.py`. What may change here: where a redirection comes
from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

from meshagent.agent.cli.nft import apply_rules
from meshagent.connect.cni import (
    CONFIG_ARG,
    MAX_BYTES,
    VERSIONS,
    Asked,
    CniError,
    asked_of,
    refused,
    result_of,
    versions,
)
from meshagent.connect.redirect import rules
from meshagent.connect.redirect_config import redirection_of
from meshagent.errors import MeshError

__all__ = ["answer", "main"]

_BAD_ENVIRONMENT = 4

Apply = Callable[[str, str], None]


def answer(environ: Mapping[str, str], stdin: bytes, apply: Apply) -> tuple[bytes, int]:
    """(what is printed, exit status). `apply` takes rules and the path of a network namespace; raises MeshError."""
    version = VERSIONS[0]
    try:
        asked = asked_of(environ, stdin)
        version = asked.version
        if asked.command == "VERSION":
            return versions(asked), 0
        return (_added(asked, apply), 0) if asked.command == "ADD" else (b"", 0)
    except MeshError as error:
        return refused(error, version), 1


def _added(asked: Asked, apply: Apply) -> bytes:
    given = asked.args.get(CONFIG_ARG)
    if not given:
        where = "; on Kubernetes the plugin of consul-k8s is to be used" if "K8S_POD_NAME" in asked.args else ""
        raise CniError(_BAD_ENVIRONMENT, f"CNI_ARGS has no {CONFIG_ARG}{where}")
    result = result_of(asked)
    apply(rules(redirection_of(given)), asked.netns)
    return result


def main() -> None:
    """Answer one call."""
    told, status = answer(os.environ, sys.stdin.buffer.read(MAX_BYTES + 1), apply_rules)
    sys.stdout.buffer.write(told)
    sys.exit(status)
