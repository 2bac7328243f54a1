"""What a request would need, and which rule decides: the request is put to its own handler, which is stopped before it
does anything.

Every handler asks `Request.access` before it changes something; here it is given an access that writes the questions
down, and an agent that can only be read. So the explanation is what enforcement does, not a second telling of it.

Source: ours. What may change here: nothing that lets a handler act.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from meshagent.agent.acl.access import Access
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.granted import granted, rules_of
from meshagent.catalog.acl.model import Token
from meshagent.catalog.acl.tables import AclTables
from meshagent.errors import Denied, MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.http.request import Request
    from meshagent.agent.http.routes import Route

__all__ = ["Explained", "Question", "explain", "holders"]

#: What a handler may read of the local registrations.
_LOCAL = frozenset({"services", "checks", "checks_of", "node_name", "datacenter", "node", "settings"})


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that was asked of the token."""

    resource: str
    access: str
    name: str
    allowed: bool
    reason: str


@dataclass(slots=True)
class Explained:
    """All questions in order; `note` says what is not a matter of the token."""

    allowed: bool = True
    questions: list[Question] = field(default_factory=list)
    note: str = ""


class _Acts(Exception):
    """The handler is about to do something: all its questions have been asked."""


class _Sealed:
    """Something of the agent that must not be touched."""

    def __getattr__(self, name: str) -> Any:
        raise _Acts

    def __getitem__(self, name: object) -> Any:
        raise _Acts


class _Local:
    """The local registrations, to be read only."""

    def __init__(self, local: Any) -> None:
        self._inner = local

    def __getattr__(self, name: str) -> Any:
        if name not in _LOCAL:
            raise _Acts
        return getattr(self._inner, name)


class _Extras(dict[str, Any]):
    """Parts of the agent, none of which may be used."""

    def __missing__(self, name: str) -> Any:
        return _Sealed()


class _Log:
    """The log: where it stands may be read."""

    def __init__(self, log: Any) -> None:
        self.is_leader = log.is_leader
        self.leader = log.leader
        self.has_heard = log.has_heard
        self.last_contact_ms = log.last_contact_ms

    async def read_barrier(self, *, consistent: bool = False) -> None:
        return

    def __getattr__(self, name: str) -> Any:
        raise _Acts


def _readable(agent: Agent) -> Any:
    async def act(*_: Any, **__: Any) -> Any:
        raise _Acts

    return SimpleNamespace(
        config=agent.config,
        clock=agent.clock,
        rng=agent.rng,
        metrics=_Ignored(),
        logs=_Sealed(),
        tasks=_Sealed(),
        store=agent.store,
        log=_Log(agent.log),
        local=_Local(agent.local),
        node_name=agent.node_name,
        node_id=agent.node_id,
        datacenter=agent.datacenter,
        lifecycle=_Sealed(),
        upstream=None,
        extras=_Extras(),
        sessions=_Sealed(),
        write=act,
        write_own=act,
        write_as_leader=act,
        new_id=lambda: "00000000-0000-4000-8000-000000000000",
    )


class _Ignored:
    """Metrics of a request that is none."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class _Asked(Access):
    """Writes the questions down."""

    __slots__ = ("found",)

    def __init__(self, inner: Access, found: Explained) -> None:
        super().__init__(inner.authorizer, inner.accessor, anonymous=inner.anonymous)
        self.found = found

    @property
    def sees_all(self) -> bool:
        """Never: a handler that need not ask would not say what it needs."""
        return False

    def require(self, resource: str, access: str, name: str = "", *, bare: bool = False) -> None:
        decision = self.authorizer.decide(resource, name, access)
        self.found.questions.append(Question(resource, access, name, decision.allowed, decision.reason))
        if not decision.allowed:
            raise self.denied(resource, access, name, bare=bare)

    def require_tree(self, resource: str, prefix: str, access: str = "write") -> None:
        allowed = self.authorizer.allows_tree(resource, prefix, access)
        reason = "the rule that covers the prefix and every rule below it " + ("allow" if allowed else "do not allow")
        self.found.questions.append(Question(f"{resource}_prefix", access, prefix, allowed, f"{reason} it"))
        if not allowed:
            raise self.denied(resource, access, prefix)


async def explain(agent: Agent, route: Route, request: Request, access: Access) -> Explained:
    """What `request` to `route` asks of `access`. Nothing is carried out."""
    found = Explained()
    request.access = _Asked(access, found)
    readable = _readable(agent)
    try:
        if route.guard is not None:
            route.guard(readable, request)
        if route.asks:
            if route.read is not None:
                route.read(readable, request)
            elif route.handle is not None:
                await route.handle(readable, request)
    except _Acts:
        pass
    except Denied as error:
        found.allowed = all(question.allowed for question in found.questions) and not found.questions
        if found.allowed:  # refused without a question: the token itself does not do
            found.allowed = False
        found.note = str(error)
    except MeshError as error:
        found.note = f"it would be refused whatever the token: {error}"
    if not found.note:
        if route.visible is not None:
            found.note = "rows that the token may not see are left out of the answer"
        elif route.open:
            found.note = "it needs no token"
    return found


def holders(tables: AclTables, token: Token | None, datacenter: str, question: Question) -> list[str]:
    """The names of the token's policies that say so."""
    if token is None:
        return []
    resource = question.resource.removesuffix("_prefix")
    names = []
    for policy in granted(tables, token).policies:
        rules = rules_of((policy,), datacenter)
        decided = Authorizer(rules).decide(resource, question.name, question.access)
        if decided.reason == question.reason:
            names.append(policy.description if policy.name.startswith("synthetic-policy-") else policy.name)
    return names
