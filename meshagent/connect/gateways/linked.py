"""What a terminating gateway does, as values of a snapshot: services outside the mesh that it speaks for.

Source: surface rows M28, X17. Pure. What may change here: fields are added with a default.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.connect.gateways.addresses import Bind
from meshagent.connect.intentions import Intention

__all__ = ["LinkedService", "TerminatingGateway"]


class LinkedService(msgspec.Struct, frozen=True):
    """A service behind the gateway. `upstreams` are keys of outbounds by server name: the service, then its subsets.

    With `ca_file` the gateway speaks TLS to it; the files are on the gateway's host. `leaf_chain` is "" without a leaf.
    """

    service: str
    protocol: str
    intentions: tuple[Intention, ...]
    upstreams: dict[str, str]
    leaf_chain: str = ""
    leaf_key: str = ""
    leaf_valid: tuple[str, str] = ("", "")
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    sni: str = ""
    #: Requests name the instance's host in place of the caller's.
    rewrite_host: bool = True


class TerminatingGateway(msgspec.Struct, frozen=True, tag="terminating"):
    """Where it listens, and what is behind it, by name."""

    binds: tuple[Bind, ...]
    services: tuple[LinkedService, ...] = ()

    def shown(self) -> Any:
        """As builtins, without private keys."""
        hidden = [msgspec.structs.replace(one, leaf_key="hidden" if one.leaf_key else "") for one in self.services]
        return msgspec.to_builtins(msgspec.structs.replace(self, services=tuple(hidden)))
