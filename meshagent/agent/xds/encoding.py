"""Resources as bytes, each made once: those that several proxies have alike are one object. No I/O.

What Envoy's message types do not know (an operator's escape hatch) is left out, with the reason; a proxy that had an
earlier one keeps that.

Source: design.md "The hot paths serve bytes". What may change here: how bytes are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakValueDictionary

from meshagent.agent.xds.messages import encode_resource
from meshagent.connect.envoy.resources import ORDER, Resources
from meshagent.connect.envoy.versioned import Versioned, VersionedResources
from meshagent.errors import BadRequest

__all__ = ["Encoder"]


class Encoder:
    """The resources of all proxies of an agent."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[str, str, str], Versioned] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._known)

    def prepare(self, resources: Resources, before: VersionedResources) -> tuple[VersionedResources, dict[str, str]]:
        """(all resources with versions and bytes, what is wrong with those that cannot be sent by name)."""
        found: dict[str, dict[str, Versioned]] = {}
        problems: dict[str, str] = {}
        for type_url in ORDER:
            held: Mapping[str, Versioned] = before.get(type_url, {})
            made = found[type_url] = {}
            for name, resource in resources.of(type_url).items():
                one = Versioned(resource)
                try:
                    made[name] = self._encoded(type_url, name, one)
                except BadRequest as error:
                    problems[name] = str(error)
                    if name in held:
                        made[name] = held[name]
        return found, problems

    def _encoded(self, type_url: str, name: str, one: Versioned) -> Versioned:
        key = type_url, name, one.version
        known = self._known.get(key)
        if known is None:
            from meshagent.connect.envoy.wire import encode  # protobuf comes with the first proxy

            one.encoded = encode_resource(type_url, name, one.version, encode(one.resource, type_url))
            one.forget()
            known = self._known[key] = one
        return known
