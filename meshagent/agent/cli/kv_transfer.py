"""`meshagent kv export|import`: keys as JSON, to back up and to move.

Source: surface row CL7; developer.hashicorp.com/consul/commands/kv/export. What may change here: nothing, files made by
Consul are read and the other way round.
"""

from __future__ import annotations

import base64
import binascii
import json

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.kv import data_of, key_of
from meshagent.agent.cli.output import fail, say

__all__ = ["export", "import_keys"]


@api_command("export", "[PREFIX]", "Print keys as JSON")
def export(client: Client, args: tuple[str, ...]) -> None:
    """Print all keys under PREFIX as a JSON list of key, flags and value (base64)."""
    expect(args, 0, 1)
    answer = client.request("GET", f"kv/{key_of(args)}", {"recurse": ""}, accept=(200, 404))
    entries = answer.json() if answer.status == 200 else []
    rows = [{"key": e["Key"], "flags": e["Flags"], "value": e["Value"] or ""} for e in entries]
    say(json.dumps(rows, indent="\t", ensure_ascii=False))


@api_command("import", "[DATA]", "Write keys from JSON")
@text("prefix", "Put this before every key")
def import_keys(client: Client, args: tuple[str, ...], prefix: str) -> None:
    """Write the keys of a JSON list made by export. DATA may be @file, or - for standard input."""
    expect(args, 1, 1, "Error! Missing DATA argument")
    try:
        rows = json.loads(data_of(args[0]))
        if not isinstance(rows, list):
            raise TypeError("a list of objects was expected")
        entries = [
            (prefix + str(row["key"]), int(row.get("flags", 0)), base64.b64decode(row.get("value", ""), validate=True))
            for row in rows
        ]
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise fail(f"Cannot unmarshal data: {error}") from None
    except KeyError as error:
        raise fail(f"Cannot unmarshal data: an entry has no {error}") from None
    for key, flags, value in entries:
        client.put(f"kv/{key.removeprefix('/')}", {"flags": str(flags)} if flags else {}, value)
        say(f"Imported: {key}")
