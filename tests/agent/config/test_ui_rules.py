"""What must hold of `ui_config` (G25)."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('ui_config { enabled = true dir = "d" }', "Both the ui_config.enabled and ui_config.dir"),
        ('ui_config { metrics_provider = "A B" }', "ui_config.metrics_provider can only contain lowercase"),
        ('ui_config { content_path = "a b" }', "ui_config.content_path can only contain"),
        (
            'ui_config { metrics_provider_options_json = "[]" }',
            "must be empty or a string containing a valid JSON object",
        ),
        ('ui_config { metrics_proxy { base_url = "file:///x" } }', "base_url must be a valid http or https URL."),
        (
            'ui_config { dashboard_url_templates { service = "javascript:x" } }',
            "ui_config.dashboard_url_templates must be a valid http or https URL.",
        ),
        (
            'ui_config { metrics_proxy { path_allowlist = ["/a", "/b/../c"] } }',
            "path_allowlist[1] must be a clean path",
        ),
        ('ui_config { metrics_provider_files = ["a.css"] }', "a.css must end in .js"),
    ],
)
def test_each_rule_names_its_line(configure: Any, text: str, problem: str) -> None:
    (found,) = configure.problems(text)
    assert problem in found and found.startswith("b.hcl:1:")


def test_a_page_with_charts_has_no_problem(configure: Any) -> None:
    text = """ui_config {
      enabled = true
      metrics_provider = "prometheus"
      metrics_proxy { base_url = "http://prometheus:9090/x" path_allowlist = ["/x/api/v1/query"] }
      dashboard_url_templates { service = "HTTPS://grafana/d?s={{Service.Name}}" }
    }"""
    assert configure(text).ui_config.metrics_provider == "prometheus"
