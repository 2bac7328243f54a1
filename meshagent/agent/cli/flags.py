"""Command flags as Go reads them: `-flag`, `--flag`, `-flag=value`, `-flag value`, up to the first other word.

Source: pkg.go.dev/flag (the syntax all Consul commands share); surface section 8. `GoCommand` turns such words into
what click expects, so a command declares ordinary click options (`--http-addr`). What may change here: nothing that a
script could have written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from meshagent.agent.cli.client import Client, environment, settings_from
from meshagent.agent.cli.go_flags import HelpWanted, UsageProblem, read_flags

__all__ = ["GoCommand", "api_command", "command", "switch", "text"]


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class _GoHelp:
    """Options listed as `-name=<value>`."""

    @staticmethod
    def record(param: click.Option, ctx: click.Context) -> tuple[str, str] | None:
        if param.hidden:
            return None
        name = f"-{param.opts[0].lstrip('-')}"
        if not param.is_flag:
            name += "=<value>"
        text = param.help or ""
        if param.envvar:
            text += f" [{param.envvar}]"
        return name, text


class _ApiOption(click.Option):
    """An option of every command that talks to an agent."""


class GoCommand(click.Command):
    """A command whose options are read in Go's way."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = {opt.lstrip("-"): p for p in self.params if isinstance(p, click.Option) for opt in p.opts}
        try:
            flags, rest = read_flags(args, {name: bool(p.is_flag) for name, p in options.items()})
        except HelpWanted:
            click.echo(self.get_help(ctx))
            ctx.exit(0)
        except UsageProblem as problem:
            if ctx.resilient_parsing:
                flags, rest = [], []
            else:
                raise click.UsageError(str(problem), ctx) from None
        words: list[str] = []
        last_switch: dict[str, str] = {}
        for name, value in flags:
            if options[name].is_flag:
                last_switch[name] = value
            else:
                words += [f"--{name}", value]
        words += [f"--{name}" for name, value in last_switch.items() if value == "true"]
        return super().parse_args(ctx, [*words, "--", *rest])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        api: list[tuple[str, str]] = []
        for param in self.params:
            if isinstance(param, click.Option):
                record = _GoHelp.record(param, ctx)
                if record is not None:
                    (api if isinstance(param, _ApiOption) else own).append(record)
        for title, records in (("Options", own), ("HTTP API options", api)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[click.shell_completion.CompletionItem]:
        from click.shell_completion import CompletionItem

        if not incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        names = [f"-{p.opts[0].lstrip('-')}" for p in self.params if isinstance(p, click.Option) and not p.hidden]
        wanted = "-" + incomplete.lstrip("-")
        return [CompletionItem(name) for name in names if name.startswith(wanted)]


def text(name: str, help: str, *, default: Any = "", multiple: bool = False, kind: Any = str) -> Decorator:
    """An option with a value."""
    if multiple:
        return click.option(f"--{name}", help=help, multiple=True, type=kind)
    return click.option(f"--{name}", help=help, default=default, type=kind)


def switch(name: str, help: str) -> Decorator:
    """An option that is on when given (`-name`, `-name=false`)."""
    return click.option(f"--{name}", help=help, is_flag=True, default=False)


#: (name, help) of what every command takes that talks to an agent; `stale` is a switch.
_API_OPTIONS = (
    ("http-addr", "Address of the agent: host:port, http://, https:// or unix:// [CONSUL_HTTP_ADDR]"),
    ("token", "ACL token [CONSUL_HTTP_TOKEN]"),
    ("token-file", "File with the ACL token [CONSUL_HTTP_TOKEN_FILE]"),
    ("ca-file", "File with the authority's certificate [CONSUL_CACERT]"),
    ("ca-path", "Directory of authorities' certificates [CONSUL_CAPATH]"),
    ("client-cert", "Client certificate [CONSUL_CLIENT_CERT]"),
    ("client-key", "Its key [CONSUL_CLIENT_KEY]"),
    ("tls-server-name", "Name to expect in the agent's certificate [CONSUL_TLS_SERVER_NAME]"),
    ("datacenter", "Datacenter to ask"),
    ("namespace", "Namespace (there is only the default one) [CONSUL_NAMESPACE]"),
    ("partition", "Partition (there is only the default one) [CONSUL_PARTITION]"),
    ("stale", "Let any server answer, not only the leader"),
)


def command(name: str, usage: str = "", short_help: str = "") -> Callable[[Callable[..., Any]], click.Command]:
    """A command that needs no agent; remaining words arrive as `args`."""

    def wrap(function: Callable[..., Any]) -> click.Command:
        made = click.command(
            name, cls=GoCommand, short_help=short_help, options_metavar="[options]", add_help_option=False
        )
        return made(click.argument("args", nargs=-1, metavar=usage)(function))

    return wrap


def api_command(name: str, usage: str = "", short_help: str = "") -> Callable[[Callable[..., Any]], click.Command]:
    """A command that talks to an agent: its function gets a `client` and the remaining words as `args`."""

    def wrap(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(**given: Any) -> Any:
            flags = {key: given.pop(key) for key in (name.replace("-", "_") for name, _ in _API_OPTIONS)}
            return function(client=Client(settings_from(flags, environment())), **given)

        made: Callable[..., Any] = run
        for flag, help_ in reversed(_API_OPTIONS):
            on_or_off = flag == "stale"
            default = False if on_or_off else ""
            made = click.option(f"--{flag}", help=help_, cls=_ApiOption, is_flag=on_or_off, default=default)(made)
        return command(name, usage, short_help)(made)

    return wrap


def expect(args: Sequence[str], low: int, high: int, missing: str = "") -> None:
    """Refuse too few or too many words, in Consul's words."""
    if len(args) > high:
        raise click.ClickException(f"Too many arguments (expected {high}, got {len(args)})")
    if len(args) < low:
        raise click.ClickException(missing or f"Not enough arguments (expected {low}, got {len(args)})")


def pairs(values: Sequence[str], flag: str) -> Mapping[str, str]:
    """`key=value` words as a mapping."""
    found = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals:
            raise click.ClickException(f'invalid value "{value}" for flag -{flag}: expected key=value')
        found[key] = rest
    return found
