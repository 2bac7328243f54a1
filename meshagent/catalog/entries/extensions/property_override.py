"""`builtin/property-override`: single fields of Envoy's resources, set or taken away.

Source: surface row M82; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions/configuration/
property-override; the recorded refusal of a Duration. What may change here: nothing that entries have.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.catalog.entries.extensions import fields
from meshagent.catalog.entries.extensions.arguments import Arguments, one_of
from meshagent.catalog.entries.extensions.target import ServiceName

__all__ = ["Patch", "PropertyOverride", "ResourceFilter"]


class ResourceFilter(msgspec.Struct, frozen=True):
    """Which resources; no services are all of a direction."""

    resource_type: str = ""
    traffic_direction: str = ""
    services: tuple[ServiceName, ...] = ()

    def problems(self) -> list[str]:
        """What is wrong with it."""
        found = one_of("ResourceType", self.resource_type, tuple(fields.RESOURCES))
        found += one_of("TrafficDirection", self.traffic_direction, ("inbound", "outbound"))
        if self.services and self.traffic_direction == "inbound":
            found.append(
                "patch contains non-empty ResourceFilter.Services but ResourceFilter.TrafficDirection is inbound"
            )
        found += ["service name is required" for one in self.services if not one.name]
        return found


class Patch(msgspec.Struct, frozen=True):
    """One field: `op` is add or remove."""

    resource_filter: ResourceFilter = ResourceFilter()
    op: str = ""
    path: str = ""
    value: Any = None

    def problems(self, *, debug: bool) -> list[str]:
        """What is wrong with it."""
        found = one_of("Op", self.op, ("add", "remove"))
        if self.op == "add" and self.value is None:
            found.append("field Value is required for the Op add")
        if self.op == "remove" and self.value is not None:
            found.append("field Value is not supported for the Op remove")
        if found + self.resource_filter.problems():
            return found + self.resource_filter.problems()
        try:
            last = fields.steps(self.resource_filter.resource_type, self.path, debug=debug)[-1]
        except fields.BadPath as error:
            return [str(error)]
        problem = fields.value_problem(last, self.value) if self.op == "add" else ""
        return [problem] if problem else []


class PropertyOverride(Arguments, frozen=True, kw_only=True):
    """Patches, in their order."""

    debug: bool = False
    patches: tuple[Patch, ...] = ()

    def problems(self, *, debug: bool = False) -> list[str]:
        found = self.proxy_type_problems()
        if not self.patches:
            found.append("at least one patch is required")
        for at, patch in enumerate(self.patches):
            found += [f"invalid Patches[{at}]: {problem}" for problem in patch.problems(debug=self.debug)]
        return found
