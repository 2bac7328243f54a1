from __future__ import annotations

import subprocess
import sys

import pytest

CLIENT_ABSENT = "assert 'aiohttp.client' not in sys.modules, 'the client was imported'"


@pytest.mark.parametrize(
    "script",
    [
        f"import meshagent.agent.http.server; {CLIENT_ABSENT}",
        "import meshagent.agent.http.server; import aiohttp; aiohttp.ClientSession; aiohttp.ClientTimeout(total=1)",
        "import meshagent.agent.http.server; from aiohttp import web, ClientSession; web.Server",
        f"import meshagent.agent.http.server, aiohttp; aiohttp.hdrs.ACCEPT; aiohttp.__version__; {CLIENT_ABSENT}",
        "import meshagent.agent.http.server; import aiohttp; assert not hasattr(aiohttp, 'no_such_name')",
        "import aiohttp; before = aiohttp.ClientSession; import meshagent.agent.http.server;"
        "assert aiohttp.ClientSession is before",
        "import ssl; from meshagent.agent.http import server_half; server_half.prepare(); import aiohttp\n"
        "whole, ssl.SSLContext = ssl.SSLContext, None\n"
        "try: aiohttp.ClientSession\n"
        "except TypeError: ssl.SSLContext = whole\n"
        "aiohttp.ClientSession  # what failed once is tried again",
        "from meshagent.agent.http import server_half; server_half.prepare('no_such_package')",
        "from meshagent.agent.http import server_half; server_half.prepare('json.decoder')",
    ],
)
def test_the_package_is_whole_for_whoever_wants_it(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import sys; {script}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
