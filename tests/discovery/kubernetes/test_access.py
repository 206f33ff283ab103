"""Where the API server is and who we are, from kubeconfig files and what a pod is given."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from epp.discovery.kubernetes.access import (
    Access,
    AccessError,
    ExecPlugin,
    KubeconfigFile,
    User,
    access_in_cluster,
    access_of,
)

PEM = b"-----BEGIN CERTIFICATE-----"
DATA = base64.b64encode(PEM).decode()


def config(user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://api:6443/", **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }


def access(document: object, path: str = "/home/me/.kube/config") -> Access:
    return access_of([KubeconfigFile(Path(path), yaml.safe_dump(document).encode())])


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ({}, {"ca": None, "verify": True, "server_name": None, "proxy": ""}),
        ({"certificate-authority": "ca.crt"}, {"ca": Path("/home/me/.kube/ca.crt")}),
        ({"certificate-authority": "/etc/ca.crt"}, {"ca": Path("/etc/ca.crt")}),
        ({"certificate-authority": "ca.crt", "certificate-authority-data": DATA}, {"ca": PEM}),
        ({"insecure-skip-tls-verify": True}, {"verify": False}),
        ({"tls-server-name": "kubernetes"}, {"server_name": "kubernetes"}),
        ({"proxy-url": "http://p:1"}, {"proxy": "http://p:1"}),
        ({"disable-compression": True, "extensions": [{"name": "x", "extension": {"a": 1}}]}, {"verify": True}),
    ],
)
def test_clusters(cluster: dict[str, Any], expected: dict[str, Any]) -> None:
    found = access(config(**cluster))
    assert found.server == "https://api:6443"
    assert {name: getattr(found, name) for name in expected} == expected


PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "interactiveMode": "Never"}


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({}, User()),
        ({"token": "t"}, User(token="t")),
        ({"tokenFile": "token"}, User(token_file=Path("/home/me/.kube/token"))),
        ({"username": "me", "password": "p"}, User(basic=("me", "p"))),
        ({"client-certificate-data": DATA, "client-key-data": DATA}, User(certificate=PEM, key=PEM)),
        (
            {"client-certificate": "/c", "client-key": "k"},
            User(certificate=Path("/c"), key=Path("/home/me/.kube/k")),
        ),
        ({"exec": PLUGIN}, User(plugin=ExecPlugin("aws"))),
        (
            {"exec": {**PLUGIN, "command": "bin/x", "args": ["a"], "env": [{"name": "A", "value": "1"}]}},
            User(plugin=ExecPlugin("/home/me/.kube/bin/x", ("a",), (("A", "1"),))),
        ),
        ({"exec": {**PLUGIN, "args": None, "env": None}}, User(plugin=ExecPlugin("aws"))),
    ],
)  # fmt: skip
def test_users(user: dict[str, Any], expected: User) -> None:
    assert access(config(user)).user == expected


def test_secrets_are_not_shown() -> None:
    secret = "do-not-show"
    plugin = {**PLUGIN, "env": [{"name": "A", "value": secret}]}
    encoded = base64.b64encode(secret.encode()).decode()
    user = {"token": secret, "username": "me", "password": secret, "exec": plugin}
    found = access(config({**user, "client-certificate-data": DATA, "client-key-data": encoded}))
    assert secret not in repr(found)


def test_json_is_read_too_and_a_context_may_have_no_user() -> None:
    document = config()
    document["contexts"] = [{"name": "c", "context": {"cluster": "k"}}]
    del document["users"]
    file = KubeconfigFile(Path("/f"), json.dumps(document).encode())
    assert access_of([file]) == Access("https://api:6443", source="/f")


def test_of_several_files_the_first_that_has_a_name_counts() -> None:
    first, second = config({"token": "first"}), config({"token": "second"}, **{"certificate-authority": "ca"})
    del first["clusters"], first["contexts"]
    first["current-context"] = ""
    files = [
        KubeconfigFile(Path(path), yaml.safe_dump(each).encode())
        for path, each in (("/a/config", first), ("/b/config", second))
    ]
    found = access_of(files)
    assert (found.user.token, found.ca, found.source) == ("first", Path("/b/ca"), "/b/config")


def changed(**parts: Any) -> dict[str, Any]:
    return {**config(), **parts}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "/f: no current-context: choose one"),
        (changed(**{"current-context": "x"}), "/f: there is no context 'x'"),
        (changed(clusters=None), "/f: there is no cluster 'k'"),
        (changed(users=[]), "/f: there is no user 'u'"),
        (changed(clusters=3), "/f: no kubeconfig that can be read"),
        (config(server=""), "/f: server '' is no URL"),
        (config(server="api:6443"), "is no URL with http"),
        (config(**{"proxy-url": "socks5://p"}), "only http:// and https://"),
        (config(**{"certificate-authority-data": "%%"}), "not base64"),
        (config({"client-certificate": "c"}), "needs its key"),
        (config({"client-key-data": DATA}), "needs its key"),
        (config({"auth-provider": {"name": "oidc"}}), "auth-provider is not known"),
        (config({"exec": {**PLUGIN, "apiVersion": "client.authentication.k8s.io/v1alpha1"}}), "'aws' has apiVersion"),
    ],
)
def test_what_cannot_be_used_says_where_and_why(document: object, message: str) -> None:
    with pytest.raises(AccessError) as caught:
        access(document, "/f")
    assert message in str(caught.value)


def test_what_is_no_yaml_says_where() -> None:
    with pytest.raises(AccessError, match=r"^/f:2: .*; it must be a kubeconfig"):
        access_of([KubeconfigFile(Path("/f"), b"a: 1\nb: [")])


@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_a_file_holds_it_is_refused(data: bytes) -> None:
    with pytest.raises(AccessError):
        access_of([KubeconfigFile(Path("/f"), data)])


IN_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_in_a_pod() -> None:
    found = access_in_cluster(IN_POD)
    assert found
    folder = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    assert (found.server, found.ca, found.user) == (
        "https://10.96.0.1:443", folder / "ca.crt", User(token_file=folder / "token"),
    )  # fmt: skip
    v6 = access_in_cluster({**IN_POD, "KUBERNETES_SERVICE_HOST": "fd00::1"})
    assert v6
    assert v6.server == "https://[fd00::1]:443"


@pytest.mark.parametrize("env", [{}, {"KUBERNETES_SERVICE_HOST": "a"}, {**IN_POD, "KUBERNETES_SERVICE_PORT": ""}])
def test_outside_of_a_pod(env: dict[str, str]) -> None:
    assert access_in_cluster(env) is None


def test_a_refused_proxy_keeps_its_password() -> None:
    with pytest.raises(AccessError, match="socks5") as refused:
        access(config(**{"proxy-url": "socks5://me:s3cret@p:1080"}), "/f")
    assert "s3cret" not in str(refused.value)
