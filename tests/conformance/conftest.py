"""Prints the table of matched/total at the end of a conformance run, also under xdist."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in getattr(report, "user_properties", ())
        if name == "conformance"
    ]
    if not rows:
        return
    terminalreporter.section("golden answers: scenario matched/total (required)")
    for name, matched, total, percent, required in sorted(rows):
        verdict = "" if percent >= required else "  MISSED"
        terminalreporter.write_line(f"{name:24} {matched:4}/{total:<4} {percent:5.1f} % ({required:g} %){verdict}")
    matched, total = sum(row[1] for row in rows), sum(row[2] for row in rows)
    terminalreporter.write_line(f"{'all':24} {matched:4}/{total:<4} {100 * matched / total:5.1f} %")
