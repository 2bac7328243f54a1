"""`api-gateway` and `bound-api-gateway`: a gateway's listeners as written, and what is bound to them.

Source: surface row M31; developer.hashicorp.com/consul/docs/connect/config-entries/api-gateway. The bound form and the
status are computed (`binding.py`), nobody writes them. What may change here: fields are added with a default.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import Entry, Part, changed, tls_problem
from meshagent.catalog.entries.service_intentions import IntentionJWT
from meshagent.catalog.model import always

__all__ = ["APIGateway", "APIListener", "BoundAPIGateway", "BoundListener", "Condition", "Reference", "Status"]

CERTIFICATE_KINDS = ("file-system-certificate", "inline-certificate")


class Reference(Part, frozen=True, kw_only=True):
    """An entry, or a part of it."""

    kind: str = always("")
    name: str = always("")
    section_name: str = always("")


class CertificateRef(Part, frozen=True, kw_only=True):
    """A certificate entry."""

    kind: str = always("")
    name: str = always("")
    section_name: str = ""


class ParentRef(Part, frozen=True, kw_only=True):
    """The gateway, or its listener `section_name`, that a route wants."""

    kind: str = always("")
    name: str = always("")
    section_name: str = always("")


class Condition(Part, frozen=True, kw_only=True):
    """One thing that is or is not so, since `last_transition_time` (RFC 3339)."""

    type: str = always("")
    status: str = always("")
    reason: str = always("")
    message: str = always("")
    resource: Reference = always(Reference())
    last_transition_time: str = always("")


class Status(Part, frozen=True, kw_only=True):
    """What became of an entry."""

    conditions: tuple[Condition, ...] | None = always(None)


class ListenerTLS(Part, frozen=True, kw_only=True):
    """TLS of a listener."""

    certificates: tuple[CertificateRef, ...] | None = always(None)
    max_version: str = always("")
    min_version: str = always("")
    cipher_suites: tuple[str, ...] | None = always(None)


class ListenerPolicy(Part, frozen=True, kw_only=True):
    """Policy of a listener."""

    jwt: IntentionJWT | None = None


class APIListener(Part, frozen=True, kw_only=True):
    """One port and host name."""

    name: str = always("")
    hostname: str = always("")
    port: int = always(0)
    protocol: str = always("")
    tls: ListenerTLS = always(ListenerTLS())
    override: ListenerPolicy | None = None
    default: ListenerPolicy | None = None


class APIGateway(Entry, frozen=True, kw_only=True, tag="api-gateway"):
    """Listeners of the gateway service `name`."""

    listeners: tuple[APIListener, ...] | None = always(None)
    status: Status = always(Status())

    def normalised(self) -> APIGateway:
        listeners = tuple(
            changed(
                one,
                protocol=one.protocol.lower(),
                tls=changed(
                    one.tls,
                    certificates=tuple(
                        changed(ref, kind=ref.kind or "inline-certificate") for ref in one.tls.certificates
                    )
                    if one.tls.certificates is not None
                    else None,
                ),
            )
            for one in self.listeners or ()
        )
        result: APIGateway = changed(self, listeners=listeners)
        return result

    def problem(self) -> str:
        listeners = self.listeners or ()
        if not listeners:
            return "api gateway must have at least one listener"
        names: set[str] = set()
        for listener in listeners:
            if listener.name in names:
                return f'found multiple listeners with the name "{listener.name}"'
            names.add(listener.name)
        by_port: dict[int, APIListener] = {}
        for listener in listeners:
            found = _listener_problem(listener)
            if found:
                return found
            other = by_port.setdefault(listener.port, listener)
            if other is not listener and (other.protocol != listener.protocol or other.hostname == listener.hostname):
                return f'listeners "{other.name}" and "{listener.name}" cannot be merged'
        return ""


def _listener_problem(listener: APIListener) -> str:
    if listener.protocol not in {"http", "tcp"}:
        return f"unsupported listener protocol \"{listener.protocol}\", must be one of 'tcp', or 'http'"
    if listener.protocol == "tcp" and listener.hostname:
        return "hostname specification is not supported when using TCP"
    if not 1 <= listener.port <= 65535:
        return f"listener port {listener.port} not in the range 1-65535"
    for ref in listener.tls.certificates or ():
        if ref.kind not in CERTIFICATE_KINDS:
            kinds = " or ".join(f"'{kind}'" for kind in CERTIFICATE_KINDS)
            return f'unsupported certificate kind: "{ref.kind}", must be {kinds}'
        if not ref.name:
            return "certificate reference must have a name"
    return tls_problem(listener.tls.min_version, listener.tls.max_version, listener.tls.cipher_suites)


class BoundListener(Part, frozen=True, kw_only=True):
    """Routes and certificates of one listener."""

    name: str = always("")
    routes: tuple[Reference, ...] | None = always(None)
    certificates: tuple[Reference, ...] | None = always(None)


class BoundAPIGateway(Entry, frozen=True, kw_only=True, tag="bound-api-gateway"):
    """What is bound to the api-gateway of the same name; `services` by the routes that lead to them."""

    listeners: tuple[BoundListener, ...] | None = always(None)
    services: dict[str, tuple[Reference, ...]] | None = always(None)
