"""What a mesh gateway does, as values of a snapshot: which server name leads where.

Source: surface rows M44, X18. Pure. What may change here: fields are added with a default.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.connect.gateways.addresses import Bind

__all__ = ["MeshGateway"]


class MeshGateway(msgspec.Struct, frozen=True, tag="mesh"):
    """Where it listens. `routes` lead from a server name, exact, to the key of an upstream; `suffixes` from the end of
    one (`.dc2.internal.<trust domain>`)."""

    binds: tuple[Bind, ...]
    routes: dict[str, str] = {}
    suffixes: dict[str, str] = {}

    def shown(self) -> Any:
        """As builtins; there is nothing secret."""
        return msgspec.to_builtins(self)

    def upstream(self, server_name: str) -> str:
        """The key of the upstream that a server name leads to; "" for none."""
        found = self.routes.get(server_name)
        if found is not None:
            return found
        return next((key for suffix, key in self.suffixes.items() if server_name.endswith(suffix)), "")
