"""Names of extensions that concern somebody else than the proxy of their own service.

Source: surface row M85. What may change here: a name for a new extension of that kind.
"""

from __future__ import annotations

__all__ = ["OF_A_SERVICE"]

#: In `service-defaults` of a service they change those who call it.
OF_A_SERVICE = frozenset({"builtin/aws/lambda"})
