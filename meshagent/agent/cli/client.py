"""I/O edge: the small HTTP client with which commands talk to an agent.

Source: surface row C33; github.com/hashicorp/consul/api (addresses, environment, headers). It uses the standard
library only, for a command must start quickly. What may change here: nothing that an environment variable or a flag
promises.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from meshagent.errors import MeshError

if TYPE_CHECKING:
    import http.client

__all__ = ["Answer", "ApiError", "Client", "Endpoint", "Unreachable", "settings_from"]

#: Seconds to wait for a connection; on the same host an agent answers at once or not at all.
_CONNECT_TIMEOUT_S = 10.0
#: Seconds to wait for an answer: a leader election or a slow disk may take a while.
_ANSWER_TIMEOUT_S = 120.0
#: A large body is read in pieces of this size.
_PIECE_BYTES = 256 << 10
_BROKE_OFF = "the answer of {} broke off: its log says why"
_BOOLS = {"1", "t", "true", "T", "TRUE", "True"}


class Unreachable(MeshError):
    """No agent answers; the message says how to reach or start one."""


class ApiError(MeshError):
    """The agent answered with an error; `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(
            f"Unexpected response code: {status} ({message})" if message else f"Unexpected response code: {status}"
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How to reach an agent. `address` is `host:port`, `http://...`, `https://...` or `unix:///path`."""

    address: str = "127.0.0.1:8500"
    token: str = ""
    auth: str = ""
    ssl: bool = False
    ssl_verify: bool = True
    ca_file: str = ""
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    tls_server_name: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request: dc, stale, ns, partition."""


def settings_from(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Endpoint:
    """The endpoint that flags name, else the environment (surface row C33). `flags` uses snake_case names.

    Raises:
        MeshError: a token file that cannot be read.
    """

    def pick(flag: str, variable: str) -> str:
        return flags.get(flag) or environment.get(variable, "")

    token = flags.get("token") or ""
    if not token and (path := flags.get("token_file")):
        token = _read_token(path)
    if not token and (path := environment.get("CONSUL_HTTP_TOKEN_FILE", "")):
        token = _read_token(path)
    if not token:
        token = environment.get("CONSUL_HTTP_TOKEN", "")
    query = {}
    for name, flag, variable in (
        ("dc", "datacenter", ""),
        ("ns", "namespace", "CONSUL_NAMESPACE"),
        ("partition", "partition", "CONSUL_PARTITION"),
    ):
        if value := pick(flag, variable):
            query[name] = value
    if flags.get("stale"):
        query["stale"] = ""
    verify = environment.get("CONSUL_HTTP_SSL_VERIFY", "")
    return Endpoint(
        address=pick("http_addr", "CONSUL_HTTP_ADDR") or "127.0.0.1:8500",
        token=token,
        auth=environment.get("CONSUL_HTTP_AUTH", ""),
        ssl=environment.get("CONSUL_HTTP_SSL", "") in _BOOLS,
        ssl_verify=not verify or verify in _BOOLS,
        ca_file=pick("ca_file", "CONSUL_CACERT"),
        ca_path=pick("ca_path", "CONSUL_CAPATH"),
        client_cert=pick("client_cert", "CONSUL_CLIENT_CERT"),
        client_key=pick("client_key", "CONSUL_CLIENT_KEY"),
        tls_server_name=pick("tls_server_name", "CONSUL_TLS_SERVER_NAME"),
        query=query,
    )


def _read_token(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        raise MeshError(f"Error loading token file {path}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body read as JSON. Raises MeshError when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise MeshError("the answer is not JSON: is that address the HTTP API of an agent?") from None


class Client:
    """Requests to one agent, a connection each."""

    def __init__(self, endpoint: Endpoint, timeout_s: float = _ANSWER_TIMEOUT_S) -> None:
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        address = endpoint.address
        if "://" not in address:
            address = f"{'https' if endpoint.ssl else 'http'}://{address}"
        parts = urlsplit(address)
        self._scheme = parts.scheme
        if self._scheme == "http" and endpoint.ssl:
            self._scheme = "https"
        if self._scheme not in ("http", "https", "unix"):
            raise MeshError(f"Unknown protocol scheme in the address {endpoint.address}: use http, https or unix")
        self._socket_path = unquote(parts.netloc + parts.path) if self._scheme == "unix" else ""
        self._prefix = "" if self._socket_path else parts.path.rstrip("/")
        self._user = parts.username
        self._password = parts.password
        try:
            self._host, self._port = parts.hostname or "127.0.0.1", parts.port
        except ValueError as error:
            raise MeshError(f"the address {endpoint.address} is not host:port: {error}") from None

    # -- requests -----------------------------------------------------------------------------------------------

    def get(self, path: str, query: Query = ()) -> Any:
        """GET `path` as JSON. Raises ApiError for any answer but 200."""
        return self.request("GET", path, query).json()

    def put(self, path: str, query: Query = (), body: bytes = b"", value: Any = None) -> Answer:
        """PUT `body`, or `value` as JSON. Raises ApiError."""
        return self.request("PUT", path, query, json.dumps(value).encode() if value is not None else body)

    def request(
        self, method: str, path: str, query: Query = (), body: bytes = b"", *, accept: Sequence[int] = (200,)
    ) -> Answer:
        """One request. Raises ApiError for a status not in `accept`, Unreachable."""
        with self._send(method, path, query, body, self._timeout_s) as response, _network_errors(self.endpoint.address):
            answer = Answer(response.status, dict(response.headers), response.read())
        if answer.status not in accept:
            raise ApiError(answer.status, answer.body.decode("utf-8", "replace").strip())
        return answer

    def lines(self, path: str, query: Query = ()) -> Iterator[str]:
        """The lines of an answer that does not end (agent/monitor), as they come."""
        with self._send("GET", path, query, b"", None) as response:
            if response.status != 200:
                raise ApiError(response.status, response.read().decode("utf-8", "replace").strip())
            with _network_errors(self.endpoint.address):
                while line := response.readline():
                    yield line.decode("utf-8", "replace").rstrip("\n")

    @contextlib.contextmanager
    def download(self, path: str, query: Query = ()) -> Iterator[tuple[Mapping[str, str], Iterator[bytes]]]:
        """The headers of a large answer, and its body in pieces. Raises ApiError, Unreachable."""
        with self._send("GET", path, query, b"", self._timeout_s) as response:
            if response.status != 200:
                raise ApiError(response.status, response.read().decode("utf-8", "replace").strip())

            def pieces() -> Iterator[bytes]:
                with _network_errors(self.endpoint.address):
                    while piece := response.read(_PIECE_BYTES):
                        yield piece
                if response.length:
                    raise Unreachable(_BROKE_OFF.format(self.endpoint.address))

            yield dict(response.headers), pieces()

    def upload(self, path: str, file: IO[bytes], size: int, query: Query = ()) -> Answer:
        """PUT `size` bytes of a file; the answer may take as long as it takes. Raises ApiError, Unreachable."""
        with self._send("PUT", path, query, file, None, size) as response, _network_errors(self.endpoint.address):
            answer = Answer(response.status, dict(response.headers), response.read())
        if answer.status != 200:
            raise ApiError(answer.status, answer.body.decode("utf-8", "replace").strip())
        return answer

    @contextlib.contextmanager
    def _send(
        self,
        method: str,
        path: str,
        query: Query,
        body: bytes | IO[bytes],
        timeout_s: float | None,
        size: int | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connect()
        try:
            with _network_errors(self.endpoint.address):
                connection.connect()
                if connection.sock is not None:
                    connection.sock.settimeout(timeout_s)
                headers = self._headers()
                if size is not None:
                    headers["Content-Length"] = str(size)
                try:
                    connection.request(method, self._url(path, query), body or None, headers)
                except (BrokenPipeError, ConnectionResetError):
                    if size is None:
                        raise
                    # A large body was refused before its end: the answer says why.
                response = connection.getresponse()
            yield response
        finally:
            connection.close()

    def _url(self, path: str, query: Query) -> str:
        pairs = list(self.endpoint.query.items()) + list(query.items() if isinstance(query, Mapping) else query)
        # A flag such as `stale` or `recurse` has no value.
        text = "&".join(urlencode({name: value}) if value != "" else quote(name) for name, value in pairs)
        root = "" if path.startswith("/") else "/v1/"
        return f"{self._prefix}{root}{quote(path, safe='/~')}" + (f"?{text}" if text else "")

    def _headers(self) -> dict[str, str]:
        headers = {}
        if self.endpoint.token:
            headers["X-Consul-Token"] = self.endpoint.token
        auth = self.endpoint.auth or (f"{self._user}:{self._password or ''}" if self._user else "")
        if auth:
            headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"
        return headers

    # -- connections --------------------------------------------------------------------------------------------

    def _connect(self) -> http.client.HTTPConnection:
        from meshagent.agent.cli.connection import TlsConnection, UnixConnection, plain, tls_context

        if self._scheme == "unix":
            return UnixConnection(self._socket_path, _CONNECT_TIMEOUT_S)
        if self._scheme == "http":
            return plain(self._host, self._port or 80, _CONNECT_TIMEOUT_S)
        end = self.endpoint
        context = tls_context(end.ca_file, end.ca_path, end.client_cert, end.client_key, verify=end.ssl_verify)
        return TlsConnection(self._host, self._port or 443, _CONNECT_TIMEOUT_S, context, end.tls_server_name)


Query = Mapping[str, str] | Sequence[tuple[str, str]]


@contextlib.contextmanager
def _network_errors(address: str) -> Iterator[None]:
    """What the network says, in one line that says what to do."""
    from meshagent.agent.cli.connection import BrokenOff, NotHttp, UnknownName

    try:
        yield
    except (ConnectionRefusedError, FileNotFoundError):
        raise Unreachable(
            f"nothing answers at {address}: start an agent (meshagent agent -dev), or name a running one with "
            "-http-addr or CONSUL_HTTP_ADDR"
        ) from None
    except TimeoutError:
        raise Unreachable(f"{address} did not answer in time: is it overloaded, or behind a firewall?") from None
    except UnknownName as error:
        raise Unreachable(f"the name in the address {address} cannot be resolved: {error.strerror}") from None
    except BrokenOff:
        raise Unreachable(_BROKE_OFF.format(address)) from None
    except NotHttp as error:
        raise Unreachable(f"{address} does not speak HTTP ({type(error).__name__}): is https:// missing?") from None
    except OSError as error:
        hint = ": set -ca-file or CONSUL_CACERT to the authority's file" if "CERTIFICATE_VERIFY" in str(error) else ""
        raise Unreachable(f"cannot talk to {address}: {error.strerror or error}{hint}") from None


def environment() -> Mapping[str, str]:
    """The process environment."""
    return os.environ
