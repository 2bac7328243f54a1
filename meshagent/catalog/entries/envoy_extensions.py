"""What is wrong with the extensions of an entry.

Source: surface section 7.7; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions. What may change
here: nothing for a new extension, which is a row of extensions/table.py.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import multierror
from meshagent.catalog.entries.extensions import constraints
from meshagent.catalog.entries.extensions.arguments import BadArguments, read
from meshagent.catalog.model import EnvoyExtension

__all__ = ["extension_problems"]


def extension_problems(extensions: tuple[EnvoyExtension, ...] | None) -> list[str]:
    """In Consul's words."""
    problems = []
    for at, extension in enumerate(extensions or ()):
        where = f"invalid EnvoyExtensions[{at}][{extension.name}]"
        if not extension.name:
            problems.append(f"invalid EnvoyExtensions[{at}]: Name is required")
            continue
        found = _of_one(extension)
        if isinstance(found, str):
            problems.append(f"{where}: {found}")
        elif found:
            problems.append(f"{where}: {multierror(found)}")
        for name, constraint in (
            ("EnvoyVersion", extension.envoy_version),
            ("ConsulVersion", extension.consul_version),
        ):
            if wrong := constraints.problem(constraint):
                problems.append(f"invalid EnvoyExtensions[{at}].{name}: {wrong}")
    return problems


def _of_one(extension: EnvoyExtension) -> list[str] | str:
    from meshagent.catalog.entries.extensions.table import EXTENSIONS

    kind = EXTENSIONS.get(extension.name)
    if kind is None:
        return f'name "{extension.name}" is not a built-in extension'
    try:
        return read(extension.arguments, kind).problems()
    except BadArguments as error:
        return [str(error)]
