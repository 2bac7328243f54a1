"""The primary datacenter, as a server of a secondary one asks it: over the WAN, with the replication token.

Reads go to the primary's API; what has no endpoint is a method of its RPC port. Source: surface rows L30, M67;
developer.hashicorp.com/consul/docs/secure/acl/replication. What may change here: what is asked. No socket is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.http.forwarding import Forwarder
from meshagent.agent.http.request import Request, parse_query, unescape
from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.settings import HttpSettings
from meshagent.catalog.ca import TRUST_DOMAIN_SUFFIX, CARoot
from meshagent.connect.secondary import PrimaryRoots
from meshagent.errors import InternalError, RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.datacenters import Datacenters
    from meshagent.agent.http.routes import Router
    from meshagent.catalog.rpc.hello import Peer
    from meshagent.catalog.rpc.link import Handler
    from meshagent.connect.authority import Authority

__all__ = ["SIGN_INTERMEDIATE", "PrimaryDatacenter", "intermediate_methods"]

#: A method of the RPC port, since 0.3: (token, request in PEM) -> the intermediate in PEM.
SIGN_INTERMEDIATE = "ca-sign-intermediate"
_WAIT = "60s"


class PrimaryDatacenter:
    """`name` is its datacenter's; `token` gives the replication token, "" without one."""

    def __init__(self, agent: Agent, datacenters: Datacenters, name: str, token: Callable[[], str]) -> None:
        self.name = name
        self._agent = agent
        self._datacenters = datacenters
        self._given_token = token
        self._settings = HttpSettings()

    async def ask(self, path: str, query: str) -> tuple[bytes, int]:
        """(the body, the index) of what it answers to a GET.

        Raises:
            MeshError: it cannot be asked, refuses, or may not show everything to the replication token.
        """
        token = self._token()
        router: Router = self._agent.extras["router"]
        found = router.find(path)
        if found is None:
            raise InternalError(f"there is no endpoint {path}")
        request = Request(
            "GET", path, parse_query(query), {"X-Consul-Token": token} if token else {}, name=unescape(found.name)
        )
        forwarder = Forwarder(self._datacenters.upstream(self.name), self._settings, b"")
        answer = await forwarder.answer(found.methods["GET"], request)
        if isinstance(answer, StreamingResponse):
            raise InternalError(f"{path} is not answered in one piece")
        if answer.status != 200:
            said = answer.body[:200].decode("utf-8", "replace")
            raise InternalError(f"{self.name} answers {answer.status} to {path}: {said}")
        lines = (line.partition(": ") for line in answer.head.decode("latin-1").split("\r\n"))
        headers = {name.lower(): value for name, _, value in lines}
        if headers.get("x-consul-results-filtered-by-acls") == "true":  # what is hidden must not be taken for gone
            raise InternalError(f"the replication token may not see everything of {path} in {self.name}")
        index = headers.get("x-consul-index", "")
        return answer.body, int(index) if index.isdigit() else 0

    async def roots(self, index: int) -> PrimaryRoots:
        """As `connect.secondary.Primary.roots`."""
        body, now = await self.ask("/v1/connect/ca/roots", f"index={index}&wait={_WAIT}" if index else "")
        try:
            found = msgspec.json.decode(body, type=_Roots)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RemoteProtocolError(f"the roots of {self.name} do not decode: {error}") from error
        return PrimaryRoots(
            found.TrustDomain.removesuffix(TRUST_DOMAIN_SUFFIX), tuple(one.row() for one in found.Roots), now
        )

    async def sign_intermediate(self, request_pem: bytes) -> str:
        """As `connect.secondary.Primary.sign_intermediate`."""
        payload = msgspec.msgpack.encode((self._token(), request_pem))
        answered = await self._datacenters.upstream(self.name).call(SIGN_INTERMEDIATE, payload)
        return answered.decode("ascii", "replace")

    def _token(self) -> str:
        token = self._given_token()
        if not token and self._agent.config.acl.enabled:
            raise InternalError("acl.tokens.replication is not set")
        return token


class _Root(msgspec.Struct):
    """A root as the API shows it."""

    ID: str
    Name: str
    SerialNumber: int
    SigningKeyID: str
    ExternalTrustDomain: str
    NotBefore: str
    NotAfter: str
    RootCert: str
    Active: bool
    PrivateKeyType: str
    PrivateKeyBits: int
    IntermediateCerts: list[str] | None = None

    def row(self) -> CARoot:
        """As a row here."""
        return CARoot(
            id=self.ID,
            name=self.Name,
            serial=self.SerialNumber,
            signing_key_id=self.SigningKeyID,
            external_trust_domain=self.ExternalTrustDomain,
            not_before=self.NotBefore,
            not_after=self.NotAfter,
            root_cert=self.RootCert,
            intermediates=tuple(self.IntermediateCerts or ()),
            active=self.Active,
            key_type=self.PrivateKeyType,
            key_bits=self.PrivateKeyBits,
        )


class _Roots(msgspec.Struct):
    TrustDomain: str
    Roots: list[_Root] = []


def intermediate_methods(agent: Agent, authority: Authority) -> dict[str, Handler]:
    """What a server of the primary answers to the servers of others. The token needs operator:write."""

    async def sign(_: Peer, payload: bytes) -> bytes:
        try:
            token, request_pem = msgspec.msgpack.decode(payload, type=tuple[str, bytes])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RemoteProtocolError(f"a request for an intermediate does not decode: {error}") from error
        guardian = agent.extras.get("acl")
        if guardian is not None:
            identity = await guardian.identify(token)
            identity.access.require("operator", "write")
        return (await authority.sign_intermediate(request_pem)).encode("ascii")

    return {SIGN_INTERMEDIATE: sign}
