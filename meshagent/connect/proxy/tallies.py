"""What a proxy counts. What may change here: further counts, with a default."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["Tallies"]


@dataclass(slots=True)
class Tallies:
    """Connections, since the start: let in, denied (or cut), over a limit, failed in TLS, without an application or
    instance; instances dialled and failed; sessions resumed; let in without TLS."""

    accepted: int = 0
    denied: int = 0
    refused: int = 0
    failed_handshakes: int = 0
    unreachable: int = 0
    dialled: int = 0
    failed_dials: int = 0
    resumed: int = 0
    plain: int = 0

    def text(self) -> str:
        """For a log line."""
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())
