"""Identities that stand for rules: a token for a service or a node needs no policy of its own.

Source: surface rows L25-L27, AC15; developer.hashicorp.com/consul/docs/secure/acl/role, .../templated-policy. The
templates are data: what is shown by the API, with `{{.Name}}` where the name goes. A service or node identity is the
template of that kind. Pure.

What may change here: a template is a row; what one grants, only upstream's way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from meshagent.catalog.acl.rules import Rule, parse_rules
from meshagent.errors import BadRequest

__all__ = ["TEMPLATES", "Template", "named_identity", "node_rules", "service_rules"]

_SERVICE = re.compile(r"[a-z0-9]([a-z0-9\-_]*[a-z0-9])?\Z")
MAX_NAME_CHARS = 256
_NAME = "{{.Name}}"
_READ = {kind: f'{kind}_prefix "" {{\n\tpolicy = "read"\n}}' for kind in ("node", "service", "query")}
#: The JSON schema of a template with a name.
NAMED = """{
\t"type": "object",
\t"properties": {
\t\t"name": { "type": "string", "$ref": "#/definitions/min-length-one" }
\t},
\t"required": ["name"],
\t"definitions": {
\t\t"min-length-one": {
\t\t\t\t"type": "string",
\t\t\t\t"minLength": 1
\t\t}
\t}
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One templated policy. `identity`: what its name is the name of, "" for a template without a name."""

    name: str
    id: str = ""
    identity: str = ""
    text: str
    description: str

    @property
    def schema(self) -> str:
        """The JSON schema of its variables, "" where it has none."""
        return NAMED if self.identity else ""

    def rules_text(self, name: str = "") -> str:
        """Its rules for `name`.

        Raises:
            BadRequest: it needs a name that can be one.
        """
        if self.identity:
            _check(self.identity, name, f'validation error for templated policy: "{self.name}": ')
        return self.text.replace(_NAME, name)

    def rules(self, name: str = "") -> tuple[Rule, ...]:
        """The same, read. Raises as `rules_text`."""
        return parse_rules(self.rules_text(name))


def _named(kind: str, name: str = _NAME) -> str:
    return f'{kind} "{name}" {{\n\tpolicy = "write"\n}}'


_GIVES = "Gives the token or role permissions "
_NOMAD = '{} {{\n  policy = "{}"\n}}'

TEMPLATES: Mapping[str, Template] = {
    row.name: row
    for row in (
        Template(
            name="builtin/api-gateway",
            id="00000000-0000-0000-0000-000000000008",
            identity="service",
            text="\n".join(('mesh = "read"', _READ["node"], _READ["service"], _named("service"))),
            description=_GIVES + "for a Consul api gateway",
        ),
        Template(
            name="builtin/dns",
            id="00000000-0000-0000-0000-000000000005",
            text="\n".join(("", _READ["node"], _READ["service"], _READ["query"])),
            description=_GIVES + "for the Consul DNS to query services in the network.",
        ),
        Template(
            name="builtin/node",
            id="00000000-0000-0000-0000-000000000004",
            identity="node",
            text="\n".join(("", _named("node"), _READ["service"])),
            description=_GIVES
            + "for a register an agent/node into the catalog. A node is typically a consul agent but can also be a "
            "physical server, cloud instance or a container.",
        ),
        Template(
            name="builtin/nomad-client",
            id="00000000-0000-0000-0000-000000000007",
            text="\n".join(
                _NOMAD.format(f'{kind}_prefix ""', level)
                for kind, level in (("agent", "read"), ("node", "read"), ("service", "write"), ("key", "read"))
            ),
            description=_GIVES + "required for integration with a nomad client.",
        ),
        Template(
            name="builtin/nomad-server",
            id="00000000-0000-0000-0000-000000000006",
            text='\nacl = "write"\n'
            + "\n".join(
                _NOMAD.format(f'{kind}_prefix ""', level)
                for kind, level in (("agent", "read"), ("node", "read"), ("service", "write"))
            ),
            description=_GIVES + "required for integration with a nomad server.",
        ),
        Template(
            name="builtin/service",
            id="00000000-0000-0000-0000-000000000003",
            identity="service",
            text="\n".join(
                (
                    "",
                    _named("service"),
                    _named("service", f"{_NAME}-sidecar-proxy"),
                    _READ["service"],
                    _READ["node"],
                )
            ),
            description=_GIVES
            + "to register a service and discover services in the Consul catalog. It also gives the specified "
            "service's sidecar proxy the permission to discover and route traffic to other services.",
        ),
    )
}


def service_rules(name: str) -> tuple[Rule, ...]:
    """What the identity of a service grants. Raises BadRequest for a name that cannot be one."""
    _check("service", name, "")
    return TEMPLATES["builtin/service"].rules(name)


def node_rules(name: str) -> tuple[Rule, ...]:
    """What the identity of a node grants, in its datacenter. Raises BadRequest."""
    _check("node", name, "")
    return TEMPLATES["builtin/node"].rules(name)


def named_identity(name: str) -> bool:
    """Whether a service or node of that name can have an identity."""
    return len(name) < MAX_NAME_CHARS and _SERVICE.match(name) is not None


def _check(kind: str, name: str, where: str) -> None:
    if not named_identity(name):
        raise BadRequest(
            f'{where}{kind} identity "{name}" has an invalid name. Only lowercase alphanumeric characters, '
            "'-' and '_' are allowed"
        )
