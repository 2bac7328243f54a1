"""Counters, gauges and samples under Consul's names."""

from __future__ import annotations

__all__ = ["Labels"]

Labels = tuple[tuple[str, str], ...]
