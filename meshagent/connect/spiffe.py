"""SPIFFE ids: who a certificate speaks for, as text and as a value.

Source: surface rows M60, M61; github.com/spiffe/spiffe, "SPIFFE-ID". The forms:

    spiffe://<td>/ns/<ns>/dc/<dc>/svc/<service>        a service; other partitions put /ap/<partition> before
    spiffe://<td>/agent/client/dc/<dc>/id/<node>       a client agent
    spiffe://<td>/agent/server/dc/<dc>                 the servers of a datacenter
    spiffe://<td>/gateway/mesh/dc/<dc>                 a mesh gateway
    spiffe://<td>                                      the authority itself

Names are percent-escaped in the text and plain in the value. What may change here: further forms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from meshagent.errors import RemoteProtocolError

__all__ = ["MAX_URI_BYTES", "SpiffeID", "format", "parse", "service_id"]

#: RFC-like bound of the SPIFFE standard (section 2.4).
MAX_URI_BYTES = 2048

SERVICE, AGENT, SERVER, MESH_GATEWAY, AUTHORITY = "service", "agent", "server", "mesh-gateway", "authority"

_NOT_ONE = "not a valid Connect identifier"
_NAME = "([^/]+)"
_FORMS: tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...] = (
    (
        SERVICE,
        re.compile(f"(?:/ap/{_NAME})?/ns/{_NAME}/dc/{_NAME}/svc/{_NAME}"),
        ("partition", "namespace", "datacenter", "name"),
    ),
    (
        AGENT,
        re.compile(f"(?:/ap/{_NAME})?/agent/client/dc/{_NAME}/id/{_NAME}"),
        ("partition", "datacenter", "name"),
    ),
    (SERVER, re.compile(f"/agent/server/dc/{_NAME}"), ("datacenter",)),
    (MESH_GATEWAY, re.compile(f"(?:/ap/{_NAME})?/gateway/mesh/dc/{_NAME}"), ("partition", "datacenter")),
    (AUTHORITY, re.compile("/?"), ()),
)
_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}")


@dataclass(frozen=True, slots=True)
class SpiffeID:
    """An identity. `kind` is one of the words above; what a kind does not have is "" or "default"."""

    trust_domain: str
    kind: str
    datacenter: str = ""
    name: str = ""
    namespace: str = "default"
    partition: str = "default"


def service_id(trust_domain: str, datacenter: str, service: str) -> SpiffeID:
    """The identity of a service."""
    return SpiffeID(trust_domain, SERVICE, datacenter, service)


def parse(uri: str) -> SpiffeID:
    """The identity that `uri` names; `spiffe://<td>/ns/default/dc/dc1/svc/we%62` is the service `web`.

    Raises:
        RemoteProtocolError: it names none.
    """
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme.lower() != "spiffe" or len(uri) > MAX_URI_BYTES or "?" in rest or "#" in rest:
        raise RemoteProtocolError(_NOT_ONE)
    host, slash, path = rest.partition("/")
    if not _HOST.fullmatch(host):
        raise RemoteProtocolError(_NOT_ONE)
    for kind, form, names in _FORMS:
        match = form.fullmatch(slash + path)
        if match is not None:
            found = {name: _unescaped(text) for name, text in zip(names, match.groups(), strict=True) if text}
            return SpiffeID(host.lower(), kind, **found)
    raise RemoteProtocolError(_NOT_ONE)


def format(identity: SpiffeID) -> str:
    """The text of an identity."""
    where = "" if identity.partition == "default" else f"/ap/{_escaped(identity.partition)}"
    dc = _escaped(identity.datacenter)
    path = {
        SERVICE: f"{where}/ns/{_escaped(identity.namespace)}/dc/{dc}/svc/{_escaped(identity.name)}",
        AGENT: f"{where}/agent/client/dc/{dc}/id/{_escaped(identity.name)}",
        SERVER: f"/agent/server/dc/{dc}",
        MESH_GATEWAY: f"{where}/gateway/mesh/dc/{dc}",
        AUTHORITY: "",
    }[identity.kind]
    return f"spiffe://{identity.trust_domain}{path}"


def _unescaped(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise RemoteProtocolError(_NOT_ONE) from None


def _escaped(text: str) -> str:
    return quote(text, safe="!$&'()*+,;=:@")
