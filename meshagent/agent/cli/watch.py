"""I/O edge: `meshagent watch`: run a program at every change of something, or show it once.

Source: surface row CL9; developer.hashicorp.com/consul/commands/watch. Without a program the present answer is printed
and the command ends. The child gets JSON on standard input and the index in CONSUL_INDEX; the words of its command line
are one line for a shell unless -shell=false, as in Consul: it is the caller's own shell.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from urllib.parse import parse_qsl, unquote

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, text
from meshagent.agent.cli.output import fail, say, show_json
from meshagent.errors import MeshError

__all__ = ["watch"]

#: Longer than the longest wait of a blocking read, with its jitter.
_ANSWER_TIMEOUT_S = 700.0


@api_command("watch", "[CHILD...]", "Run a program at every change of something")
@text("type", "What to watch: key, keyprefix, services, nodes, service, checks, event, connect_roots, ...")
@text("key", "The key, for key")
@text("prefix", "The prefix, for keyprefix")
@text("service", "The service, for service, checks and connect_leaf")
@text("service-id", "The instance, for agent_service")
@text("tag", "Only instances with this tag; may be given several times", multiple=True)
@text("passingonly", "Only passing instances: true or false", default="")
@text("state", "The state of checks")
@text("name", "The name of events")
@text("filter", "Only what matches this expression")
@text("shell", "Run the child by a shell: true or false", default="true")
def watch(
    client: Client,
    args: tuple[str, ...],
    type: str,
    key: str,
    prefix: str,
    service: str,
    service_id: str,
    tag: tuple[str, ...],
    passingonly: str,
    state: str,
    name: str,
    filter: str,
    shell: str,
) -> int:
    """Watch something: run CHILD with it at every change, or without a child print it once."""
    from meshagent.agent.config.watches import Watch
    from meshagent.agent.watches.follow import Follower

    watched = Watch(  # the client adds the datacenter and -stale
        type=type,
        filter=filter,
        key=key,
        prefix=prefix,
        service=service,
        service_id=service_id,
        tag=tag,
        passingonly=_bool(passingonly or "false", "passingonly"),
        state=state,
        name=name,
        args=args or ("-",),
    )
    by_shell = _bool(shell, "shell")
    if problem := watched.problem():
        raise fail(problem)
    follower = Follower(watched)
    patient = Client(client.endpoint, _ANSWER_TIMEOUT_S)
    while True:
        path, _, query = follower.target.removeprefix("/v1/").partition("?")
        try:
            answer = patient.request("GET", unquote(path), parse_qsl(query, True), accept=range(100, 600))
            change = follower.take(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.body)
        except MeshError as error:
            pause_s = follower.failed()
            if not args:
                raise
            print(f"{error}; again in {pause_s:g} s", file=sys.stderr)
            time.sleep(pause_s)  # noqa: TID251  a command has nothing else to do
            continue
        if change is None:
            continue
        if not args:
            show_json(change.value)
            return 0
        code = _run(args, by_shell, change.body, change.index)
        if code:
            say(f"Error executing handler: exit status {code}")


def _run(args: tuple[str, ...], by_shell: bool, body: bytes, index: str) -> int:
    line = (os.environ.get("SHELL") or "/bin/sh", "-c", " ".join(args)) if by_shell else args
    variables = {**os.environ, "CONSUL_INDEX": index}
    try:
        return subprocess.run(line, input=body, env=variables, check=False).returncode  # noqa: S603  the caller's own
    except OSError as error:
        raise fail(f"cannot run {line[0]}: {error.strerror}") from None


def _bool(value: str, flag: str) -> bool:
    if value.lower() in {"1", "t", "true"}:
        return True
    if value.lower() in {"0", "f", "false"}:
        return False
    raise fail(f'invalid boolean value "{value}" for -{flag}: true or false')
