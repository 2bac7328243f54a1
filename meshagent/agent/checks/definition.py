"""What a check is told to do: the registration form as probes read it.

Source: surface rows K1-K19. The form, its fields and its validation are `meshagent.agent.definitions`; durations are
seconds and zero means "not given". What may be changed here: nothing but how "not given" is read.
"""

from __future__ import annotations

from meshagent.agent.definitions import CheckDefinition as Definition

__all__ = ["Definition", "or_default"]


def or_default(given_s: float, default_s: float) -> float:
    """A duration field; zero and below mean the default."""
    return given_s if given_s > 0 else default_s
