"""The recorded answers as a server: what a perfect agent would say, with values in place of the placeholders.

Feeding them back must score 100 %: that checks matcher and replayer without any agent. Pure.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from meshtest.golden import Answer, DnsAnswer, wait_of
from meshtest.placeholders import PLACEHOLDER

PEM = "-----BEGIN {0}-----\nMAMCAQE=\n-----END {0}-----\n"
FREE: dict[str, Any] = {
    "index": 7,
    "time": "2024-05-06T07:08:09.123456789Z",
    "serial": 12345,
    "version": "1.20.1",
    "revision": "920cc7c6",
    "number": 3,
    "ms": 2,
    "any": "anything",
}


class RecordedTransport:
    """Answers each step with its own recording; nothing sleeps."""

    def __init__(self, ports: dict[str, int], directory: str) -> None:
        self._ports = ports
        self._directory = directory
        self.asked: list[str] = []

    def http(self, step: dict[str, Any], method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        self.asked.append(path)
        response = step["response"]
        wait_s = wait_of(path) or 0.0
        return Answer(
            response["status"],
            {name.lower(): str(self.concrete(value)) for name, value in response.get("headers", {}).items()},
            self.body(step),
            0.01 if response.get("woken") else wait_s * 1.05,
        )

    def body(self, step: dict[str, Any]) -> bytes:
        response, compare = step["response"], step.get("compare")
        if "text" in response:
            return self.inside(response["text"]).encode()
        if "base64" in response:
            return base64.b64decode(response["base64"])
        if "json" not in response:
            return b""
        value = response["json"]
        if compare == "prometheus-names":
            return "".join(f"# TYPE {name} gauge\n{name} 1\n" for name in value).encode()
        if compare == "metric-names":
            value = {family: [{"Name": name} for name in names] for family, names in value.items()}
        elif compare == "keys":
            value = dict.fromkeys(value)
        elif compare == "shape":
            value = of_shape(value)
        return json.dumps(self.concrete(value), indent=4 if response.get("pretty") else None).encode()

    def dns(self, step: dict[str, Any]) -> DnsAnswer:
        response = step["response"]
        if response.get("reply") is False:
            return DnsAnswer(reply=False)
        sections = {}
        for name in ("question", "answer", "authority", "additional"):
            records = response.get(name, [])
            if f"{name}_pool" in response:
                records = response[f"{name}_pool"][: response[f"{name}_count"]]
            sections[name] = [self.inside(record) for record in records]
        return DnsAnswer(
            reply=True,
            rcode=response["rcode"],
            flags=list(response["flags"]),
            opcode=response.get("opcode", 0),
            sections=sections,
            edns=response.get("edns"),
            size=response["size"],
        )

    def sleep(self, seconds: float) -> None:
        """Recorded answers are there at once."""

    def concrete(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.inside(key): self.concrete(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.concrete(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = PLACEHOLDER.fullmatch(value)
        return self._value(whole) if whole else self.inside(value)

    def inside(self, text: str) -> str:
        return PLACEHOLDER.sub(lambda found: str(self._value(found)), text)

    def _value(self, found: re.Match[str]) -> Any:
        if found["bound"]:
            number = int(found["number"])
            return {
                "uuid": f"{number:08x}-1111-4111-8111-{number:012x}",
                "index": 100 + 7 * number,
                "hash": f"cafe{number:04d}",
                "token": f"tok{number:04d}==",
            }[found["bound"]]
        if found["port"]:
            return self._ports[found["port"]]
        if found["hex"]:
            return ":".join(["a1"] * int(found["hex"]))
        if found["pem"]:
            return PEM.format(found["pem"])
        return self._directory if found["free"] == "dir" else FREE[found["free"]]


def of_shape(shape: Any) -> Any:
    """A value of a recorded shape."""
    if isinstance(shape, dict):
        return {"some-key" if name == "<any>" else name: of_shape(item) for name, item in shape.items()}
    if isinstance(shape, list):
        return [of_shape(item) for item in shape]
    return {"string": "s", "number": 1, "bool": True, "null": None}[shape]
