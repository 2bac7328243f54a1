"""Prepared queries: definitions by id, found by name or by the longest prefix of a template.

Source: surface rows PQ1-PQ5; developer.hashicorp.com/consul/api-docs/query. Names match without regard to case. A
query bound to a session goes with it: `session_gone` is called when one ends.

What may change here: what else a definition may hold (`model.PreparedQuery`), with a check in `validate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from meshagent.catalog import query_templates
from meshagent.catalog.model import PreparedQuery
from meshagent.catalog.undo import Undo
from meshagent.catalog.watch import Watches
from meshagent.durations import parse_duration
from meshagent.errors import InternalError
from meshagent.ids import is_uuid

__all__ = ["PreparedQueries", "validate"]


class PreparedQueries:
    """The definitions of one datacenter. The topic of all of them is `prepared-queries`."""

    def __init__(self, watches: Watches, undo: Undo) -> None:
        self._watches = watches
        self._undo = undo
        self.rows: dict[str, PreparedQuery] = {}
        self.index = 0
        self._by_name: dict[str, str] = {}
        self._templates: dict[str, str] = {}
        self._by_session: dict[str, set[str]] = {}

    def set(self, query: PreparedQuery, index: int, has_session: Callable[[str], bool]) -> None:
        """Create or replace a definition.

        Raises:
            InternalError: the name is taken, the session does not exist, or the template is broken.
        """
        self._refuse_alias(query)
        if query.session and not has_session(query.session):
            raise InternalError(f'invalid session "{query.session}"')
        if query_templates.is_template(query):
            try:
                query_templates.check(query)
            except ValueError as error:
                raise InternalError(f"failed compiling template: {error}") from None
        old = self.rows.get(query.id)
        created = index if old is None else old.create_index
        self._store(query.id, msgspec.structs.replace(query, create_index=created, modify_index=index), index)

    def _refuse_alias(self, query: PreparedQuery) -> None:
        name = query.name.lower()
        if query_templates.is_template(query) and not name:
            holder = self._templates.get("")
            if holder is not None and holder != query.id:
                raise InternalError("a query template with an empty name already exists")
        if not name:
            return
        if self._by_name.get(name, query.id) != query.id:
            raise InternalError(f"name '{query.name}' aliases an existing query name")
        if name in self.rows:
            raise InternalError(f"name '{query.name}' aliases an existing query ID")

    def delete(self, query_id: str, index: int) -> None:
        """Forget a definition."""
        if query_id in self.rows:
            self._store(query_id, None, index)

    def session_gone(self, session: str, index: int) -> None:
        """The session has ended: what was bound to it goes."""
        for query_id in sorted(self._by_session.get(session, ())):
            self.delete(query_id, index)

    def load(self, rows: Iterable[PreparedQuery]) -> None:
        """Fill the table from a snapshot."""
        for query in rows:
            self._link(query)

    def resolve(self, name_or_id: str, segment: str = "") -> PreparedQuery | None:
        """The definition that answers for a name or id: itself, or what the longest matching template gives.

        Raises:
            InternalError: the id of a template, which has no name to be filled with.
        """
        query = self.rows.get(name_or_id.lower()) if is_uuid(name_or_id) else None
        if query is not None:
            if query_templates.is_template(query):
                raise InternalError("prepared query templates can only be resolved up by name, not by ID")
            return query
        name = name_or_id.lower()
        named = self._by_name.get(name)
        if named is not None and not query_templates.is_template(self.rows[named]):
            return self.rows[named]
        for length in range(len(name), -1, -1):
            template = self._templates.get(name[:length])
            if template is not None:
                return query_templates.render(self.rows[template], name_or_id, segment)
        return None

    def named(self, name_or_id: str) -> PreparedQuery | None:
        """As `resolve`, None also for the id of a template."""
        try:
            return self.resolve(name_or_id)
        except InternalError:
            return None

    def _store(self, query_id: str, row: PreparedQuery | None, index: int) -> None:
        """Put `row` in its place, or nothing."""
        old = self.rows.get(query_id)
        self._undo.note(self._store, query_id, old, self.index)
        if old is not None:
            self._unlink(old)
        if row is not None:
            self._link(row)
        self.index = index
        self._watches.notify("prepared-queries")

    def _link(self, query: PreparedQuery) -> None:
        self.rows[query.id] = query
        name = query.name.lower()
        if name:
            self._by_name[name] = query.id
        if query_templates.is_template(query):
            self._templates[name] = query.id
        if query.session:
            self._by_session.setdefault(query.session, set()).add(query.id)

    def _unlink(self, query: PreparedQuery) -> None:
        del self.rows[query.id]
        name = query.name.lower()
        for names in (self._by_name, self._templates):
            if names.get(name) == query.id:
                del names[name]
        if query.session:
            bound = self._by_session[query.session]
            bound.discard(query.id)
            if not bound:
                del self._by_session[query.session]


def validate(query: PreparedQuery) -> None:
    """Check what needs no other state; `PreparedQueries.set` checks the rest.

    Raises:
        InternalError: with Consul's words behind `Invalid prepared query: `.
    """
    problem = _problem(query)
    if problem:
        raise InternalError(f"Invalid prepared query: {problem}")


def _problem(query: PreparedQuery) -> str:
    service, failover = query.service, query.service.failover
    if not query.name and not query.session and not query_templates.is_template(query):
        return "Must be bound to a session"
    if query.token == "<hidden>":  # noqa: S105  what a reader without rights is shown
        return f"Bad Token '{query.token}', it looks like a query definition with a redacted token was submitted"
    if not service.service:
        return "Must provide a Service name to query"
    if failover.nearest_n < 0:
        return f"Bad NearestN '{failover.nearest_n}', must be >= 0"
    if failover.targets and (failover.nearest_n or failover.datacenters):
        return "Targets cannot be populated with NearestN or Datacenters"
    for meta in (service.node_meta, service.service_meta):
        for key, value in (meta or {}).items():
            if not key:
                return f"Couldn't load metadata pair ('', '{value}'): Key cannot be blank"
    if query.dns.ttl:
        try:
            ttl_ns = parse_duration(query.dns.ttl)
        except ValueError as error:
            return f"Bad DNS TTL '{query.dns.ttl}': {error}"
        if ttl_ns < 0:
            return f"DNS TTL '{ttl_ns}', must be >=0"
    return ""
