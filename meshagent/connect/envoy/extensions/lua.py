"""`builtin/lua` at work. The smallest example of an extension: copy it.

Source: surface row M80; envoyproxy.io "Lua" filter; the recorded filters. What may change here: nothing recorded.
"""

from __future__ import annotations

from meshagent.catalog.entries.extensions.lua import Lua
from meshagent.connect.envoy.extensions.context import Context
from meshagent.connect.envoy.extensions.insertion import before_last
from meshagent.connect.envoy.resources import typed

__all__ = ["patch"]

_FILTER = "envoy.extensions.filters.http.lua.v3.Lua"


def patch(arguments: Lua, context: Context) -> None:
    """The script runs in front of the router of each connection manager of its direction."""
    for manager in context.managers(arguments.listener):
        code = typed(_FILTER, {"default_source_code": {"inline_string": arguments.script}})
        before_last(manager["http_filters"], {"name": "envoy.filters.http.lua", "typed_config": code})
