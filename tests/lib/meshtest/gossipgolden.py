"""The captured packets and reactions of tests/data/golden/gossip, and a codec for each of their pools."""

from __future__ import annotations

import base64
import json
from typing import Any

from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.seal import Seal
from meshtest import ROOT

FOLDER = ROOT / "tests" / "data" / "golden" / "gossip"


def load(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


MESSAGES = load("messages.jsonl")
REACTIONS = load("reactions.jsonl")


class Ring:
    """A keyring that does not change."""

    version = 1

    def __init__(self, *keys: bytes) -> None:
        self.keys = keys


def layers(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The outer layers of a line, by name."""
    found = {}
    while True:
        found[tree["layer"]] = tree
        if "inner" not in tree:
            return found
        tree = tree["inner"]


def codec_for(row: dict[str, Any]) -> PacketCodec:
    """The pool's codec, which takes the nonce of the capture; keys, label and compression as the line says."""
    found = layers(row["decoded"]) if "decoded" in row else {}
    label = row.get("label", "") or found.get("label", {}).get("label", "")
    sealed = found.get("encrypt") or found.get("stream-encrypt") or {}
    keys = [base64.b64decode(row["key_base64"])] if "key_base64" in row else []
    nonce = bytes.fromhex(sealed.get("nonce", "00" * 12))
    seal = Seal(Ring(*keys), lambda: nonce, crypto_version=sealed.get("version", 1))
    return PacketCodec(seal, label=label, compression="compress" in found)
