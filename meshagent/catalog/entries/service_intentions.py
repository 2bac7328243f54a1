"""`service-intentions`: who may talk to a service.

Source: surface rows M26, M50, M51; developer.hashicorp.com/consul/docs/connect/config-entries/service-intentions.
Sources are kept by falling precedence. What may change here: fields are added with a default.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import Entry, Part, changed, required
from meshagent.catalog.model import always

__all__ = ["IntentionJWT", "Permission", "PermissionHTTP", "ServiceIntentions", "Source", "precedence"]

_ACTIONS = frozenset({"allow", "deny"})
#: Of a whole source also our own `audit`: allowed, but counted and logged as what a deny would have stopped.
_SOURCE_ACTIONS = _ACTIONS | {"audit"}
MAX_DESCRIPTION = 512
_PARTIAL = "wildcard character '*' cannot be used with partial values"


class VerifyClaim(Part, frozen=True, kw_only=True):
    """A claim, by its path inside the token, and the value it must have."""

    path: tuple[str, ...] = ()
    value: str = ""


class JWTProviderRef(Part, frozen=True, kw_only=True):
    """A `jwt-provider` entry whose tokens are good."""

    name: str = ""
    verify_claims: tuple[VerifyClaim, ...] = ()


class IntentionJWT(Part, frozen=True, kw_only=True):
    """Providers, any of which is enough."""

    providers: tuple[JWTProviderRef, ...] = ()


class PermissionHeader(Part, frozen=True, kw_only=True):
    """One header; exactly one of the ways is set."""

    name: str = ""
    present: bool = False
    exact: str = ""
    prefix: str = ""
    suffix: str = ""
    contains: str = ""
    regex: str = ""
    invert: bool = False
    ignore_case: bool = False

    @property
    def ways(self) -> int:
        """How many ways to match are set."""
        return sum(map(bool, (self.present, self.exact, self.prefix, self.suffix, self.contains, self.regex)))


class PermissionHTTP(Part, frozen=True, kw_only=True):
    """All that is set must match."""

    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    header: tuple[PermissionHeader, ...] = ()
    methods: tuple[str, ...] = ()

    def problem(self) -> str:
        paths = (self.path_exact, self.path_prefix, self.path_regex)
        if not any(paths) and not self.header and not self.methods:
            return " should not be empty"
        if sum(map(bool, paths)) > 1:
            return " should only contain at most one of PathExact, PathPrefix, or PathRegex"
        for field, path in (("PathExact", self.path_exact), ("PathPrefix", self.path_prefix)):
            if path and not path.startswith("/"):
                return f".{field} doesn't start with '/': \"{path}\""
        for at, header in enumerate(self.header):
            if not header.name:
                return f".Header[{at}] missing required Name field"
            if header.ways != 1:
                return f".Header[{at}] should only contain one of Present, Exact, Prefix, Suffix, Contains, or Regex"
        for method in self.methods:
            if self.methods.count(method) > 1:
                return f'.Methods contains "{method}" more than once'
        return ""


class Permission(Part, frozen=True, kw_only=True):
    """What a source may do; the first that matches decides."""

    action: str = always("")
    http: PermissionHTTP | None = None
    jwt: IntentionJWT | None = None

    def problem(self) -> str:
        if self.action not in _ACTIONS:
            return ".Action must be set to 'allow' or 'deny'"
        if self.http is None:
            return ".HTTP is required"
        found = self.http.problem()
        return f".HTTP{found}" if found else ""


class Source(Part, frozen=True, kw_only=True):
    """One source: an action, or permissions. `precedence` is computed."""

    name: str = always("")
    action: str = ""
    permissions: tuple[Permission, ...] = ()
    precedence: int = always(0)
    legacy_id: str = ""
    type: str = always("consul")
    description: str = ""
    legacy_meta: dict[str, str] | None = None
    legacy_create_time: str = ""
    legacy_update_time: str = ""
    peer: str = ""
    sameness_group: str = ""

    def problem(self, wildcard_destination: bool) -> str:
        if not self.name:
            return ".Name is required"
        if _is_partial(self.name):
            return f".Name: {_PARTIAL}"
        if len(self.description) > MAX_DESCRIPTION:
            return f".Description exceeds maximum length {MAX_DESCRIPTION}"
        if self.permissions:
            if self.action:
                return ".Action must be omitted if Permissions are specified"
            if wildcard_destination:
                return ".Permissions cannot be specified on intentions with wildcarded destinations"
        elif self.action not in _SOURCE_ACTIONS:
            return ".Action must be set to 'allow' or 'deny'"
        for at, permission in enumerate(self.permissions):
            found = permission.problem()
            if found:
                return f".Permissions[{at}]{found}"
        return ".Type must be set to 'consul'" if self.type != "consul" else ""


class ServiceIntentions(Entry, frozen=True, kw_only=True, tag="service-intentions"):
    """Intentions of the destination `name`, which may be `*`."""

    sources: tuple[Source, ...] | None = None
    jwt: IntentionJWT | None = None

    def normalised(self) -> ServiceIntentions:
        sources = tuple(
            changed(source, type=source.type or "consul", precedence=precedence(source.name, self.name))
            for source in self.sources or ()
        )
        result: ServiceIntentions = changed(self, sources=tuple(sorted(sources, key=lambda one: -one.precedence)))
        return result

    def problem(self) -> str:
        if not self.name:
            return required(self.name)
        if _is_partial(self.name):
            return f"Name: {_PARTIAL}"
        if not self.sources:
            return "At least one source is required"
        seen = set()
        for at, source in enumerate(self.sources):
            found = source.problem(self.name == "*")
            if found:
                return f"Sources[{at}]{found}"
            if (source.peer, source.name) in seen:
                peer = f'peer "{source.peer}" ' if source.peer else ""
                return f'Sources[{at}] defines {peer}"{source.name}" more than once'
            seen.add((source.peer, source.name))
        return ""

    @property
    def has_permissions(self) -> bool:
        """Whether it needs an L7 protocol."""
        return any(source.permissions for source in self.sources or ())

    def providers(self) -> tuple[str, ...]:
        """Names of the JWT providers it needs, in order, each once."""
        blocks = [self.jwt, *(one.jwt for source in self.sources or () for one in source.permissions)]
        names = [provider.name for block in blocks if block is not None for provider in block.providers]
        return tuple(dict.fromkeys(names))


def precedence(source: str, destination: str) -> int:
    """How exact an intention is: 9 exact to exact, 8 from `*`, 6 to `*`, 5 from `*` to `*` (surface row M50)."""
    if destination == "*":
        return 5 if source == "*" else 6
    return 8 if source == "*" else 9


def _is_partial(name: str) -> bool:
    return "*" in name and name != "*"
