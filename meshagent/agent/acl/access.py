"""What the token of a request may do, as handlers and filters ask it.

`Access` is given to every request. With ACLs off it is `OPEN`, which allows everything; a token that cannot be resolved
gives a `Refused`, which raises at the first question, so that what needs no token needs no valid one either.

Source: surface rows C4, L1-L12; refusals keep upstream's words. What may change here: another way to ask.
"""

from __future__ import annotations

from collections.abc import Callable

from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.errors import Denied, MeshError

__all__ = ["OPEN", "Access", "Refused", "is_not_found", "not_found"]

_ANONYMOUS = "The anonymous token is used implicitly when a request does not specify a token."
_NOT_FOUND = "ACL not found"
_BOOTSTRAP_FIRST = "ACL system must be bootstrapped before making any requests that require authorization"
#: How a resource is called in a refusal, where that is not its name.
_SHOWN = {"intentions": "intention"}

Note = Callable[[str, str, str, bool], None]


def not_found(*, bootstrapped: bool = True) -> Denied:
    """The refusal of a secret that no token has."""
    return Denied(_NOT_FOUND if bootstrapped else f"{_BOOTSTRAP_FIRST}: {_NOT_FOUND}")


def is_not_found(error: MeshError) -> bool:
    """Whether it is such a refusal, here or as another agent told it."""
    return str(error).removeprefix(f"{_BOOTSTRAP_FIRST}: ") == _NOT_FOUND


class Access:
    """`accessor` is the token's public id, "" with ACLs off. `note` is told of every decision that `require` makes."""

    __slots__ = ("accessor", "anonymous", "authorizer", "note")

    def __init__(
        self, authorizer: Authorizer, accessor: str = "", *, anonymous: bool = False, note: Note | None = None
    ) -> None:
        self.authorizer = authorizer
        self.accessor = accessor
        self.anonymous = anonymous
        self.note = note

    @property
    def sees_all(self) -> bool:
        """Whether nothing is hidden from it."""
        return self.authorizer.manages

    @property
    def visibility(self) -> object:
        """Equal for all to whom answers look the same; None for who sees everything."""
        authorizer = self.authorizer
        return None if authorizer.manages else (authorizer, self.anonymous)

    def allows(self, resource: str, access: str, name: str = "") -> bool:
        """Whether it may."""
        return self.authorizer.allows(resource, name, access)

    def require(self, resource: str, access: str, name: str = "", *, bare: bool = False) -> None:
        """Raises Denied unless it may. `bare`: the refusal does not say what is missing."""
        allowed = self.authorizer.allows(resource, name, access)
        if self.note is not None:
            self.note(resource, access, name, allowed)
        if not allowed:
            raise self.denied(resource, access, name, bare=bare)

    def require_any(self, resource: str, access: str) -> None:
        """Raises Denied unless it may to something of that resource."""
        allowed = self.authorizer.allows_any(resource, access)
        if self.note is not None:
            self.note(resource, access, "", allowed)
        if not allowed:
            raise self.denied(resource, access, bare=True)

    def require_tree(self, resource: str, prefix: str, access: str = "write") -> None:
        """Raises Denied unless it may to everything that begins so."""
        allowed = self.authorizer.allows_tree(resource, prefix, access)
        if self.note is not None:
            self.note(f"{resource}_prefix", access, prefix, allowed)
        if not allowed:
            raise self.denied(resource, access, prefix)

    def denied(self, resource: str, access: str, name: str = "", *, bare: bool = False) -> Denied:
        """The refusal, in upstream's words."""
        if bare:
            return Denied("Permission denied")
        what = f"lacks permission '{_SHOWN.get(resource, resource)}:{access}'" + (f' on "{name}"' if name else "")
        if self.anonymous:
            return Denied(f"Permission denied: anonymous token {what}. {_ANONYMOUS}")
        return Denied(f"Permission denied: token with AccessorID '{self.accessor}' {what}")


class Refused(Access):
    """The access of a token that could not be resolved: every question raises why."""

    __slots__ = ("error",)

    def __init__(self, error: MeshError) -> None:
        super().__init__(Authorizer())
        self.error = error

    @property
    def sees_all(self) -> bool:
        raise self.error

    @property
    def visibility(self) -> object:
        raise self.error

    def allows(self, resource: str, access: str, name: str = "") -> bool:
        raise self.error

    def require(self, resource: str, access: str, name: str = "", *, bare: bool = False) -> None:
        raise self.error

    def require_any(self, resource: str, access: str) -> None:
        raise self.error

    def require_tree(self, resource: str, prefix: str, access: str = "write") -> None:
        raise self.error


#: ACLs are off.
OPEN = Access(Authorizer(manages=True))
