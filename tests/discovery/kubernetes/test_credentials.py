"""Which access is found, and what is presented of it while files change and programs run."""

import datetime
import json
import stat
import sys
from pathlib import Path

import pytest
import yaml

from epp.discovery.kubernetes import credentials as module
from epp.discovery.kubernetes.access import Access, AccessError, ExecPlugin, User
from epp.discovery.kubernetes.answers import ApiError, Failing
from epp.discovery.kubernetes.credentials import Credentials, find_access
from epp.extproc.credentials import self_signed

IN_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def kubeconfig(path: Path, name: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k"}}],
        "clusters": [{"name": "k", "cluster": {"server": f"http://{name}"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_the_environment_comes_before_the_pod_and_the_pod_before_the_home(tmp_path: Path) -> None:
    named, home = kubeconfig(tmp_path / "named", "named"), tmp_path / "home"
    kubeconfig(home / ".kube" / "config", "home")
    assert find_access({"KUBECONFIG": named, **IN_POD}, home).server == "http://named"
    assert find_access(IN_POD, home).server == "https://10.96.0.1:443"
    assert find_access({}, home).server == "http://home"


def test_files_that_are_missing_are_passed_over_as_long_as_one_is_there(tmp_path: Path) -> None:
    named = kubeconfig(tmp_path / "named", "named")
    assert find_access({"KUBECONFIG": f"{tmp_path}/none::{named}"}, tmp_path).server == "http://named"
    with pytest.raises(AccessError, match=r"API: .*/none is missing: set KUBECONFIG"):
        find_access({"KUBECONFIG": f"{tmp_path}/none"}, tmp_path)
    with pytest.raises(AccessError, match="cannot be read"):
        find_access({"KUBECONFIG": str(tmp_path)}, tmp_path)


async def presented(user: User) -> list[tuple[str, str]]:
    return list((await Credentials(Access("http://api", user=user)).present()).headers)


async def test_what_is_presented(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert await presented(User()) == []
    assert await presented(User(token="t")) == [("Authorization", "Bearer t")]
    assert await presented(User(token="t", token_file=tmp_path / "token")) == [("Authorization", "Bearer from-file")]
    assert await presented(User(basic=("me", "p"))) == [("Authorization", "Basic bWU6cA==")]


async def test_a_token_that_is_rotated_is_taken_at_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    credentials = Credentials(Access("http://api", user=User(token_file=token)))
    for text in ("one", "two"):
        token.write_text(text)
        assert (await credentials.present()).headers == (("Authorization", f"Bearer {text}"),)


@pytest.mark.parametrize("data", [b"", b"a b\nc", b"\xff", b" \n"])
async def test_what_is_no_token(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "token").write_bytes(data)
    with pytest.raises(ApiError, match="holds no token"):
        await presented(User(token_file=tmp_path / "token"))


def program(path: Path, code: str) -> str:
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


COUNTING = """
import json, os, pathlib, sys
count = pathlib.Path(sys.argv[1])
count.write_text(count.read_text() + "x" if count.exists() else "x")
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert info["spec"] == {"interactive": False}
token = os.environ["PREFIX"] + str(len(count.read_text()))
print(json.dumps({"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": {"token": token}}))
"""


async def test_a_program_runs_once_and_again_when_what_it_printed_is_refused(tmp_path: Path) -> None:
    command = program(tmp_path / "plugin", COUNTING)
    plugin = ExecPlugin(command, (str(tmp_path / "count"),), (("PREFIX", "t"),))
    credentials = Credentials(Access("http://api", user=User(plugin=plugin)))
    seen = [(await credentials.present()).headers for _ in range(2)]
    credentials.refused()
    seen.append((await credentials.present()).headers)
    assert [headers[0][1] for headers in seen] == ["Bearer t1", "Bearer t1", "Bearer t2"]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import sys; sys.exit('log in first')", "ended with 1: log in first"),
        ("print('nonsense')", "plugin: "),
        ("print('{}')", "plugin: "),
        ("import time; time.sleep(60)", "took more than 0.2 s"),
    ],
)
async def test_a_program_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, why: str
) -> None:
    monkeypatch.setattr(module, "PLUGIN_PATIENCE_S", 0.2 if "sleep" in code else 30.0)
    with pytest.raises(ApiError) as caught:
        await presented(User(plugin=ExecPlugin(program(tmp_path / "plugin", code))))
    assert caught.value.failing is Failing.UNAUTHORIZED
    assert why in caught.value.text


async def test_a_program_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="No such file"):
        await presented(User(plugin=ExecPlugin(str(tmp_path / "none"))))


async def test_a_certificate_that_is_replaced_is_taken(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("ca", "crt", "key")}

    def write() -> None:
        crt, key = self_signed(datetime.datetime.now(datetime.UTC))
        for name, data in (("ca", crt), ("crt", crt), ("key", key)):
            files[name].write_bytes(data)

    write()
    access = Access("https://api", ca=files["ca"], user=User(certificate=files["crt"], key=files["key"]))
    credentials = Credentials(access)
    first = (await credentials.present()).tls
    assert first is (await credentials.present()).tls
    write()
    second = (await credentials.present()).tls
    assert second
    assert second is not first
    files["ca"].unlink()
    with pytest.raises(ApiError, match="No such file"):
        await credentials.present()


async def test_a_program_may_print_a_certificate(tmp_path: Path) -> None:
    crt, key = self_signed(datetime.datetime.now(datetime.UTC))
    status = {"clientCertificateData": crt.decode(), "clientKeyData": key.decode()}
    document = json.dumps({"status": status})
    plugin = ExecPlugin(program(tmp_path / "plugin", f"print({document!r})"))
    shown = await Credentials(Access("https://api", user=User(plugin=plugin))).present()
    assert shown.headers == ()
    assert shown.tls


async def test_what_is_presented_again_over_tls_is_the_same_as_before() -> None:
    credentials = Credentials(Access("https://api", user=User(token="t")))
    before = await credentials.present()
    credentials.refused()
    assert await credentials.present() == before
