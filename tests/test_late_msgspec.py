from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "script",
    [
        "prepare(); assert 'msgspec' in sys.modules and 'typing_extensions' not in sys.modules",
        "prepare(); import typing_extensions; assert typing_extensions.TypedDict",
        "import typing_extensions; prepare(); assert sys.modules['typing_extensions'] is typing_extensions",
        "import msgspec; known = sys.modules.get('typing_extensions'); prepare();"
        "assert sys.modules.get('typing_extensions') is known",
        "prepare(); from typing import Annotated, NotRequired, TypedDict; import msgspec;"
        "T = TypedDict('T', {'a': Annotated[int, msgspec.Meta(ge=1)], 'b': NotRequired[str]});"
        "assert msgspec.convert({'a': 1}, T) == {'a': 1}",
    ],
)
def test_it_is_put_off_until_it_is_wanted(script: str) -> None:
    begin = "import sys; from meshagent.late_msgspec import prepare; "
    done = subprocess.run([sys.executable, "-c", begin + script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
