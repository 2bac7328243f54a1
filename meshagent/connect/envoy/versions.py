"""Which Envoys are spoken to.

Source: surface rows A1, X20. What may change here: the tests run the first one; the others are those for which the
resources were recorded that are rendered here. Tools pick the newest that they know, so it stands first.
"""

from __future__ import annotations

import re

__all__ = ["SUPPORTED", "problem"]

SUPPORTED = ("1.40.0", "1.31.2", "1.30.6", "1.29.9", "1.28.7")
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


def problem(version: str) -> str:
    """Why an Envoy of a version ("1.27.3") is not for this mesh; "" when it is. Newer ones than known are taken."""
    found = _VERSION.match(version)
    if found is None:
        return f"There was an error checking the compatibility of the envoy version: {version!r} is no version"
    oldest = min(_minor(one) for one in SUPPORTED)
    if _minor(version) >= oldest:
        return ""
    return (
        f"Envoy version {version} is not supported. If there is a reason you need to use this version of envoy use the "
        "ignore-envoy-compatibility flag. Using an unsupported version of Envoy is not recommended and your "
        f"experience may vary. The oldest one supported is {oldest[0]}.{oldest[1]}"
    )


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
