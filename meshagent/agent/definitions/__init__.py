"""Services and checks as they are registered: over HTTP, in configuration files and on the command line.

Source: surface rows A10, A14, K1 to K19, M2, M3 and the answers of a running Consul. `check` and `service` hold the
forms, `rules` what a service instance must fulfil (the catalog asks the same), `expand` turns one registration into
instances with their checks, and those into catalog rows.

A new field is one line in `check` or `service`; JSON names, snake_case and files follow from it (agent/decode.py).
"""

from meshagent.agent.definitions.check import CHECK_STATUSES, CheckDefinition, ServiceCheck
from meshagent.agent.definitions.expand import (
    Registration,
    check_row,
    expand,
    lowest_free_port,
    sidecar_id,
    to_service_row,
)
from meshagent.agent.definitions.rules import multierror, service_problems
from meshagent.agent.definitions.service import ConnectDefinition, ServiceDefinition

__all__ = [
    "CHECK_STATUSES",
    "CheckDefinition",
    "ConnectDefinition",
    "Registration",
    "ServiceCheck",
    "ServiceDefinition",
    "check_row",
    "expand",
    "lowest_free_port",
    "multierror",
    "service_problems",
    "sidecar_id",
    "to_service_row",
]
