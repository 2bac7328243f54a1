"""What the leader of a secondary datacenter copies from the primary: policies, roles, tokens, config entries.

Each table is followed with blocking reads of the primary's API, over the WAN, with the replication token. A round makes
the table here equal to that there: what is not there goes, what is other is written. Local tokens stay, and
`exported-services` are every datacenter's own. A round that fails is told by `/v1/acl/replication` and in the log, and
tried again; what is here stays in force meanwhile.

Source: surface rows AC4, L30; developer.hashicorp.com/consul/docs/secure/acl/replication. What may change here: a table
is a row in `tables`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.primary import PrimaryDatacenter
from meshagent.agent.replicated import (
    config_entries,
    listed_policies,
    listed_roles,
    listed_tokens,
    one_policy,
    own_entries,
    own_policies,
    own_roles,
    own_tokens,
)
from meshagent.catalog import commands
from meshagent.errors import InternalError, MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.catalog.store import Store

__all__ = ["Replicator", "State", "Table", "tables"]

log = logging.getLogger("agent.replication")

_NEVER = "0001-01-01T00:00:00Z"
#: At most one round a second (surface row L30); after failures longer, up to half a minute.
ROUND_S, LONGEST_S = 1.0, 30.0
_WAIT = "60s"

Rows = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """`read` gives the rows of the primary's answer by key, `own` those here; rows that are equal need no write.
    `complete` makes a listed row whole, by its key. `write` and `delete` give the commands.
    """

    name: str
    path: str
    read: Callable[[bytes], Rows]
    own: Callable[[Store], Rows]
    write: Callable[[Any], commands.Command]
    delete: Callable[[Any], commands.Command]
    complete_path: str = ""
    complete: Callable[[bytes], Any] | None = None


def tables(*, acls: bool, tokens: bool) -> tuple[Table, ...]:
    """The tables that are followed, in the order in which they refer to each other."""
    found = []
    if acls:
        found += [
            Table(
                "policies", "/v1/acl/policies", listed_policies, own_policies,
                commands.AclPolicySet, commands.AclPolicyDelete, "/v1/acl/policy/", one_policy,
            ),
            Table("roles", "/v1/acl/roles", listed_roles, own_roles, commands.AclRoleSet, commands.AclRoleDelete),
        ]  # fmt: skip
    if acls and tokens:
        found.append(
            Table(
                "tokens", "/v1/acl/tokens", listed_tokens, own_tokens,
                lambda row: commands.AclTokenSet(row, replicated=True), lambda key: commands.AclTokensDelete((key,)),
            )
        )  # fmt: skip
    found.append(
        Table(
            "config-entries", "/v1/config/", config_entries, own_entries,
            commands.ConfigEntrySet, lambda key: commands.ConfigEntryDelete(*key),
        )
    )  # fmt: skip
    return tuple(found)


class State(msgspec.Struct):
    """How replication stands, as `/v1/acl/replication` tells it. `indexes` are the primary's, by table."""

    running: bool = False
    source: str = ""
    tokens: bool = False
    indexes: dict[str, int] = {}
    last_success: str = _NEVER
    last_error: str = _NEVER
    last_message: str = ""

    def shown(self) -> dict[str, Any]:
        """Consul's object."""
        return {
            "Enabled": bool(self.source),
            "Running": self.running,
            "SourceDatacenter": self.source,
            "ReplicationType": ("tokens" if self.tokens else "policies") if self.source else "",
            "ReplicatedIndex": self.indexes.get("policies", 0),
            "ReplicatedRoleIndex": self.indexes.get("roles", 0),
            "ReplicatedTokenIndex": self.indexes.get("tokens", 0),
            "LastSuccess": self.last_success,
            "LastError": self.last_error,
            "LastErrorMessage": self.last_message,
        }


class Replicator:
    """That of a server in a secondary datacenter; `follow` runs for each table while it leads."""

    def __init__(self, agent: Agent, primary: PrimaryDatacenter) -> None:
        acl = agent.config.acl
        self.tables = tables(acls=acl.enabled, tokens=acl.enable_token_replication)
        self.state = State(source=primary.name if acl.enabled else "", tokens=acl.enable_token_replication)
        self._agent = agent
        self._primary = primary

    async def follow(self, table: Table) -> None:
        """Copy a table again and again, for ever."""
        index, pause_s, told = 0, ROUND_S, ""
        self.state.running = True
        try:
            while True:
                try:
                    index = await self.round(table, index)
                except MeshError as error:
                    index, pause_s = 0, min(2 * pause_s, LONGEST_S)
                    self.state.last_error, self.state.last_message = self._now(), f"{table.name}: {error}"
                    if str(error) != told:
                        told = str(error)
                        log.warning("%s could not be copied from %s yet: %s", table.name, self._primary.name, error)
                else:
                    if told:
                        log.info("%s are copied from %s again", table.name, self._primary.name)
                    pause_s, told = ROUND_S, ""
                    self.state.last_success = self._now()
                await self._agent.clock.sleep(pause_s)
        finally:
            self.state.running = False
            self.state.indexes = {}

    async def round(self, table: Table, index: int) -> int:
        """Wait for the primary's table to be other than at `index`, and make ours equal. The primary's index.

        Raises:
            MeshError: the primary cannot be asked, or what it says cannot be written.
        """
        body, now = await self._primary.ask(table.path, f"index={index}&wait={_WAIT}" if index else "")
        if now != index:
            await self._apply(table, table.read(body))
        self.state.indexes[table.name] = now
        return now

    async def _apply(self, table: Table, there: Rows) -> None:
        here = dict(table.own(self._agent.store))
        gone = sorted(here.keys() - there.keys())  # first: a name may be taken by another row
        waiting = [*gone, *sorted(key for key, row in there.items() if row != here.get(key))]
        changed = len(waiting)
        while waiting:  # entries may be refused until those they refer to have come or gone
            refused, problem = [], None
            for key in waiting:
                try:
                    await self._agent.write_as_leader(self._dated(await self._change(table, key, there)))
                except InternalError as error:
                    refused.append(key)
                    problem = error
            if len(refused) == len(waiting) and problem is not None:
                raise problem
            waiting = refused
        if changed:
            log.info("%s were copied from %s: changes=%d", table.name, self._primary.name, changed)

    async def _change(self, table: Table, key: Any, there: Rows) -> commands.Command:
        if key not in there:
            return table.delete(key)
        if table.complete is None:
            return table.write(there[key])
        body, _ = await self._primary.ask(f"{table.complete_path}{key}", "")
        return table.write(table.complete(body))

    def _dated(self, command: commands.Command) -> commands.Command:
        """Statuses of gateways have times."""
        if isinstance(command, commands.ConfigEntrySet | commands.ConfigEntryDelete):
            return msgspec.structs.replace(command, at=self._agent.clock.now().isoformat())
        return command

    def _now(self) -> str:
        return self._agent.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
