"""What an alias check says: the worst of the checks it looks at, and why.

Source: surface row K19; developer.hashicorp.com/consul/docs/services/usage/checks#alias-checks. Pure. Who feeds it: for
things on this node `local.py` on every change; for another node whoever watches that node's checks in the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from meshagent.catalog.model import Check

__all__ = ["AliasResult", "judge"]

#: Characters of output that are kept: aliases of aliases quote each other (`check_output_max_size`, surface row K5).
_OUTPUT_MAX = 4096


class AliasResult(NamedTuple):
    """Status and output of an alias check."""

    status: str
    output: str


def judge(checks: Iterable[Check], service_id: str, *, known: bool, node: str) -> AliasResult:
    """The result for `service_id` ("": the node alone) from the checks of the node and of that service.

    `known` says whether the service is registered: an alias of nothing is critical. The first critical check is
    reported, else the first warning.
    """
    if not known:
        return AliasResult("critical", f"Service {service_id} could not be found on node {node}")
    warning: Check | None = None
    seen = False
    for check in checks:
        seen = True
        if check.status == "critical":
            return _failing(check)
        if check.status == "warning" and warning is None:
            warning = check
    if warning is not None:
        return _failing(warning)
    return AliasResult("passing", "All checks passing." if seen else "No checks found.")


def _failing(check: Check) -> AliasResult:
    return AliasResult(check.status, f'Aliased check "{check.name}" failing: {check.output}'[:_OUTPUT_MAX])
