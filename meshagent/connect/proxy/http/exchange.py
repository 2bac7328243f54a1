"""One request on its way through the proxy: the filter chain, its tries, and the answer. No I/O, no tasks.

    filters ─▶ route ─▶ fault ─▶ destination ─▶ breaker ─▶ pick ─▶ pool ─▶ Attempt ─▶ answer
                                                  ▲                            │
                                                  └───────── back-off ◀────────┘ retried

An exchange answers its `DownstreamStream` and hears of it (`DownstreamHandler`); each try is an `Attempt`, which hears
of its `UpstreamStream`. What has come of the body is kept while it may have to be sent again (`BUFFER_BYTES` at most)
or no connection is there yet; what one side does not take stops the other from being read.

Telemetry and filters read the public attributes. Source: design.md "Built-in proxy"; Envoy's router filter (order,
statuses, flags); RFC 9110 section 9.2.2 (what a proxy may repeat unasked). What may change here: further steps of the
chain, each a method.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshagent.connect.proxy.http import replies
from meshagent.connect.proxy.http.attempt import Attempt
from meshagent.connect.proxy.http.grpc import deadline_s, is_grpc, status_of
from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead, get
from meshagent.connect.proxy.http.mirroring import MirrorCopy
from meshagent.connect.proxy.http.retrying import back_off, retry_reset, retry_status
from meshagent.connect.proxy.http.streams import DownstreamStream, Reset, Timer

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.hooks import Cluster, Host, LocalReply
    from meshagent.connect.proxy.http.manager import Manager
    from meshagent.connect.proxy.http.policy import Destination, Fault, Route
    from meshagent.connect.proxy.http.tokens import Found

__all__ = ["BODY_GRACE_S", "BUFFER_BYTES", "Exchange"]

#: What is kept of a request's body for one more try (Envoy: the buffer limit of a connection, 1 MiB).
BUFFER_BYTES = 256 * 1024
#: Another instance is tried so often, unasked, when no connection came about: nothing was sent.
_UNASKED_RETRIES = 2
#: A request's body may trickle for so long, and for as long as it keeps `min_body_rate` after that.
BODY_GRACE_S = 60.0
#: May be sent again when nobody knows whether it arrived.
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


class Exchange:
    """A request and its answer.

    For telemetry: `status` (0 until there is one), `flag` and `detail` (Envoy's, "" when nothing special happened),
    `grpc` (it is a gRPC request) and `grpc_status` (-1 until one came), `request_bytes` and `response_bytes` (bodies),
    `started`, `answered` (monotonic seconds; 0.0: no head came), `tries` (how many were made), `route`, `cluster`,
    `host` (of the last try; None before), `response` (the head as it was sent) and `trailers` of the answer.
    """

    __slots__ = (
        "_buffer",
        "_buffered",
        "_deadline",
        "_head_sent",
        "_held_s",
        "_idle_since",
        "_mirror",
        "_over",
        "_request_done",
        "_request_trailers",
        "_retries",
        "_retrying",
        "_seen",
        "_stale_retried",
        "_timer",
        "_unasked",
        "answered",
        "attempt",
        "cluster",
        "destination",
        "detail",
        "flag",
        "grpc",
        "grpc_status",
        "hash_key",
        "head",
        "held",
        "host",
        "identity",
        "manager",
        "peer",
        "request_bytes",
        "response",
        "response_bytes",
        "route",
        "set_cookie",
        "started",
        "status",
        "stream",
        "tokens",
        "trace",
        "trailers",
        "tried",
        "tries",
    )

    def __init__(self, manager: Manager, stream: DownstreamStream, head: RequestHead, end: bool) -> None:
        self.manager = manager
        self.stream = stream
        stream.handler = self
        self.head = head
        self.peer = stream.peer
        #: Of the source as RBAC understood it (service name), "" on the local side. Set by filters.
        self.identity = ""
        self.started = manager.timers.now()
        self.answered = 0.0
        self.status = 0
        self.flag = ""
        self.detail = ""
        self.request_bytes = 0
        self.response_bytes = 0
        self.response: ResponseHead | None = None
        self.trailers: Headers = []
        self.tries = 0
        self.tried: set[Host] | tuple[()] = ()
        self.route: Route | None = None
        self.destination: Destination | None = None
        self.cluster: Cluster | None = None
        self.host: Host | None = None
        self.hash_key: int | None = None
        #: A cookie that makes the client come back to the same instance.
        self.set_cookie = b""
        self.attempt: Attempt | None = None
        #: What was found out about the request's tokens, kept by the filter that looked.
        self.tokens: Found | None = None
        #: Telemetry keeps here what it likes.
        self.trace: Any = None
        self._buffer: list[bytes] | None = None if end else []
        self._buffered = 0
        self._request_done = end
        self._request_trailers: Headers | None = None
        self._head_sent = False
        self._over = False
        self._timer: Timer | None = None
        self._deadline: Timer | None = None
        self.grpc = head.version == 20 and is_grpc(head)
        self.grpc_status = -1
        self._mirror: MirrorCopy | None = None
        self._retries = 0
        self._retrying = False
        self._unasked = 0
        self._stale_retried = False
        self._seen = False
        self._idle_since = self.started
        #: The client is not read now; for so long it was not.
        self.held = False
        self._held_s = 0.0

    # --- the chain ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Go as far as can be gone now."""
        manager = self.manager
        if manager.request_id is not None and get(self.head.headers, b"x-request-id") is None:
            self.head.headers.append((b"x-request-id", manager.request_id()))
        manager.telemetry.request_started(self)
        if self.grpc:
            self._await_deadline()
        for check in manager.filters:
            reply = check(self)
            if reply is not None:
                self.reply(reply)
                return
        route = manager.routes.match(self.head)
        if route is None:
            self.reply(replies.NO_ROUTE)
            return
        self.route = route
        reply = route.check(self) if route.check is not None else None
        if reply is not None:
            self.reply(reply)
        elif route.direct is not None:
            self.reply(route.direct(self.head))
        elif route.fault is None or not self._fault(route.fault):
            self._forward()

    def _fault(self, fault: Fault) -> bool:
        """Whether the request stops here, for good or for a while."""
        if fault.header is not None:
            name, wanted = fault.header
            if not any(one == name and (not wanted or value == wanted) for one, value in self.head.headers):
                return False
        rng = self.manager.rng
        abort = fault.abort_status and rng.random() * 100.0 < fault.abort_percent
        if fault.delay_s and rng.random() * 100.0 < fault.delay_percent:
            self.flag, self.detail = "DI", "fault_filter_delay"
            self._timer = self.manager.timers.after(fault.delay_s, self._abort_fault if abort else self._undelayed)
            return True
        if abort:
            self._abort_fault()
        return bool(abort)

    def _undelayed(self) -> None:
        self._timer = None
        self._forward()

    def _abort_fault(self) -> None:
        route = self.route
        if route is not None and route.fault is not None:
            self.reply(replies.fault(route.fault.abort_status))

    def _forward(self) -> None:
        """A destination is drawn and the first try made."""
        route = self.route
        if route is None or not route.splits:
            self.reply(replies.NO_HEALTHY_UPSTREAM)
            return
        head = self.head
        splits = route.splits
        if route.hash_key is not None:
            self.hash_key, self.set_cookie = route.hash_key(head, self.peer.address)
        if len(splits) == 1:
            destination = splits[0][1]
        else:
            # A sticky request keeps its share, too.
            drawn = self.manager.rng.random() if self.hash_key is None else (self.hash_key >> 11) / 2.0**53
            destination = next((one for bound, one in splits if drawn < bound), splits[-1][1])
        self.destination = destination
        self.cluster = destination.cluster
        if route.rewrite is not None:
            prefix, new = route.rewrite
            head.path = rewritten(head.path, prefix, new)
        if destination.request:
            edit_request(head, destination.request.apply(head.headers))
        if route.request:
            edit_request(head, route.request.apply(head.headers))
        mirror = route.mirror
        if mirror is not None and not head.upgrade and self.manager.rng.random() * 100.0 < mirror.percent:
            self._mirror = MirrorCopy(self.manager, mirror.cluster, head, self._request_done)
        if self._request_done:
            self._arm()
        self._try()

    def _await_deadline(self) -> None:
        """A gRPC client says how long it waits."""
        left = deadline_s(self.head.headers)
        if left is not None:
            self._deadline = self.manager.timers.after(left, self._deadline_passed)

    def _deadline_passed(self) -> None:
        self._deadline = None
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.give_up(Reset.TIMEOUT)
        self.reply(replies.DEADLINE)

    def _arm(self) -> None:
        """The request is complete: from now on its timeout runs."""
        route = self.route
        if route is not None and route.timeout_s and self._timer is None and not self._over:
            self._timer = self.manager.timers.after(route.timeout_s, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.give_up(Reset.TIMEOUT)
        self.reply(replies.TIMED_OUT)

    # --- tries -------------------------------------------------------------------------------------------------

    def _try(self, fresh: bool = False) -> None:
        cluster = self.cluster
        if cluster is None or self._over:
            return
        if not cluster.breaker.try_request():
            self.reply(replies.OVERFLOW)
            return
        host = cluster.pick(self.hash_key, self.tried)
        if host is None:
            cluster.breaker.end_request()
            self.reply(replies.NO_HEALTHY_UPSTREAM)
            return
        self.host = host
        self.tries += 1
        self.attempt = attempt = Attempt(self, cluster, host, fresh)
        codec = host.pool.acquire(attempt)
        if codec is not None:
            attempt.on_connection(codec)

    def opening(self, attempt: Attempt) -> tuple[RequestHead, bool]:
        """What an attempt that has its connection sends first: the head, and whether that is all."""
        head = self.head
        if self.manager.telemetry is not None:
            self.manager.telemetry.try_started(self, head.headers)
        return head, self._request_done and not self._buffer and self._request_trailers is None

    def opened(self, attempt: Attempt) -> None:
        """The attempt's stream is open: what waits of the body goes there."""
        stream = attempt.stream
        buffer = self._buffer
        if stream is None or (self._request_done and not buffer and self._request_trailers is None):
            return
        last = self._request_done and self._request_trailers is None
        for at, data in enumerate(buffer or ()):
            stream.send_data(data, last and buffer is not None and at == len(buffer) - 1)
            if attempt.stream is None:
                return
        if self._request_trailers is not None:
            stream.send_trailers(self._request_trailers)
        if self._buffered > BUFFER_BYTES or not self._may_repeat():
            self._buffer = None
        if not self._request_done:
            self.release_client()

    def _may_repeat(self) -> bool:
        """Whether the body is worth keeping."""
        route = self.route
        return (route is not None and route.retry is not None) or self.grpc or self.head.method in _IDEMPOTENT

    def _repeatable(self) -> bool:
        """Whether all that was sent of the request can be sent again."""
        return not self._over and not self._head_sent and (self._buffer is not None or not self.request_bytes)

    def answer(self, attempt: Attempt, head: ResponseHead, end: bool) -> None:
        """A try's answer begins."""
        route = self.route
        policy = route.retry if route is not None else None
        if (
            policy is not None
            and head.status != 101
            and retry_status(policy, head.status, head.headers)
            and self._retry(attempt)
        ):
            attempt.give_up(Reset.LOCAL)
            return
        self.answered = self.manager.timers.now()
        destination = self.destination
        if destination is not None and destination.response:
            head.headers = destination.response.apply(head.headers)
        if route is not None and route.response:
            head.headers = route.response.apply(head.headers)
        if self.set_cookie:
            head.headers.append((b"set-cookie", self.set_cookie))
        self.status = head.status
        self.response = head
        if end and self.grpc:
            self.grpc_status = status_of(head.headers)
        self._head_sent = True
        self._buffer = None
        self.stream.send_head(head, end)
        if end:
            self._finish()

    def failed(self, attempt: Attempt, why: Reset, detail: str) -> None:
        """A try ended before its answer did."""
        if self._over:
            return
        self.attempt = None
        if self._head_sent:
            self.flag, self.detail = "UC", f"upstream_reset_after_response_started{{{why.value}}}"
            self.stream.reset(why)
            self._finish()
            return
        if self._repeatable():
            if why is Reset.STALE and not self._stale_retried and self.head.method in _IDEMPOTENT:
                self._stale_retried = True
                self._try(fresh=True)
                return
            if why is Reset.REFUSED and self._unasked < _UNASKED_RETRIES:
                self._unasked += 1  # nobody has looked at it
                self._try()
                return
            route = self.route
            policy = route.retry if route is not None else None
            if policy is not None and retry_reset(policy, why) and self._retry(attempt):
                return
            if why in {Reset.CONNECT_FAILURE, Reset.CONNECT_TIMEOUT} and self._another(attempt):
                return
        reply = replies.of_reset(why)
        self.reply(reply)
        if detail:
            self.detail = f"{self.detail} {detail}"

    def try_timed_out(self, attempt: Attempt) -> None:
        """A try took longer than one may."""
        self.attempt = None
        if self._repeatable() and self._retry(attempt):
            return
        self.reply(replies.TIMED_OUT)

    def _another(self, attempt: Attempt) -> bool:
        """Nothing was sent: another instance may do better, when there is one."""
        cluster = self.cluster
        if self._unasked >= _UNASKED_RETRIES or cluster is None:
            return False
        self._unasked += 1
        self.tried = {*self.tried, attempt.host}
        other = cluster.pick(self.hash_key, self.tried)
        if other is None or other in self.tried:
            return False
        self._try()
        return True

    def _retry(self, attempt: Attempt) -> bool:
        """Whether one more try is made, after a pause."""
        route, cluster = self.route, self.cluster
        policy = route.retry if route is not None else None
        if policy is None or cluster is None or not self._repeatable():
            return False
        if self._retries >= policy.num_retries:
            self.flag = "URX"
            return False
        self._end_retry()
        if not cluster.breaker.try_retry():
            self.flag = "UO"
            return False
        self._retries += 1
        self._retrying = True
        self.attempt = None
        self.tried = {*self.tried, attempt.host}
        self.manager.timers.after(back_off(policy, self._retries, self.manager.rng), self._try)
        return True

    def _end_retry(self) -> None:
        """A retry counts in the budget until its outcome is known."""
        if self._retrying and self.cluster is not None:
            self._retrying = False
            self.cluster.breaker.end_retry()

    # --- the answer's way --------------------------------------------------------------------------------------

    def informational(self, head: ResponseHead) -> None:
        """A 1xx of a try."""
        if not self._over and not self._head_sent:
            self.stream.send_informational(head)

    def body(self, data: bytes, end: bool) -> None:
        """A piece of a try's answer."""
        self._seen = True
        self.response_bytes += len(data)
        self.stream.send_data(data, end)
        if end:
            self._finish()

    def ended(self, trailers: Headers) -> None:
        """A try's answer ends with trailers."""
        self.trailers = trailers
        if self.grpc:
            self.grpc_status = status_of(trailers)
        self.stream.send_trailers(trailers)
        self._finish()

    def reply(self, reply: LocalReply) -> None:
        """Answer with this, whatever became of tries. An answer that has begun is cut off."""
        if self._over:
            return
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.give_up(Reset.LOCAL)
        self.flag = f"{self.flag},{reply.flag}" if self.flag and reply.flag else self.flag or reply.flag
        self.detail = reply.detail
        if self._head_sent:
            self.stream.reset(Reset.LOCAL)
            self._finish()
            return
        head, body = replies.as_answer(reply, self.head)
        route = self.route
        if route is not None and route.response:
            head.headers = route.response.apply(head.headers)
        self.status = reply.status
        self.response = head
        if self.grpc:
            self.grpc_status = replies.grpc_status(reply)
        self._head_sent = True
        self.response_bytes += len(body)
        self.stream.send_head(head, not body)
        if body and not self._over:
            self.stream.send_data(body, True)
        self._finish()

    def abort(self, why: Reset, detail: str = "") -> None:
        """End it without an answer."""
        if self._over:
            return
        self.flag, self.detail = self.flag or "LR", detail or why.value
        self.stream.reset(why)
        self._finish()

    def check_idle(self, now: float) -> None:
        """End it when both sides have been silent for the route's idle timeout."""
        if self._seen:
            self._seen = False
            self._idle_since = now
            return
        route = self.route
        limit = route.idle_timeout_s if route is not None else 300.0
        if limit and now - self._idle_since > limit:
            self.reply(replies.IDLE if self._request_done else replies.SLOW)

    def check_body(self, now: float, since_s: float) -> None:
        """End it when the client lets its body trickle, so that it is never silent and never done. `since_s` ago was
        the last look. What streams both ways (gRPC, upgrades, an answer that has begun) may take its time."""
        rate = self.manager.min_body_rate
        if self._request_done or self._head_sent or not rate or self.grpc or self.head.upgrade:
            return
        if self.held or (self.head.expects_continue and not self.request_bytes):
            self._held_s += since_s  # it is not the client who is slow
        elif now - self.started - self._held_s > BODY_GRACE_S + self.request_bytes / rate:
            self.reply(replies.SLOW_BODY)

    def hold_client(self) -> None:
        """Take no more of the request's body for now."""
        self.held = True
        self.stream.pause_reading()

    def release_client(self) -> None:
        """Go on."""
        self.held = False
        self.stream.resume_reading()

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.give_up(Reset.LOCAL)
        self._end_retry()
        mirror = self._mirror
        if mirror is not None and not self._request_done:
            mirror.give_up()
        self._buffer = None
        if self._head_sent and not self._request_done:
            self.stream.reset(Reset.LOCAL)
        self.manager.finished(self)

    # --- what the client says ----------------------------------------------------------------------------------

    def on_data(self, data: bytes, end: bool) -> None:
        if self._over:
            return
        self._seen = True
        self.request_bytes += len(data)
        if end:
            self._request_done = True
            self._arm()
        if self._mirror is not None:
            self._mirror.data(data, end)
        stream = self.attempt.stream if self.attempt is not None else None
        buffer = self._buffer
        if buffer is not None:
            self._buffered += len(data)
            if self._buffered <= BUFFER_BYTES or stream is None:
                buffer.append(data)
                if self._buffered > BUFFER_BYTES and not end:
                    self.hold_client()
            else:
                self._buffer = None  # too long to be sent again
        if stream is not None:
            stream.send_data(data, end)

    def on_trailers(self, trailers: Headers) -> None:
        if self._over:
            return
        self._request_done = True
        self._request_trailers = trailers
        self._arm()
        if self._mirror is not None:
            self._mirror.trailers(trailers)
        stream = self.attempt.stream if self.attempt is not None else None
        if stream is not None:
            stream.send_trailers(trailers)

    def on_reset(self, why: Reset) -> None:
        if self._over:
            return
        self.flag, self.detail = "DC", f"downstream_remote_disconnect{{{why.value}}}"
        self._finish()

    def on_blocked(self) -> None:
        attempt = self.attempt
        if attempt is not None and attempt.stream is not None:
            attempt.stream.pause_reading()

    def on_writable(self) -> None:
        attempt = self.attempt
        if attempt is not None and attempt.stream is not None:
            attempt.stream.resume_reading()


def rewritten(path: bytes, prefix: bytes, new: bytes) -> bytes:
    """The path with its prefix replaced; an exact match keeps its query."""
    return new + path[len(prefix) :]


def edit_request(head: RequestHead, headers: Headers) -> None:
    """Take over edited headers; `host` is the authority."""
    for name, value in headers:
        if name == b"host":
            head.authority = value
            head.headers = [one for one in headers if one[0] != b"host"]
            return
    head.headers = headers
