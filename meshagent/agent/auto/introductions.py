"""Whether a client's introduction (a JWT) is believed: the rules of `auto_config.authorization`.

An introduction is signed by a key of the configuration, or, where none is given, by the authority of the agents
themselves (`tls join-token`): who holds that key can make certificates anyway. Claims may have to fulfil assertions,
in which `${node}` stands for the name that the client gives.

Source: surface rows G16, F6; developer.hashicorp.com/consul/docs/agent/config/config-files, `auto_config`. Pure: keys
and time are arguments. What may change here: wording.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from meshagent.catalog.filters import compile_filter
from meshagent.errors import ConfigError, Denied, MeshError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshagent.agent.config.security import AutoConfigStatic

__all__ = [
    "AUDIENCE",
    "ISSUER",
    "Introductions",
    "Judged",
    "assertion_problem",
    "claims_of_token",
    "filled",
    "join_token",
]

#: What tokens of `tls join-token` say of themselves.
ISSUER = "meshagent tls join-token"
AUDIENCE = "meshagent auto_config"
#: Their claims beside the registered ones: who may use it ("" anybody), the servers' addresses, their authority.
NODE, SERVERS, AUTHORITY, DATACENTER = "node", "servers", "authority", "datacenter"

#: How much longer than it says an introduction is remembered: above every default leeway.
KNOWN_S = 3600

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,253})\Z")
_VARIABLE = re.compile(r"\$\{\s*(\w+)\s*\}")
_VARIABLES = ("node", "segment", "partition")


class Judged(NamedTuple):
    """An introduction that is believed: its name, and the second of Unix time from which nobody believes it."""

    digest: bytes
    ends: int


@dataclass(frozen=True, slots=True)
class Introductions:
    """The rules of one configuration."""

    static: AutoConfigStatic
    own: bool = field(init=False)
    """Whether tokens of `tls join-token` are taken: no other source of keys is configured."""

    def __post_init__(self) -> None:
        static = self.static
        given = static.jwt_validation_pub_keys or static.jwks_url or static.oidc_discovery_url
        object.__setattr__(self, "own", not given)

    def judge(self, token: str, node: str, keys: Sequence[Any], now: datetime) -> Judged:
        """Return when the client may come in.

        Raises:
            Denied: it may not; the message says why.
        """
        from meshagent.catalog.acl import jwt_tokens

        static = self.static
        if not _NAME.match(node):
            raise Denied(f"Permission denied: {node!r} is no name for a node")
        rules = jwt_tokens.JwtRules(
            bound_issuer=static.bound_issuer or (ISSUER if self.own else ""),
            bound_audiences=static.bound_audiences or ((AUDIENCE,) if self.own else ()),
            algorithms=static.jwt_supported_algs or jwt_tokens.ALGORITHMS,
            expiration_leeway_s=static.expiration_leeway,
            not_before_leeway_s=static.not_before_leeway,
            clock_skew_s=static.clock_skew_leeway,
        )
        try:
            claims = jwt_tokens.verify(token, keys, rules, now)
            row = jwt_tokens.mapped(claims, static.claim_mappings, static.list_claim_mappings).row()
        except Denied as error:
            raise Denied(f"Permission denied: Failed JWT authorization: {error}") from error
        if self.own and claims.get(NODE) not in {None, "", node}:
            raise Denied("Permission denied: the join token is for another node")
        for assertion in static.claim_assertions:
            if not compile_filter(filled(assertion, node), "claims")(row):
                raise Denied("Permission denied: Failed JWT claim assertion")
        times = (claims.get(name) for name in ("exp", "nbf", "iat"))
        last = max((int(time) for time in times if isinstance(time, (int, float))), default=int(now.timestamp()))
        slack_s = max(0, *(getattr(static, f"{name}_leeway") for name in ("expiration", "not_before", "clock_skew")))
        # What is signed: a signature can be written in several ways.
        signed = token.strip().rpartition(".")[0]
        return Judged(hashlib.sha256(signed.encode("ascii", "replace")).digest(), last + int(slack_s) + KNOWN_S)


def filled(assertion: str, node: str) -> str:
    """An assertion with the values of its variables. The node's name has been checked: it cannot end a text."""
    values = {"node": node, "segment": "", "partition": "default"}
    return _VARIABLE.sub(lambda found: values.get(found[1], ""), assertion)


def assertion_problem(assertion: str) -> str:
    """What is wrong with an assertion, "" when nothing is."""
    for name in _VARIABLE.findall(assertion):
        if name not in _VARIABLES:
            return f"unknown variable accessed: {name}"
    try:
        compile_filter(filled(assertion, "fake"), "claims")
    except MeshError as error:
        return str(error)
    return ""


def join_token(
    servers: Sequence[str],
    authority: str,
    datacenter: str,
    node: str,
    now: datetime,
    ttl_s: float,
    key_pem: bytes,
    algorithm: str,
) -> str:
    """A token that introduces `node` ("" any), signed by the key of the agents' authority (PEM)."""
    from meshagent.catalog.acl.jwt_tokens import sign

    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp() + ttl_s),
        NODE: node,
        SERVERS: list(servers),
        AUTHORITY: authority,
        DATACENTER: datacenter,
    }
    return sign(claims, key_pem, algorithm)


def claims_of_token(token: str) -> Mapping[str, Any]:
    """What a token of `tls join-token` tells the client that holds it, {} for another one.

    Raises:
        ConfigError: it is one, and has not what it should.
    """
    from meshagent.catalog.acl.jwt_tokens import unverified

    claims = unverified(token)
    if claims.get("iss") != ISSUER:
        return {}
    servers, authority, datacenter = (claims.get(name) for name in (SERVERS, AUTHORITY, DATACENTER))
    whole = isinstance(servers, list) and servers and all(isinstance(server, str) for server in servers)
    if not whole or not isinstance(authority, str) or not isinstance(datacenter, str):
        raise ConfigError("auto_config.intro_token: the join token names no servers, authority or datacenter")
    return {SERVERS: tuple(servers or ()), AUTHORITY: authority, DATACENTER: datacenter}
