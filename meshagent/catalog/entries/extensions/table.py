"""Every extension of Envoy, a row each: its name and the type of its arguments.

Source: surface rows M80-M86. What may change here: a row for a new extension; what it does is a row of
connect/envoy/extensions/table.py.
"""

from __future__ import annotations

from meshagent.catalog.entries.extensions.arguments import Arguments
from meshagent.catalog.entries.extensions.aws_lambda import Lambda
from meshagent.catalog.entries.extensions.ext_authz import ExtAuthz
from meshagent.catalog.entries.extensions.local_ratelimit import LocalRateLimit
from meshagent.catalog.entries.extensions.lua import Lua
from meshagent.catalog.entries.extensions.otel_access_logging import OtelAccessLogging
from meshagent.catalog.entries.extensions.property_override import PropertyOverride
from meshagent.catalog.entries.extensions.wasm import Wasm

__all__ = ["EXTENSIONS"]

EXTENSIONS: dict[str, type[Arguments]] = {
    "builtin/aws/lambda": Lambda,
    "builtin/ext-authz": ExtAuthz,
    "builtin/http/localratelimit": LocalRateLimit,
    "builtin/lua": Lua,
    "builtin/otel-access-logging": OtelAccessLogging,
    "builtin/property-override": PropertyOverride,
    "builtin/wasm": Wasm,
}
