"""Config entries of the configuration: a leader writes those that are not there (`config_entries.bootstrap`).

A leader does when it is elected and with each reload. They are checked when the agent starts or reloads, so that a
mistake is told with its place in the list and not when somebody is elected. One that exists is never changed: whoever
edited it since knows better.

Source: surface row G23; developer.hashicorp.com/consul/docs/agent/config/config-files#config_entries. What may change
here: nothing that a configuration file says.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from meshagent.catalog.commands import ConfigEntrySet
from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.table import check, parse
from meshagent.errors import ConfigError, MeshError

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.agent.core import Agent
    from meshagent.catalog.entries.table import ConfigEntry

__all__ = ["bootstrap_entries", "entries_of"]

log = logging.getLogger("agent.server")


def entries_of(config: Config) -> list[Entry]:
    """The entries in their order.

    Raises:
        ConfigError: some cannot be used; all of them are named.
    """
    found: list[Entry] = []
    problems: list[str] = []
    for number, raw in enumerate(config.config_entries.bootstrap):
        try:
            entry = parse(dict(raw))
            check(entry)
        except MeshError as error:
            problems.append(f"config_entries.bootstrap[{number}]: {error}")
        else:
            found.append(entry)
    if problems:
        raise ConfigError(problems)
    return found


async def bootstrap_entries(agent: Agent, config: Config) -> None:
    """Write those that are not there; one that does not fit what is there is logged, and the others are written."""
    entries = entries_of(config)
    if agent.extras.get("primary"):
        return  # entries are copied from there
    for entry in entries:
        if agent.store.config.get(entry.kind, entry.name) is not None:
            continue
        try:
            command = ConfigEntrySet(cast("ConfigEntry", entry), 0, agent.clock.now().isoformat())
            await agent.write_as_leader(command)
        except MeshError as error:
            log.error(
                "config entry of the configuration refused: kind=%s name=%s error=%s", entry.kind, entry.name, error
            )
        else:
            log.info("config entry made: kind=%s name=%s", entry.kind, entry.name)
