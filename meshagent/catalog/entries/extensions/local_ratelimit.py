"""`builtin/http/localratelimit`: so many requests at a time, counted by each proxy.

Source: Consul's release notes of 1.15 (the extension has no page of its own); surface row M86. What may change here:
nothing that entries have.
"""

from __future__ import annotations

from meshagent.catalog.entries.extensions.arguments import Arguments

__all__ = ["LocalRateLimit"]


class LocalRateLimit(Arguments, frozen=True, kw_only=True):
    """`tokens_per_fill` come every `fill_interval` seconds, up to `max_tokens`; the others are percents of requests."""

    max_tokens: int | None = None
    tokens_per_fill: int | None = None
    fill_interval: int | None = None
    filter_enabled: int | None = None
    filter_enforced: int | None = None

    def problems(self, *, debug: bool = False) -> list[str]:
        found = self.proxy_type_problems()
        if not self.fill_interval or self.fill_interval < 0:
            found.append("FillInterval(in second) must be greater than 0")
        if not self.max_tokens or self.max_tokens < 0:
            found.append("MaxTokens must be greater than 0")
        if self.tokens_per_fill is not None and self.tokens_per_fill <= 0:
            found.append("TokensPerFill must be greater than 0")
        for name, value in (("FilterEnabled", self.filter_enabled), ("FilterEnforced", self.filter_enforced)):
            if value is not None and not 0 <= value <= 100:
                found.append(f"cannot set {name} to {value}, it must be between 0 and 100")
        return found
