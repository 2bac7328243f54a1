"""`service-splitter`: shares of a service's traffic.

Source: surface row M24; developer.hashicorp.com/consul/docs/connect/config-entries/service-splitter. What may change
here: fields are added with a default.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import Entry, HeaderModifiers, Part, changed, required
from meshagent.catalog.model import always

__all__ = ["ServiceSplitter", "Split"]


class Split(Part, frozen=True, kw_only=True):
    """One share in percent, in steps of 0.01; an empty service is the splitter's own."""

    weight: float | int = always(0)
    service: str = ""
    service_subset: str = ""
    namespace: str = ""
    partition: str = ""
    request_headers: HeaderModifiers | None = None
    response_headers: HeaderModifiers | None = None

    @property
    def hundredths(self) -> int:
        """The weight in steps of 0.01 percent."""
        return round(self.weight * 100)


class ServiceSplitter(Entry, frozen=True, kw_only=True, tag="service-splitter"):
    """Shares of the service `name`; they sum to 100."""

    splits: tuple[Split, ...] | None = None

    def normalised(self) -> ServiceSplitter:
        splits = tuple(changed(split, weight=_percent(split.hundredths)) for split in self.splits or ())
        result: ServiceSplitter = changed(self, splits=splits)
        return result

    def problem(self) -> str:
        if not self.name:
            return required(self.name)
        if not self.splits:
            return "no splits configured"
        seen = set()
        for split in self.splits:
            key = (split.service or self.name, split.service_subset)
            if key in seen:
                return (
                    f'split destination occurs more than once: service="{key[0]}", subset="{key[1]}", '
                    'namespace="", partition=""'
                )
            seen.add(key)
        total = sum(split.hundredths for split in self.splits)
        return "" if total == 10_000 else f"the sum of all split weights must be 100, not {total / 100:f}"

    def related(self) -> frozenset[str]:
        return frozenset({split.service for split in self.splits or ()} - {"", self.name})


def _percent(hundredths: int) -> float | int:
    return hundredths // 100 if hundredths % 100 == 0 else hundredths / 100
