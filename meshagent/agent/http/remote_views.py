"""The views of a client agent: what it follows at the servers, held as encoded answers.

To whoever reads, a `RemoteView` is a `View`: it has a body and an index, wakes those who wait, and is served as bytes.
It is made anew by what a server sends, not by reading a store. One question is followed once, whoever asks.

Source: agent/rpc/README.md; surface rows C11-C13, C19. What may be changed: when a question is followed, and how long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from meshagent.agent.http.forwarding import target_of
from meshagent.agent.http.response import JSON
from meshagent.agent.http.views import CONTROL, View, Views, view_key
from meshagent.agent.rpc.messages import HTTP, MAX_QUESTION_CHARS, Question
from meshagent.dns.cache import Seen
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.http.request import Request
    from meshagent.agent.http.routes import Route
    from meshagent.agent.rpc.held import Held
    from meshagent.agent.rpc.upstream import Upstream

__all__ = ["IDLE_S", "RemoteView", "RemoteViews", "followable", "question_of"]

#: What nobody asked for or waits on for one to two times this is not followed any longer.
IDLE_S = 120.0
#: Spellings of questions that are remembered.
MAX_SPELLINGS = 4096


class RemoteView(View):
    """One followed question."""

    __slots__ = ("_held", "_remote")

    def __init__(self, views: RemoteViews, key: tuple[object, ...], route: Route, request: Request, held: Held) -> None:
        super().__init__(views, key, route, request)
        self._remote = views
        self._held = held
        held.listeners[self._changed] = None

    def refresh(self) -> None:
        """Take over what was sent last. Raises the MeshError with which the servers refuse the question."""
        if self.fresh:
            return
        held = self._held
        if held.error is not None:
            raise type(held.error)(str(held.error))
        self.status = held.status
        self.content_type = JSON if held.content_type == JSON else held.content_type
        self.headers = held.headers
        self.body = held.body
        self.bare = held.bare
        self.row_index = held.index or 1
        self.fresh = True
        self.version += 1
        self._views._resized(self, len(self.body))

    def close(self) -> None:
        """Follow it no longer."""
        self._held.listeners.pop(self._changed, None)
        self._remote.unfollow(self._held)
        super().close()


class RemoteViews(Views):
    """All views of one client agent."""

    def __init__(self, agent: Agent, upstream: Upstream) -> None:
        super().__init__(agent)
        self._upstream = upstream
        self._seen = Seen(8192)
        self._questions: dict[tuple[object, ...], Question] = {}

    def question(self, route: Route, request: Request, token: str = "") -> Question:
        """As `question_of`; the same object when it is asked in the same spelling again."""
        key = (view_key(route, request), token)
        question = self._questions.get(key)
        if question is None:
            if len(self._questions) >= MAX_SPELLINGS:
                self._questions.clear()
            question = self._questions[key] = question_of(route, request, token=token)
        return question

    def find(self, question: Question) -> View | None:
        """The view of a question that is followed already."""
        view = self._views.get((question,))
        if view is not None:
            view.used = True
            view.refresh()
        return view

    def wanted(self, question: Question) -> bool:
        """Whether a question has been asked before, lately: then it is worth following."""
        return self._seen.before(question)

    async def follow(self, route: Route, request: Request, question: Question, timeout_s: float) -> View:
        """The view of a question, followed from now on.

        Raises:
            Timeout: its first answer has not come within `timeout_s`.
            MeshError: the servers refuse it.
        """
        held = self._upstream.holdings.follow(question)
        try:
            await self._upstream.first_answer(held, timeout_s)
            view = self._views.get((question,))
            if view is None:
                view = RemoteView(self, (question,), route, request, held)
                try:
                    view.refresh()
                except MeshError:
                    view.close()
                    raise
                self._views[question,] = view
                self._bound()
        except BaseException:
            self.unfollow(held)
            raise
        view.used = True
        view.refresh()
        return view

    def sweep(self) -> None:
        """Let go of what was not used since the last call but one; to be called every `IDLE_S`."""
        for view in list(self._views.values()):
            if view.awaited or view.used:
                view.used = False
            else:
                self._forget(view)

    def unfollow(self, held: Held) -> None:
        """Follow it no longer, unless somebody else listens."""
        if not held.listeners:
            self._upstream.holdings.drop(held)


def question_of(route: Route, request: Request, *, token: str = "") -> Question:
    """What is asked, in one spelling: without what says how to answer, parameters in order of their names."""
    query = request.query
    pairs = [
        f"{quote(name, safe='')}={quote(value, safe='')}" if value else quote(name, safe="")
        for name in sorted(query.names())
        if name not in CONTROL
        for value in query.all(name)
    ]
    target = target_of(route, request, "&".join(pairs))
    return Question(HTTP, target, request.remote if query.get("near") == "_ip" else "", token)


def followable(question: Question) -> bool:
    """Whether servers take a question of that length."""
    return len(question.target) <= MAX_QUESTION_CHARS
