"""Names of extensions that concern somebody else than the proxy of their own service.

Source: surface row M85. What may change here: a name for a new extension of that kind.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshagent.catalog.model import EnvoyExtension

__all__ = ["OF_A_SERVICE", "of_a_service"]

#: In `service-defaults` of a service they change those who call it.
OF_A_SERVICE = frozenset({"builtin/aws/lambda"})


def of_a_service(extensions: Iterable[EnvoyExtension]) -> tuple[EnvoyExtension, ...]:
    """Those that change who calls the service."""
    return tuple(one for one in extensions if one.name in OF_A_SERVICE)
