"""`meshagent services register|deregister`.

Source: surface row CL8; developer.hashicorp.com/consul/commands/services. Files are JSON or HCL with `service` or
`services`, as in a configuration directory; the agent checks them. What may change here: nothing that a script parses.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, pairs, text
from meshagent.agent.cli.output import fail, say

if TYPE_CHECKING:
    from meshagent.agent.definitions import ServiceDefinition

__all__ = ["deregister", "register"]


def definitions_in(path: str) -> list[ServiceDefinition]:
    """The services that a file defines; `-` is standard input, in either format."""
    from meshagent.agent.decode import Problem, decode_file_value
    from meshagent.agent.definitions import ServiceDefinition
    from meshagent.hcl import parse_hcl, parse_json
    from meshagent.located import told

    if path == "-":
        content = sys.stdin.read()
    else:
        try:
            with open(path, encoding="utf-8") as file:
                content = file.read()
        except FileNotFoundError:
            raise fail(f"there is no file {path}; a service is named with -id or -name") from None
        except (OSError, UnicodeDecodeError) as error:
            raise fail(f"cannot read {path}: {error}") from None
    root = (parse_json if path.endswith(".json") else parse_hcl)(content, path).root
    found: list[ServiceDefinition] = []
    problems: list[str] = []
    for key in ("service", "services"):
        given = root.get(key, [])
        wrong: list[Problem] = []
        services = decode_file_value(
            tuple[ServiceDefinition, ...], given if isinstance(given, list) else [given], wrong
        )
        problems += [told(root, key, key, problem) for problem in wrong]
        found += services or ()
    if problems:
        raise fail("\n".join(problems))
    if not found:
        raise fail(f"{path} defines no service: it needs service {{ name = ... }} or services")
    return found


@api_command("register", "[FILE...]", "Add services to the agent")
@text("name", "The service's name")
@text("id", "The instance's id, the name by default")
@text("port", "Its port", default=0, kind=int)
@text("address", "Its address, the node's by default")
@text("socket", "Its Unix socket in place of a port")
@text("kind", "Its kind: a proxy or a gateway")
@text("tag", "A tag; may be given several times", multiple=True)
@text("meta", "Metadata, key=value; may be given several times", multiple=True)
@text("tagged-address", "A tagged address, tag=address:port; may be given several times", multiple=True)
def register(
    client: Client,
    args: tuple[str, ...],
    name: str,
    id: str,
    port: int,
    address: str,
    socket: str,
    kind: str,
    tag: tuple[str, ...],
    meta: tuple[str, ...],
    tagged_address: tuple[str, ...],
) -> None:
    """Register services with the agent: from files (JSON or HCL), or one from flags."""
    if not args and not name:
        raise fail("Service registration requires at least one argument or flags.")
    if args and name:
        raise fail("Service registration requires arguments or -name, not both.")
    if args:
        from meshagent.agent.decode import to_builtins

        for service in [service for path in args for service in definitions_in(path)]:
            body = to_builtins(service)
            body.pop("Token", None)
            _register(client, body)
        return
    given: dict[str, Any] = {
        "Name": name,
        "ID": id,
        "Port": port,
        "Address": address,
        "SocketPath": socket,
        "Kind": kind,
        "Tags": list(tag),
        "Meta": dict(pairs(meta, "meta")),
        "TaggedAddresses": {key: _address(value) for key, value in pairs(tagged_address, "tagged-address").items()},
    }
    _register(client, {key: value for key, value in given.items() if value})


def _address(value: str) -> dict[str, Any]:
    host, colon, port = value.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return {"Address": value.strip("[]")}
    if not port.isdecimal():
        raise fail(f'invalid value "{value}" for flag -tagged-address: the port must be a number')
    return {"Address": host.strip("[]"), "Port": int(port)}


def _register(client: Client, body: dict[str, Any]) -> None:
    try:
        client.put("agent/service/register", value=body)
    except ApiError as error:
        raise fail(f'Error registering service "{body.get("Name", "")}": {error}') from None
    say(f"Registered service: {body['Name']}")


@api_command("deregister", "[FILE...]", "Remove services from the agent")
@text("id", "The id of the instance")
def deregister(client: Client, args: tuple[str, ...], id: str) -> None:
    """Remove services from the agent: those that files define, or one by its id."""
    if not args and not id:
        raise fail("Service deregistration requires at least one argument or -id.")
    if args and id:
        raise fail("Service deregistration requires arguments or -id, not both.")
    for service_id in [id] if id else [service.service_id for path in args for service in definitions_in(path)]:
        try:
            client.put(f"agent/service/deregister/{service_id}")
        except ApiError as error:
            raise fail(f'Error deregistering service "{service_id}": {error}') from None
        say(f"Deregistered service: {service_id}")
