"""The agent's configuration: every option declared once, read from files, fragments and flags.

Source: surface section 3; developer.hashicorp.com/consul/docs/agent/config. How the parts follow each other:

    files, ../hcl   texts -> keys with places          option.py  what an option is
    merge.py        sources in order -> one draft      root.py    the options (network, server, security, serving, mesh)
    resolve.py      defaults that depend on others     rules.py   what must hold as a whole
    load.py         all of it                          flags.py, reference.py   derived

To add an option, add one row to its group. Durations are seconds, as float. `Config` is frozen; a reload builds
another one and agent/reload.py tells what of it may be applied.
"""

from meshagent.agent.config.flags import Flag, flag_source, flags
from meshagent.agent.config.load import Loaded, assemble, load, validate
from meshagent.agent.config.merge import table_of
from meshagent.agent.config.option import Group, Option
from meshagent.agent.config.reference import reference, shown
from meshagent.agent.config.resolve import Host
from meshagent.agent.config.resolved import Listen, Network
from meshagent.agent.config.root import Config
from meshagent.agent.config.watches import HttpHandler, Watch

__all__ = [
    "Config",
    "Flag",
    "Group",
    "Host",
    "HttpHandler",
    "Listen",
    "Loaded",
    "Network",
    "Option",
    "Watch",
    "assemble",
    "flag_source",
    "flags",
    "load",
    "reference",
    "shown",
    "table_of",
    "validate",
]
