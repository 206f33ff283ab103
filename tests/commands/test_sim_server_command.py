"""`epp sim-server` as a process."""

import signal
import urllib.request

from epp.process.addresses import listen
from tests.commands.running import epp, run


def test_pods_are_announced_and_ctrl_c_ends_them() -> None:
    with epp("sim-server", "--pods=2", "--port=0", "--host=127.0.0.1", "--host=::1") as pods:
        pods.until(lambda: "Ctrl-C ends all." in pods.err)
        first, second = pods.out.splitlines()
        assert first.startswith("http://127.0.0.1:")
        assert second.startswith("http://[::1]:")
        for url in (first, second):
            with urllib.request.urlopen(f"{url}/health", timeout=30) as answer:
                assert answer.status == 200
        pods.signal(signal.SIGINT)
        assert pods.wait() == 0


def test_a_taken_port_is_said() -> None:
    with listen("127.0.0.1", 0, "") as other:
        port = str(other.getsockname()[1])
        done = run("sim-server", "--port", port)
    assert done.returncode == 1
    assert port in done.stderr
    assert done.stderr.endswith("Choose another --port\n")
    assert "Traceback" not in done.stderr
