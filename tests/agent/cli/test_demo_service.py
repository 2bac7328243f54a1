import subprocess
import sys
import threading
import urllib.request

from meshagent.agent.cli.demo_service import serve


def test_it_greets_and_is_healthy() -> None:
    server = serve("web", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    assert urllib.request.urlopen(f"{base}/").read() == b"hello from web\n"
    assert urllib.request.urlopen(f"{base}/health").read() == b"ok\n"
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_ends_with_its_standard_input() -> None:
    words = [sys.executable, "-m", "meshagent.agent.cli.demo_service", "web", "0"]
    child = subprocess.Popen(words, stdin=subprocess.PIPE)
    child.communicate(b"", timeout=20)
    assert child.returncode == 0
