"""What to tell a user when an address cannot be listened on: the same words for every listener.

Source: bind(2) and listen(2) for the reasons; surface row G11 for the options. What may change here: advice, one row a
reason.
"""

from __future__ import annotations

import errno
import os

from meshagent.errors import ConfigError

__all__ = ["cannot_listen"]

#: Why an address could not be bound -> what to do about it; `{option}` is the option that names the address.
_ADVICE = {
    errno.EADDRINUSE: "is another agent running? Stop it, or change {option}",
    errno.EADDRNOTAVAIL: "this host does not have that address; change {option}",
    errno.EACCES: "a port below 1024 needs CAP_NET_BIND_SERVICE, a Unix socket a folder this user may write to",
}


def cannot_listen(option: str, place: str, error: OSError) -> ConfigError:
    """The error to raise when `place`, which `option` asks for, cannot be listened on.

    Event loops put the address and the reason into one text again, so the words come from the number.
    """
    number = error.errno or 0  # negative when a name cannot be resolved
    reason = os.strerror(number).lower() if number > 0 else error.strerror or str(error)
    advice = _ADVICE.get(number, "change {option}").format(option=option)
    return ConfigError(f"{option}: cannot listen on {place}: {reason}: {advice}")
