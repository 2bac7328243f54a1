"""I/O edge: `meshagent exec`: run a command on the nodes of the cluster, and show what they say.

Source: surface row CL10; developer.hashicorp.com/consul/commands/exec. The job and its answers are keys that a session
holds (`agent/remote_exec.py`), announced with an event; they vanish with the session. Agents run nothing unless
`disable_remote_exec = false` stands in their configuration.

What may change here: nothing that a script parses.
"""

from __future__ import annotations

import base64
import contextlib
import sys
import threading
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, switch, text
from meshagent.agent.cli.kept_session import kept_session
from meshagent.agent.cli.output import fail, say
from meshagent.durations import parse_duration
from meshagent.errors import MeshError

__all__ = ["exec_"]


@api_command("exec", "[COMMAND...]", "Run a command on the nodes of the cluster")
@text("node", "Only nodes whose name matches this regular expression")
@text("service", "Only nodes with a service whose name matches")
@text("tag", "Only with -service: whose tags match")
@text("prefix", "Prefix of the keys that carry job and answers", default="_rexec")
@text("shell", "Have the nodes run the words by a shell: true or false", default="true")
@text("wait", "End when nothing was heard for so long", default="2s")
@text("wait-repl", "Time for the job to reach all servers before it is announced", default="200ms")
@switch("verbose", "Say what happens")
def exec_(
    client: Client,
    args: tuple[str, ...],
    node: str,
    service: str,
    tag: str,
    prefix: str,
    shell: str,
    wait: str,
    wait_repl: str,
    verbose: bool,
) -> int:
    """Run COMMAND on all nodes, or on those that -node, -service and -tag choose. With - or without words, the script
    that stands on standard input."""
    from meshagent.agent.remote_exec import EVENT, Announcement, Job

    wait_ns, repl_ns = _nanoseconds("wait", wait), _nanoseconds("wait-repl", wait_repl)
    if tag and not service:
        raise fail("Cannot provide tag filter without service filter.")
    given: dict[str, Any] = {"Wait": wait_ns}
    if not args or args == ("-",):
        script = sys.stdin.buffer.read()
        if not script.strip():
            raise fail("Must specify a command to execute")
        given["Script"] = base64.b64encode(script).decode()
    elif shell.lower() in {"0", "f", "false"}:
        given["Args"] = list(args)
    else:
        given["Command"] = " ".join(args)
    tell = say if verbose else _quiet
    pause = threading.Event()
    with kept_session(client, "Remote Exec", "delete") as session:
        base = f"{prefix}/{session}"
        job = Job(given.get("Command", ""), tuple(given.get("Args", ())), given.get("Script", ""), wait_ns)
        if client.put(f"kv/{base}/job", {"acquire": session}, value=_plain(job)).json() is not True:
            raise fail("Failed to create job file: the session is gone")
        tell("Uploaded remote execution spec")
        pause.wait(repl_ns / 1e9)
        filters = {"node": node, "service": service, "tag": tag}
        fired = client.put(
            f"event/fire/{EVENT}",
            {name: value for name, value in filters.items() if value},
            value=_plain(Announcement(prefix, session)),
        ).json()
        tell(f"Fired remote execution event: {fired['ID']}")
        try:
            return _collect(client, base, wait_ns / 1e9)
        finally:
            with contextlib.suppress(MeshError):
                client.request("DELETE", f"kv/{base}", {"recurse": ""})


def _quiet(message: str) -> None:
    return


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def _nanoseconds(flag: str, word: str) -> int:
    try:
        return parse_duration(word)
    except ValueError as error:
        raise fail(f"invalid value for -{flag}: {error}") from None


def _collect(client: Client, base: str, wait_s: float) -> int:
    """Show what comes until all that took the job have ended, and `wait_s` passed without a word; the status."""
    seen: set[str] = set()
    acknowledged, ended, failed, index = set[str](), set[str](), 0, 0
    while True:
        query = {"keys": "", "wait": f"{max(1, round(wait_s * 1000))}ms", **({"index": str(index)} if index else {})}
        answer = client.request("GET", f"kv/{base}/", query, accept=(200, 404))
        keys = answer.json() if answer.status == 200 else []
        now = int({name.lower(): value for name, value in answer.headers.items()}.get("x-consul-index", "1"))
        new = sorted(set(keys) - seen, key=_as_it_happened)
        if not new and index and (now == index or not acknowledged - ended):
            break
        index = now
        seen.update(new)
        for key in new:
            node, _, what = key.removeprefix(f"{base}/").partition("/")
            if what == "ack":
                acknowledged.add(node)
            elif what == "exit":
                code = int(_value(client, key) or b"255")
                ended.add(node)
                failed += code != 0
                say(f"==> {node}: finished with exit code {code}")
            elif what.startswith("out/") and (data := _value(client, key)):
                for line in data.decode("utf-8", "replace").splitlines():
                    say(f"    {node}: {line}")
    say(f"{len(ended)} / {len(acknowledged)} node(s) completed / acknowledged")
    return 2 if failed or acknowledged - ended else 0


def _as_it_happened(key: str) -> tuple[bool, str]:
    """Keys sort `exit` before `out/`; a command has said all it will say before it ends."""
    return key.endswith("/exit"), key


def _value(client: Client, key: str) -> bytes:
    answer = client.request("GET", f"kv/{key}", {"raw": ""}, accept=(200, 404))
    return answer.body if answer.status == 200 else b""
