"""What each extension does, a row each.

Source: surface rows M80-M86. What may change here: a row for a new extension; the type of its arguments is a row of
catalog/entries/extensions/table.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.connect.envoy.extensions import (
    aws_lambda,
    ext_authz,
    local_ratelimit,
    lua,
    otel_access_logging,
    property_override,
    wasm,
)
from meshagent.connect.envoy.extensions.context import Context

__all__ = ["OF_A_SERVICE", "OF_THE_PROXY"]

#: Those of a proxy's own service: (arguments, context).
OF_THE_PROXY: dict[str, Callable[[Any, Context], None]] = {
    "builtin/ext-authz": ext_authz.patch,
    "builtin/http/localratelimit": local_ratelimit.patch,
    "builtin/lua": lua.patch,
    "builtin/otel-access-logging": otel_access_logging.patch,
    "builtin/property-override": property_override.patch,
    "builtin/wasm": wasm.patch,
}
#: Those of a service that others call: (arguments, context, service).
OF_A_SERVICE: dict[str, Callable[[Any, Context, str], None]] = {
    "builtin/aws/lambda": aws_lambda.patch,
}
