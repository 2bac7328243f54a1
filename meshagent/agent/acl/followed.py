"""What client agents follow at a server, with ACLs on: each question is answered for the token it came with.

A question is judged anew whenever its answer is made anew, and again when what its token may do changes. One that is
refused stays refused until a token, policy or role changes.

Source: agent/rpc/README.md; surface rows L28, C18. What may change here: nothing that lets more through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.acl.resolver import Identity, Resolver
from meshagent.agent.http.views import View, Views
from meshagent.agent.rpc.shared import ACL_TOPICS
from meshagent.errors import Denied

if TYPE_CHECKING:
    from meshagent.agent.http.request import Request
    from meshagent.agent.http.routes import Route

__all__ = ["FollowedView"]


class FollowedView(View):
    """A view of one question of one token."""

    __slots__ = ("_guarded", "_identity", "_resolver")

    def __init__(self, views: Views, route: Route, request: Request, resolver: Resolver) -> None:
        super().__init__(views, (), route, request)
        self._resolver = resolver
        self._guarded = route.guard
        self._identity: Identity | None = None

    def refresh(self) -> None:
        """Make the answer anew if it is not fresh. Raises Denied, and what the question itself is refused with."""
        if self.fresh:
            return
        try:
            identity = self._resolver.resolve(self.request.token)
            self.request.access = identity.access
            if self._guarded is not None:
                self._guarded(self._agent, self.request)
        except Denied:
            if self._subscription is None or not self._subscription.active:
                self._subscription = self._agent.store.watches.subscribe(ACL_TOPICS, self._changed)
            raise
        if identity is not self._identity:
            self._identity = identity
            identity.listeners.append(self._judge_anew)
        if self._subscription is not None:
            self._subscription.cancel()
        super().refresh()

    def close(self) -> None:
        """Forget what is held."""
        self._identity = None
        super().close()

    def _judge_anew(self) -> None:
        if self._identity is None:
            return
        self._identity = None
        if self._subscription is not None:
            self._subscription.cancel()
        self._changed()
