"""From files, fragments and flags to the configuration, all problems at once.

Source: surface row G1: presets first, then files and directories in the order given, `-hcl` fragments, flags. Pure but
for reading the named files (files.py). Used by `agent`, by reload and by `validate`, so that all agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meshagent.agent.config.files import read_paths, this_host
from meshagent.agent.config.flags import flag_source
from meshagent.agent.config.merge import Draft, table_of
from meshagent.agent.config.preset import DEV, DEV_PLACE
from meshagent.agent.config.resolve import Host, fill, network
from meshagent.agent.config.root import Config
from meshagent.agent.config.rules import check
from meshagent.agent.definitions.check import CheckDefinition, ServiceCheck
from meshagent.errors import ConfigError
from meshagent.hcl import parse_hcl
from meshagent.located import Place, Table

__all__ = ["Loaded", "assemble", "load", "validate"]


#: Where options of the servers stand, for messages.
GIVEN_PLACE = Place("auto_config")


class Loaded(NamedTuple):
    """A usable configuration, and what should be told about it."""

    config: Config
    warnings: list[str]


def load(
    paths: Sequence[str] = (),
    *,
    hcl: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    dev: bool = False,
    format: str = "",
    host: Host | None = None,
    given: Mapping[str, Any] | None = None,
) -> Loaded:
    """The configuration of `paths` (files and directories), `hcl` fragments and `flags` (by option key).

    `given` are options that the servers gave (`auto_config`): everything else overrides them.

    Raises:
        ConfigError: with every problem found, each naming its file and line, and all warnings.
    """
    texts, problems, warnings = read_paths(paths, format)
    for number, fragment in enumerate(hcl, 1):
        try:
            texts.append(parse_hcl(fragment, f"flag -hcl #{number}"))
        except ConfigError as error:
            problems += error.problems
    for text in texts:
        warnings += text.warnings
    sources = [text.root for text in texts] + [flag_source(flags or {})]
    if given is not None:
        sources.insert(0, table_of(given.items(), GIVEN_PLACE))
    return assemble(sources, dev=dev, host=host or this_host(), problems=problems, warnings=warnings)


def assemble(
    sources: Sequence[Table],
    *,
    host: Host,
    dev: bool = False,
    problems: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Loaded:
    """The configuration of sources that are already read; earlier `problems` are raised with its own.

    Raises:
        ConfigError: as `load`.
    """
    draft = Draft()
    draft.problems += problems
    draft.warnings += warnings
    if dev:
        draft.add(table_of(DEV.items(), DEV_PLACE))
    for source in sources:
        draft.add(source)
    config = draft.build().replace(dev_mode=dev)
    config = config.replace(checks=tuple(_check(check) for check in config.checks))
    config = fill(config, draft, host)
    config = config.replace(network=network(config, draft, host))
    check(config, draft, host)
    found = list(dict.fromkeys(draft.warnings))
    if draft.problems:
        raise ConfigError(list(dict.fromkeys(draft.problems)), found)
    return Loaded(config, found)


def _check(given: CheckDefinition) -> CheckDefinition:
    """A check of a file, under its id: `id`, else its name."""
    if not isinstance(given, ServiceCheck):
        return given
    return given.resolved(id=given.id or given.check_id or given.name, name=given.name, service_id=given.service_id)


def validate(paths: Sequence[str], *, format: str = "", host: Host | None = None) -> list[str]:
    """All problems of the files and directories; empty if an agent would start with them."""
    try:
        load(paths, format=format, host=host)
    except ConfigError as error:
        return error.problems
    return []
