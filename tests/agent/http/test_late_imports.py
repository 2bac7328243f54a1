from __future__ import annotations

import subprocess
import sys

import pytest

PUT_OFF = {"attr", "html", "email.message", "mimetypes", "tempfile", "urllib.request"}
ABSENT = f"assert not {PUT_OFF} & sys.modules.keys(), 'they were imported'"


@pytest.mark.parametrize(
    "script",
    [
        f"import meshagent.agent.http.server; {ABSENT}",
        "import meshagent.agent.http.server; import attr, html, email.policy, urllib.request, tempfile;"
        "import mimetypes, email.message; assert email.message.Message and tempfile.mkdtemp and mimetypes.init;"
        "assert attr.evolve and html.unescape('&lt;') == '<' and email.policy.default and urllib.request.urlopen",
        "import meshagent.agent.http.server; from aiohttp import helpers;"
        "assert helpers.parse_mimetype('text/html; charset=x').parameters['charset'] == 'x';"
        "assert helpers.parse_content_type('text/html; charset=x')[1]['charset'] == 'x';"
        "assert helpers.parse_http_date('Thu, 01 Jan 1970 00:00:01 GMT').timestamp() == 1.0;"
        "assert helpers.ETag('x') == helpers.ETag('x', False)",
        "import os; os.environ['http_proxy'] = 'http://10.0.0.1:1'; import meshagent.agent.http.server;"
        "from aiohttp import helpers; assert 'http' in helpers.proxies_from_env()",
        "import attr, meshagent.agent.http.server; assert attr.evolve",
        "import meshagent.agent.http.server; from aiohttp import web_request;"
        "assert web_request.SpooledTemporaryFile(8).write(b'x') == 1",
        "import meshagent.agent.http.server; from aiohttp import payload;"
        "named = payload.BufferedReaderPayload(open(sys.executable, 'rb'), filename='a.png');"
        "assert named.content_type == 'image/png'",
        "import meshagent.agent.http.server, aiohttp; aiohttp.ClientSession; from aiohttp import web; web.Server",
    ],
)
def test_what_is_put_off_is_there_when_it_is_wanted(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import sys; {script}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_a_name_that_is_wanted_the_real_modules_are_imported() -> None:
    script = (
        "import sys, importlib.util;"
        "late = importlib.util.spec_from_file_location('late', sys.argv[1]);"
        "module = importlib.util.module_from_spec(late); late.loader.exec_module(module);"
        "module._STAND_INS['attr'].clear(); module._STAND_INS['html'].clear();"
        "[sys.modules.pop(name) for name in list(sys.modules) if name.split('.')[0] in ('aiohttp', 'attr', 'html')];"
        "module.prepare();"
        "import attr, html, aiohttp.web_protocol; assert attr.__file__ and html.__file__"
    )
    import meshagent.agent.http.late_imports as module

    done = subprocess.run(
        [sys.executable, "-c", script, str(module.__file__)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
