"""What DNS is answered from on a client agent: the rows it follows, as `dns/view.py` wants to see them.

Source: as `dns/view.py`. A read of something that has not come yet raises `NotYet`; the edge waits and asks again.

What may be changed: a read another kind of name needs, with its question in `questions.py`.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.rpc import questions
from meshagent.agent.rpc.rows import Rows
from meshagent.catalog.model import Node, ServiceEntry
from meshagent.catalog.watch import Topic, Watches
from meshagent.dns.view import QueryAnswer, query_answer, usable, usable_gateways
from meshagent.dns.wire import packed_address

__all__ = ["RemoteNames"]

Topics = tuple[Topic, ...]


class RemoteNames:
    """A `dns.view.NamesView` over followed rows."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.named_nodes: dict[tuple[str, int, str], tuple[Node, Any, Any]] = {}

    @property
    def watches(self) -> Watches:
        """What tells of changed topics."""
        return self._rows.watches

    def instances(
        self, name: str, tag: str, *, connect: bool, only_passing: bool
    ) -> tuple[list[tuple[ServiceEntry, int]], Topics]:
        """As `CatalogView.instances`."""
        entries, topic = self._rows.need(questions.CONNECT if connect else questions.SERVICE, name)
        return usable(entries, tag, only_passing=only_passing), (topic,)

    def ingress(self, name: str, *, only_passing: bool) -> tuple[list[tuple[ServiceEntry, int]], Topics]:
        """As `CatalogView.ingress`."""
        entries, topic = self._rows.need(questions.INGRESS, name)
        if only_passing:
            entries = [entry for entry in entries if all(check.status == "passing" for check in entry.checks)]
        return usable_gateways(entries), (topic,)

    def virtual_ip(self, name: str) -> tuple[bytes | None, Topics]:
        """As `CatalogView.virtual_ip`."""
        text, topic = self._rows.need(questions.VIRTUAL_IP, name)
        return packed_address(text) if text else None, (topic,)

    def query(self, name: str) -> QueryAnswer | None:
        """As `CatalogView.query`; the order by distance is that from this agent's node."""
        found, topic = self._rows.need(questions.QUERY, name)
        if found is None:
            return None
        return query_answer(found.entries, (topic,), found.service, found.ttl, ordered=found.ordered)

    def node(self, name: str) -> tuple[Node | None, Topics]:
        """As `CatalogView.node`."""
        found, topic = self._rows.need(questions.NODE, name)
        return found, (topic,)

    def names_at(self, address: str) -> tuple[str, str, Topics]:
        """As `CatalogView.names_at`."""
        found, topic = self._rows.need(questions.ADDRESS, address)
        return found.node, found.service, (topic,)
