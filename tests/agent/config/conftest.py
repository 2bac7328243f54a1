"""Shared here: configurations from HCL text, on a host that tests choose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshagent.agent.config import Config, Host, Loaded, assemble
from meshagent.errors import ConfigError
from meshagent.hcl import parse_hcl

NEEDED = 'data_dir = "/data" bind_addr = "127.0.0.1"\n'


def no_interfaces() -> list[Any]:
    return []


class Configure:
    """`configure("text")` is the configuration; `.problems("text")` what is wrong with it."""

    def loaded(self, *texts: str, host: Host | None = None, dev: bool = False) -> Loaded:
        sources = [parse_hcl(text, f"{chr(97 + number)}.hcl").root for number, text in enumerate(texts)]
        return assemble(sources, host=host or Host("host", no_interfaces), dev=dev)

    def __call__(self, *texts: str, **options: Any) -> Config:
        return self.loaded(NEEDED, *texts, **options).config

    def warnings(self, *texts: str, **options: Any) -> list[str]:
        return self.loaded(NEEDED, *texts, **options).warnings

    def problems(self, *texts: str, **options: Any) -> list[str]:
        with pytest.raises(ConfigError) as error:
            self.loaded(NEEDED, *texts, **options)
        return error.value.problems


@pytest.fixture
def configure() -> Callable[..., Any]:
    return Configure()
