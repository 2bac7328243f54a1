"""The protocol of CNI plugins: what a runtime asks in its environment and on standard input, what is answered. Pure.

A chained plugin hands on what those before it have made (`prevResult`). An error is an answer, too, with a code.

Source: surface row N11; github.com/containernetworking/cni, SPEC.md 1.1.0 (sections 2 and 5). What may change here:
versions of the specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from meshagent.errors import MeshError

__all__ = ["CONFIG_ARG", "VERSIONS", "Asked", "CniError", "asked_of", "refused", "result_of", "versions"]

#: What a plugin that hands on results may be asked for.
VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
#: The argument in which Nomad gives the redirection.
CONFIG_ARG = "CONSUL_IPTABLES_CONFIG"
#: A network configuration with the results of other plugins has a few kilobytes.
MAX_BYTES = 1024 * 1024

INCOMPATIBLE_VERSION, BAD_ENVIRONMENT, BAD_JSON, BAD_CONFIG, OWN = 1, 4, 6, 7, 100
_COMMANDS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")


class CniError(MeshError):
    """What is told to the runtime, with the code of the specification; 100 and more are a plugin's own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: the command, the network namespace as a path, the arguments, and the network configuration."""

    command: str
    netns: str
    args: dict[str, str]
    config: dict[str, Any]

    @property
    def version(self) -> str:
        """The version of the specification that the configuration is written for."""
        found = self.config.get("cniVersion")
        return found if isinstance(found, str) else VERSIONS[0]


def asked_of(environ: Mapping[str, str], stdin: bytes) -> Asked:
    """What is asked. Raises CniError."""
    command = environ.get("CNI_COMMAND", "")
    if command not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        raise CniError(BAD_ENVIRONMENT, f"CNI_COMMAND is {command!r}: a runtime starts this program; known are {known}")
    if len(stdin) > MAX_BYTES:
        raise CniError(BAD_JSON, f"the network configuration has more than {MAX_BYTES} bytes")
    try:
        config = msgspec.json.decode(stdin, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CniError(BAD_JSON, f"the network configuration cannot be read: {error}") from None
    asked = Asked(command, environ.get("CNI_NETNS", ""), _args(environ.get("CNI_ARGS", "")), config)
    if command != "VERSION" and asked.version not in VERSIONS:
        raise CniError(INCOMPATIBLE_VERSION, f"cniVersion {asked.version!r} is none of {', '.join(VERSIONS)}")
    if command == "ADD" and not asked.netns:
        raise CniError(BAD_ENVIRONMENT, "CNI_NETNS is missing")
    return asked


def _args(text: str) -> dict[str, str]:
    """`K=V;K2=V2`; JSON has neither of the two in the places where they part."""
    pairs = [part.partition("=") for part in text.split(";") if part]
    if any(not mark for _, mark, _ in pairs):
        raise CniError(BAD_ENVIRONMENT, "CNI_ARGS is not name=value;name=value")
    return {name: value for name, _, value in pairs}


def result_of(asked: Asked) -> bytes:
    """What ADD answers: what the plugins before have made. Raises CniError: they made nothing of use."""
    before = asked.config.get("prevResult")
    if before is None:
        return msgspec.json.encode({"cniVersion": asked.version})
    if not isinstance(before, dict):
        raise CniError(BAD_CONFIG, "prevResult is not an object")
    if not before.get("ips"):
        raise CniError(BAD_CONFIG, "got no container IPs: prevResult has no ips")
    return msgspec.json.encode({**before, "cniVersion": asked.version})


def versions(asked: Asked) -> bytes:
    """What VERSION answers."""
    return msgspec.json.encode({"cniVersion": asked.version, "supportedVersions": VERSIONS})


def refused(error: MeshError, version: str = VERSIONS[0]) -> bytes:
    """What an error is told as."""
    code = error.code if isinstance(error, CniError) else OWN
    return msgspec.json.encode({"cniVersion": version, "code": code, "msg": str(error)})
