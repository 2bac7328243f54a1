"""I/O edge: what a server does for client agents: answers their HTTP requests, and keeps their views up to date.

Source: README.md beside this file; surface rows C11-C20. Every method runs on any server. A request is answered by the
same route table as a local one, without the guards that belong to the agent that was asked (`block_endpoints`,
`allow_write_http_from`, headers).

What may be changed: a method is a row in `client_methods`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

from meshagent.agent.acl.access import Access
from meshagent.agent.acl.followed import FollowedView
from meshagent.agent.acl.registering import require_command
from meshagent.agent.acl.remote import METHOD as ACL_RESOLVE
from meshagent.agent.acl.remote import resolve_method
from meshagent.agent.http.dispatch import Dispatcher, Incoming, Outcome
from meshagent.agent.http.intention_shapes import default_of
from meshagent.agent.http.request import Request, parse_query, unescape
from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.target import parse_target
from meshagent.agent.http.views import View
from meshagent.agent.http.wire import header_block, status_line
from meshagent.agent.rpc import messages
from meshagent.agent.rpc.feed import Feed
from meshagent.agent.rpc.messages import Answered, Forwarded, Once, Part, Question, Standing, Unwatch, WatchBatch, Write
from meshagent.agent.rpc.questions import QUESTIONS
from meshagent.agent.rpc.registering import checked_command
from meshagent.agent.rpc.shared import Answer, Refused, RowSource, Shared
from meshagent.agent.rpc.uploads import Uploads
from meshagent.agent.write_ids import writing_as
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.rpc.hello import Peer
from meshagent.catalog.rpc.link import Handler
from meshagent.catalog.rpc.writes import encode_index, encode_outcomes
from meshagent.errors import BadRequest, MeshError, NotFound, TooLarge, Unavailable

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import ServerGuardian
    from meshagent.agent.core import Agent
    from meshagent.agent.http.settings import HttpSettings

__all__ = ["OpenFeed", "Serving", "register_all"]

log = logging.getLogger("agent.server.rpc")

#: Larger answers come in pieces (`http-stream`), so that others on the connection need not wait for them.
MAX_ANSWER_BYTES = 8 << 20
PIECE_BYTES = 256 * 1024
#: How often a feed is looked at for what the server knows of the leader.
STANDING_STEP_S = 0.5
#: Feeds of one agent: one for each of its connections, of which the old ones are about to end.
MAX_FEEDS = 8

FeedKey = tuple[str, bytes]


class Serving:
    """Serves the clients of one server. `methods` are for `RpcServer.methods`; `configure` takes up a reload."""

    def __init__(self, agent: Agent, settings: HttpSettings) -> None:
        self._agent = agent
        self._shared: dict[tuple[Question, str], Shared] = {}
        self._feeds: dict[FeedKey, OpenFeed] = {}
        self._uploads = Uploads(agent.tasks)
        self._guardian: ServerGuardian | None = agent.extras.get("acl")
        self._dispatcher = _bare(agent, settings)
        self._standing = self._look()

    @property
    def methods(self) -> dict[str, Handler]:
        """What clients may ask."""
        return {
            messages.HTTP: self._http,
            messages.HTTP_STREAM: self._http_stream,
            messages.HTTP_UPLOAD: self._http_upload,
            messages.FEED: self._feed,
            messages.WATCH: self._watch,
            messages.UNWATCH: self._unwatch,
            messages.SYNC: self._sync,
            messages.ROWS: self._rows,
            messages.REGISTER: self._register,
            **({ACL_RESOLVE: resolve_method(self._guardian.identify)} if self._guardian is not None else {}),
        }

    def configure(self, settings: HttpSettings) -> None:
        """Requests that come from now on are answered by other settings."""
        self._dispatcher = _bare(self._agent, settings)

    @property
    def watched(self) -> int:
        """How many questions are followed, each counted once."""
        return len(self._shared)

    @property
    def feeds(self) -> int:
        """How many connections have a feed."""
        return len(self._feeds)

    async def run(self) -> None:
        """Tell all feeds when the standing of this server changes; until it is cancelled."""
        while True:
            await self._agent.clock.sleep(STANDING_STEP_S)
            standing = self._look()
            if (standing.leader, standing.denies) != (self._standing.leader, self._standing.denies):
                for opened in self._feeds.values():
                    opened.feed.tell(standing)
            self._standing = standing

    def _look(self) -> Standing:
        log_ = self._agent.log
        return Standing(log_.leader, log_.last_contact_ms, not default_of(self._agent).allow)

    # --- HTTP --------------------------------------------------------------------------------------------------

    async def _http(self, peer: Peer, payload: bytes) -> bytes:
        return await _whole(await self._answer(peer, messages.decode(Forwarded, payload)))

    async def _http_stream(self, peer: Peer, payload: bytes) -> AsyncIterator[bytes]:
        """First the head (an `Answered` without its body), then the body in pieces."""
        outcome = await self._answer(peer, messages.decode(Forwarded, payload))
        answer = outcome.answer
        if isinstance(answer, StreamingResponse):
            lines = [status_line(answer.status)]
            if answer.content_type is not None:
                lines.append(f"Content-Type: {answer.content_type}\r\n".encode())
            lines.append(header_block(answer.headers))
            yield messages.encode(Answered(answer.status, b"".join(lines), b"", True))
            try:
                async for piece in answer.chunks:
                    for at in range(0, len(piece), PIECE_BYTES):
                        yield piece[at : at + PIECE_BYTES]
            finally:
                await _close(answer)
            return
        yield messages.encode(Answered(answer.status, answer.head, b"", answer.close))
        for at in range(0, len(answer.body), PIECE_BYTES):
            yield answer.body[at : at + PIECE_BYTES]

    async def _http_upload(self, peer: Peer, payload: bytes) -> bytes:
        async def serve(asked: Forwarded, pieces: Callable[[], AsyncIterator[bytes]]) -> bytes:
            return await _whole(await self._answer(peer, asked, pieces))

        return await self._uploads.take(peer.node_id, messages.decode(Part, payload), serve)

    async def _answer(
        self, peer: Peer, asked: Forwarded, pieces: Callable[[], AsyncIterator[bytes] | None] = lambda: None
    ) -> Outcome:
        body = asked.body

        async def read_body(limit: int) -> bytes:
            if len(body) > limit:
                raise TooLarge(f"Request body is larger than {limit} bytes")
            return body

        headers = CIMultiDict(asked.headers)
        if body:
            headers["Content-Length"] = str(len(body))
        incoming = Incoming(asked.method, asked.target, headers, asked.remote, read_body, pieces, peer.node_name)
        with writing_as(asked.write_id):
            return await self._dispatcher.answer(incoming)

    # --- views -------------------------------------------------------------------------------------------------

    def _feed(self, peer: Peer, payload: bytes) -> AsyncIterator[bytes]:
        """Opened at once, so that watches that came with it find it."""
        key = (peer.node_id, payload)
        if len(payload) != 8 or key in self._feeds:
            raise BadRequest("a feed has a name of eight bytes of its own")
        if sum(1 for node_id, _ in self._feeds if node_id == peer.node_id) >= MAX_FEEDS:
            raise Unavailable("this agent has too many feeds")
        opened = self._feeds[key] = OpenFeed(
            lambda wake: Feed(lambda watch: self._share(peer, watch.question), self._drop, wake)
        )
        opened.feed.tell(self._look())
        return self._pieces(key, opened)

    async def _pieces(self, key: FeedKey, opened: OpenFeed) -> AsyncIterator[bytes]:
        try:
            async for piece in opened.pieces():
                yield piece
        finally:
            if self._feeds.get(key) is opened:
                del self._feeds[key]
            opened.close()

    def _opened(self, peer: Peer, name: bytes) -> OpenFeed:
        found = self._feeds.get((peer.node_id, name))
        if found is None:
            raise NotFound("there is no feed of that name")
        return found

    async def _watch(self, peer: Peer, payload: bytes) -> bytes:
        batch = messages.decode(WatchBatch, payload)
        feed = self._opened(peer, batch.feed).feed
        for watch in batch.watches:
            feed.watch(watch)
        return b""

    async def _unwatch(self, peer: Peer, payload: bytes) -> bytes:
        given = messages.decode(Unwatch, payload)
        self._opened(peer, given.feed).feed.unwatch(given.subs)
        return b""

    async def _sync(self, peer: Peer, payload: bytes) -> bytes:
        """Answered behind everything that the leader had when this came: for default reads."""
        await self._agent.log.read_barrier()
        opened = self._opened(peer, payload)
        opened.feed.look()
        await opened.flushed()
        return encode_index(self._agent.store.index)

    def _share(self, peer: Peer, question: Question) -> tuple[Any, Shared]:
        key = (question, peer.node_name if _by_asker(question) else "")
        shared = self._shared.get(key)
        if shared is None:
            source: Answer
            try:
                source = self._source(peer, question)
            except MeshError as error:
                source = Refused(error)
            shared = self._shared[key] = Shared(source)
        return key, shared

    def _source(self, peer: Peer, question: Question) -> Answer:
        if question.kind != messages.HTTP:
            sees = None if self._guardian is None else lambda: self._access(question.token)
            return RowSource(
                self._agent.store, question.kind, question.target, peer.node_name, self._agent.datacenter, sees
            )
        try:
            target = parse_target(question.target)
            found = self._dispatcher.router.find(target.raw_path)
            name = unescape(found.name) if found is not None else ""
        except ValueError as error:
            raise BadRequest(str(error)) from None
        route = found.methods.get("GET") if found is not None else None
        if route is None or route.read is None or route.volatile:
            raise NotFound(f"{target.raw_path} cannot be followed")
        request = Request(
            "GET",
            target.path,
            parse_query(target.query),
            name=name,
            remote=question.remote,
            token=question.token,
            asker=peer.node_name,
        )
        views = self._dispatcher.reads.views
        if self._guardian is None or route.open:
            return View(views, (), route, request)
        return FollowedView(views, route, request, self._guardian.resolver)

    def _access(self, token: str) -> Access:
        """What a token may see; nothing when there is none of that secret."""
        identity = self._guardian.held(token) if self._guardian is not None else None
        return identity.access if identity is not None else Access(Authorizer())

    def _drop(self, key: Any, follower: Callable[[], None]) -> None:
        shared = self._shared.get(key)
        if shared is not None and not shared.followers:
            del self._shared[key]
            shared.close()

    # --- rows and registrations --------------------------------------------------------------------------------

    async def _rows(self, peer: Peer, payload: bytes) -> bytes:
        once = messages.decode(Once, payload)
        if once.current:
            await self._agent.log.read_barrier()
        source = self._source(peer, once.question)
        try:
            source.refresh()
            return source.body
        finally:
            source.close()

    async def _register(self, peer: Peer, payload: bytes) -> bytes:
        """The anti-entropy of a client: writes that concern its own node, applied in one turn."""

        async def check(token: str, command: bytes) -> None:
            checked = checked_command(command, peer.node_name)
            if self._guardian is not None:
                require_command((await self._guardian.identify(token)).access, self._agent.store, checked)

        return encode_outcomes(await register_all(messages.decode_writes(payload), check, self._agent.log.propose))


class OpenFeed:
    """A feed on its connection."""

    def __init__(self, make: Callable[[Callable[[], None]], Feed]) -> None:
        self._more: asyncio.Future[None] | None = None
        self._flushed: asyncio.Future[None] | None = None
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self.feed = make(self._wake)

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Whatever there is to send, as the connection takes it."""
        feed = self.feed
        while True:
            while feed.pending:
                yield feed.piece()
            if self._flushed is not None:
                self._flushed.set_result(None)
                self._flushed = None
            self._more = self._loop.create_future()
            if not feed.pending:
                await self._more

    async def flushed(self) -> None:
        """Return when all that is to be sent now has been given to the connection."""
        if self._closed:
            raise Unavailable("the feed has ended")
        if self._flushed is None:
            self._flushed = self._loop.create_future()
            self._wake()
        await asyncio.shield(self._flushed)

    def close(self) -> None:
        self._closed = True
        if self._flushed is not None and not self._flushed.done():
            self._flushed.set_exception(Unavailable("the feed has ended"))
            self._flushed.exception()  # nobody may be left to look at it
        self.feed.close()


async def register_all(
    writes: Iterable[Write],
    check: Callable[[str, bytes], Awaitable[None]],
    propose: Callable[[bytes, bytes], asyncio.Future[Any]],
) -> list[Any]:
    """Propose what `check(token, command)` lets pass, in order; for each its result, or the MeshError it came to."""
    outcomes: list[Any] = []
    for id, token, command in writes:
        try:
            await check(token, command)
        except MeshError as error:
            outcomes.append(error)
        else:
            outcomes.append(propose(command, id))
    await asyncio.gather(*filter(asyncio.isfuture, outcomes), return_exceptions=True)
    return [_outcome(one) if asyncio.isfuture(one) else one for one in outcomes]


def _outcome(future: asyncio.Future[Any]) -> Any:
    if future.cancelled():
        return Unavailable("the write was given up")
    return future.exception() or future.result()


def _by_asker(question: Question) -> bool:
    """Whether the answer depends on which agent asks."""
    if question.kind == messages.HTTP:
        return "near=_agent" in question.target
    found = QUESTIONS.get(question.kind)
    return found is not None and found.by_asker


def _bare(agent: Agent, settings: HttpSettings) -> Dispatcher:
    """A dispatcher whose answers another agent finishes."""
    plain = replace(settings, response_headers=(), block_endpoints=(), allow_write_from=(), pretty=False)
    return Dispatcher(agent, plain, bare=True)


async def _whole(outcome: Outcome) -> bytes:
    """An answer in one message. Raises TooLarge: it must be asked for as a stream."""
    answer = outcome.answer
    if isinstance(answer, StreamingResponse):
        await _close(answer)
        raise TooLarge("the answer comes in pieces: it must be asked for as a stream")
    if len(answer.body) > MAX_ANSWER_BYTES:
        raise TooLarge(f"the answer has {len(answer.body)} bytes: it must be asked for as a stream")
    return messages.encode(Answered(answer.status, answer.head, answer.body, answer.close))


async def _close(answer: StreamingResponse) -> None:
    close = getattr(answer.chunks, "aclose", None)
    if close is not None:
        await close()
