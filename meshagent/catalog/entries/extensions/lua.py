"""`builtin/lua`: a script that sees requests and answers.

Source: surface row M80; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions/usage/lua. The smallest
example of an extension: copy it. What may change here: nothing that entries have.
"""

from __future__ import annotations

from meshagent.catalog.entries.extensions.arguments import Arguments, one_of

__all__ = ["Lua"]


class Lua(Arguments, frozen=True, kw_only=True):
    """`listener` is inbound or outbound."""

    listener: str = ""
    script: str = ""

    def problems(self, *, debug: bool = False) -> list[str]:
        found = [] if self.script else ["missing Script value"]
        found += self.proxy_type_problems("api-gateway")
        return found + one_of("Listener", self.listener, ("inbound", "outbound"))
