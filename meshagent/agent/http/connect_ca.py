"""`/v1/connect/ca` and `/v1/agent/connect/ca`: roots, configuration of the authority, leafs.

Source: surface rows A27, A28, CN1, CN2; developer.hashicorp.com/consul/api-docs/connect/ca and /agent/connect. Private
keys of the authority are never shown. What may change here: paths and answers are Consul's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.acl.guards import named, needs
from meshagent.agent.decode import decode_body
from meshagent.agent.http.request import Request, parse_bool
from meshagent.agent.http.response import Response, encode_json, json_response
from meshagent.agent.http.routes import Route
from meshagent.catalog.ca import CARoot
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest, InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.mesh import Mesh

__all__ = ["ROUTES", "mesh_of"]

_PEM = "application/pem-certificate-chain"
_WAIT_S = 600.0
#: Waits end up to this part later, so that not all come back at once.
_JITTER_FRACTION = 16


def mesh_of(agent: Agent) -> Mesh:
    """The mesh of this agent.

    Raises:
        InternalError: it is switched off.
    """
    check_enabled(agent)
    mesh: Mesh = agent.extras["mesh"]
    return mesh


def check_enabled(agent: Agent) -> None:
    """Refuse what needs the mesh when it is switched off. Raises InternalError."""
    if not agent.config.connect.enabled:
        raise InternalError("Connect must be enabled in order to use this endpoint")


# --- roots ------------------------------------------------------------------------------------------------------------


def _roots(agent: Agent, request: Request) -> Result[Any]:
    check_enabled(agent)
    mesh = agent.extras.get("mesh")
    if mesh is not None:
        mesh.follow()
    table = agent.store.ca
    roots = [table.roots[at] for at in sorted(table.roots)]
    pem = request.query.get("pem")
    if pem:
        try:
            as_pem = parse_bool(pem)
        except ValueError:
            raise BadRequest("The 'pem' query parameter must be a boolean value") from None
    else:
        as_pem = False
    active = table.active
    rows: Any = (
        tuple(roots)
        if as_pem
        else {
            "ActiveRootID": active.id if active is not None else "",
            "TrustDomain": table.trust_domain,
            "Roots": [_root(root) for root in roots],
        }
    )
    return Result(rows, table.roots_index, ("ca-roots",))


def _root(root: CARoot) -> dict[str, Any]:
    return {
        "ID": root.id,
        "Name": root.name,
        "SerialNumber": root.serial,
        "SigningKeyID": root.signing_key_id,
        "ExternalTrustDomain": root.external_trust_domain,
        "NotBefore": root.not_before,
        "NotAfter": root.not_after,
        "RootCert": root.root_cert,
        "IntermediateCerts": root.intermediates or None,
        "Active": root.active,
        "PrivateKeyType": root.key_type,
        "PrivateKeyBits": root.key_bits,
        "CreateIndex": root.create_index,
        "ModifyIndex": root.modify_index,
    }


def _encode_roots(rows: Any, request: Request) -> bytes | Response:
    if isinstance(rows, dict):
        return encode_json(rows)
    text = "".join(pem for root in rows for pem in (root.root_cert, *root.intermediates))
    return Response(200, text.encode(), content_type=_PEM, bare=True)


# --- configuration ----------------------------------------------------------------------------------------------------


class _Configuration(msgspec.Struct, rename="pascal"):
    """What a PUT holds. `state` and the indexes are read back and sent again by clients."""

    provider: str = ""
    config: dict[str, Any] | None = None
    state: dict[str, str] | None = None
    force_without_cross_signing: bool = False
    create_index: int = 0
    modify_index: int = 0


async def _get_configuration(agent: Agent, request: Request) -> Response:
    check_enabled(agent)
    await agent.log.read_barrier()
    row = agent.store.ca.config
    if row is None:
        raise InternalError("CA has not been initialized: there is no configuration yet, try again in a moment")
    return json_response(
        {
            "Provider": row.provider,
            "Config": dict(sorted(row.config.items())),
            "State": None,
            "ForceWithoutCrossSigning": row.force_without_cross_signing,
            "CreateIndex": row.create_index,
            "ModifyIndex": row.modify_index,
        }
    )


async def _put_configuration(agent: Agent, request: Request) -> Response:
    mesh = mesh_of(agent)
    asked = decode_body(_Configuration, request.body)
    if asked.state:
        raise BadRequest("Provider State is read-only. It must be omitted or identical to the current value")
    if mesh.authority is None:
        raise InternalError("only servers change the configuration of the certificate authority")
    config: Mapping[str, Any] = asked.config or {}
    await agent.log.read_barrier()
    await mesh.authority.configure(asked.provider, config, asked.force_without_cross_signing)
    return Response(200)


# --- leafs ------------------------------------------------------------------------------------------------------------


async def _leaf(agent: Agent, request: Request) -> Response:
    mesh = mesh_of(agent)
    leafs = mesh.leafs
    if not request.name:
        raise InternalError("URI must be either service, agent, server, or kind")
    await mesh.known()
    mesh.tokens.shown(request.token)
    options = request.options
    if options.index:
        wait_s = min(options.wait_ns / 1e9 or _WAIT_S, _WAIT_S)
        wait_s += agent.rng.random() * wait_s / _JITTER_FRACTION
        before = leafs.index_of(request.name)
        leaf = await leafs.changed_from(request.name, options.index, wait_s)
        cache = "HIT" if leaf.signed.index == before else "MISS"
    else:
        # Consul calls what is in its cache a MISS here, too.
        leaf = await leafs.get(request.name)
        cache = "MISS"
    signed = leaf.signed
    body = {
        "SerialNumber": signed.serial,
        "CertPEM": signed.chain,
        "PrivateKeyPEM": leaf.key,
        "Service": signed.service,
        "ServiceURI": signed.uri,
        "ValidAfter": signed.valid_after,
        "ValidBefore": signed.valid_before,
        "CreateIndex": signed.index,
        "ModifyIndex": signed.index,
    }
    return json_response(body, headers=(("X-Cache", cache), ("X-Consul-Index", str(signed.index))))


ROUTES = (
    Route(
        row="CN1", method="GET", path="/v1/connect/ca/roots", flags="B C", tenancy="", meta_on_error=True,
        read=_roots, encode=_encode_roots,
        summary="the roots that are trusted (?pem: as a chain)",
        example="curl localhost:8500/v1/connect/ca/roots?pem=true",
    ),
    Route(
        row="CN2", method="GET", path="/v1/connect/ca/configuration",
        guard=needs("operator", "write"),
        acl="operator:write", tenancy="",
        handle=_get_configuration,
        summary="configuration of the certificate authority", example="curl localhost:8500/v1/connect/ca/configuration",
    ),
    Route(
        row="CN2", method="PUT", path="/v1/connect/ca/configuration",
        guard=needs("operator", "write"),
        acl="operator:write", tenancy="",
        handle=_put_configuration,
        summary="change it, and rotate the root if needed",
        example="curl -X PUT -d '{\"Provider\":\"consul\",\"Config\":{\"LeafCertTTL\":\"24h\"}}' "
        "localhost:8500/v1/connect/ca/configuration",
    ),
    Route(
        row="A27", method="GET", path="/v1/agent/connect/ca/roots", flags="B Kb", tenancy="", always_cached=True,
        read=_roots, encode=_encode_roots,
        summary="the roots that are trusted, from this agent's cache",
        example="curl localhost:8500/v1/agent/connect/ca/roots",
    ),
    Route(
        row="A28", method="GET", path="/v1/agent/connect/ca/leaf/",
        guard=needs("service", "write", named),
        acl="service:write", flags="B Kb", handle=_leaf,
        summary="a certificate for a service here, with its private key",
        example="curl localhost:8500/v1/agent/connect/ca/leaf/web",
    ),
)  # fmt: skip
