"""An HTTP/1.x response being read: bytes in, status and the tail of the body out.

Source: RFC 9112 through llhttp (httptools); surface row K11. No I/O. The reader is bounded in all directions: headers
by `MAX_HEADER_BYTES`, what is read of a body by `MAX_BODY_BYTES`, what is kept of it by the check's OutputMaxSize.

What may be changed here: any bytes either end in a response or raise `ProbeFailed`.
"""

from __future__ import annotations

import json

import httptools

from meshagent.agent.checks.output import Tail
from meshagent.agent.checks.probe import ProbeFailed

__all__ = ["MAX_BODY_BYTES", "MAX_HEADER_BYTES", "ResponseReader"]

#: curl allows 300 KiB, Node 16 KiB, Go 1 MiB and more.
MAX_HEADER_BYTES = 256 * 1024
#: Consul reads to the end and keeps the tail. So do we, up to here; of an endless body the tail of this much is shown.
MAX_BODY_BYTES = 256 * 1024


class ResponseReader:
    """One response. `head` tells that it answers a HEAD request and has no body."""

    __slots__ = ("_fed", "_first", "_head", "_in_headers", "_parser", "_reason", "body", "code", "done", "location")

    def __init__(self, max_bytes: int, *, head: bool = False) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head = head
        self._in_headers = True
        self._fed = 0
        self._first = b""
        self._reason = b""
        self.body = Tail(max_bytes)
        self.code = 0
        self.location: str | None = None
        self.done = False

    @property
    def status(self) -> str:
        """The status as on the wire: `200 OK`."""
        return f"{self.code} {self._reason.decode('latin-1')}".rstrip()

    @property
    def has_headers(self) -> bool:
        """Whether the final (not a 1xx) status and its headers have arrived."""
        return not self._in_headers

    def feed(self, data: bytes) -> bool:
        """Take bytes from the wire; True once the response is complete, or enough of it is known.

        Raises:
            ProbeFailed: this is not HTTP.
        """
        if not self._fed:
            self._first = data[:64]
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._in_headers = False
            self.done = True
        except httptools.HttpParserError as error:
            if self.done:  # bytes after the end: not ours to judge
                return True
            if self._in_headers:
                raise ProbeFailed(self._malformed(error)) from error
            self.done = True  # a broken body still has a status, which is what counts
        if self._in_headers and self._fed > MAX_HEADER_BYTES:
            raise ProbeFailed(f"net/http: server response headers exceeded {MAX_HEADER_BYTES} bytes; aborted")
        if self.body.total >= MAX_BODY_BYTES:
            self.done = True
        return self.done

    def feed_eof(self) -> None:
        """The peer closed the connection.

        Raises:
            ProbeFailed: there was no complete set of headers before.
        """
        if self._in_headers:
            raise ProbeFailed("unexpected EOF" if self._fed else "EOF")
        self.done = True

    def _malformed(self, error: Exception) -> str:
        line = self._first.split(b"\n", 1)[0].rstrip(b"\r").decode("utf-8", "replace")
        if not line.startswith("HTTP/"):
            quoted = json.dumps(line, ensure_ascii=False)
            return f"net/http: HTTP/1.x transport connection broken: malformed HTTP response {quoted}"
        return f"net/http: HTTP/1.x transport connection broken: malformed response: {error}"

    # callbacks of httptools

    def on_status(self, status: bytes) -> None:
        """A piece of the reason phrase."""
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """Only the one header that matters to a check."""
        if self._in_headers and name.lower() == b"location" and self.location is None:
            self.location = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        """All headers of a response, or of an interim one, are known."""
        self.code = self._parser.get_status_code()
        if 100 <= self.code < 200 and self.code != 101:
            return
        self._in_headers = False
        if self._head:
            self.done = True

    def on_body(self, data: bytes) -> None:
        """A piece of the body, without its transfer coding."""
        if not self.done:
            self.body.append(data)

    def on_message_complete(self) -> None:
        """The end, or the end of an interim response."""
        if self._in_headers:
            self._reason = b""
            self.location = None
        else:
            self.done = True
