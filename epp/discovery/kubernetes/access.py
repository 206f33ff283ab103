"""Where the API server is and who we are to it: kubeconfig files and what a pod is given. Bytes in, values out. No IO.

A kubeconfig in the form of `clientcmd/api/v1`: the current context names a cluster and a user. Of several files the
first that has a name counts, and a relative path starts at its own file. Not known, because they are no longer in
client-go either: `auth-provider`. A problem is an `AccessError`, which says where and what to do.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from epp.documents import Limits, Node, read_document

__all__ = [
    "SERVICE_ACCOUNT",
    "Access",
    "AccessError",
    "ExecPlugin",
    "KubeconfigFile",
    "Material",
    "User",
    "access_in_cluster",
    "access_of",
]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet mounts token and CA."""

LIMITS = Limits(depth=12, nodes=100_000)
"""A kubeconfig of a thousand clusters has 20,000 values; `exec` nests deepest, with 7 levels."""

EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")

Material = Path | bytes | None
"""Certificates or a key in PEM, as a file or as they are."""

S = TypeVar("S")


class AccessError(Exception):
    """There is no way to the API server; says why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A program that prints credentials."""

    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    api_version: str = EXEC_VERSIONS[0]


@dataclass(frozen=True, slots=True)
class User:
    """Who we are. Of several credentials the first one in this order counts, beside the certificate."""

    certificate: Material = None
    key: Material = field(default=None, repr=False)
    token_file: Path | None = None
    """Read for each request, since the kubelet changes it."""
    token: str = field(default="", repr=False)
    plugin: ExecPlugin | None = None
    basic: tuple[str, str] | None = field(default=None, repr=False)
    """Name and password, for proxies that ask for them."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach an API server."""

    server: str
    """URL without a slash at its end."""
    ca: Material = None
    """None: the system's authorities."""
    verify: bool = True
    server_name: str | None = None
    """The name in its certificate, when it is not the one in the URL."""
    proxy: str = ""
    """URL of an HTTP proxy. Empty: what the environment says."""
    user: User = User()
    source: str = ""
    """Where this was written, for messages."""


@dataclass(frozen=True, slots=True)
class KubeconfigFile:
    """A file's content."""

    path: Path
    data: bytes


class _Cluster(msgspec.Struct, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class _Variable(msgspec.Struct):
    name: str
    value: str = ""


class _Exec(msgspec.Struct):
    command: str
    api_version: str = msgspec.field(name="apiVersion", default="")
    args: list[str] | None = None
    env: list[_Variable] | None = None


class _User(msgspec.Struct, rename="kebab"):
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(name="tokenFile", default="")
    username: str = ""
    password: str = ""
    exec: _Exec | None = None
    auth_provider: dict[str, object] | None = None


class _Context(msgspec.Struct):
    cluster: str = ""
    user: str = ""


class _NamedCluster(msgspec.Struct):
    name: str
    cluster: _Cluster


class _NamedUser(msgspec.Struct):
    name: str
    user: _User | None = None


class _NamedContext(msgspec.Struct):
    name: str
    context: _Context


class _Kubeconfig(msgspec.Struct, rename="kebab"):
    current_context: str = ""
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


def access_in_cluster(env: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Access | None:
    """The access of a pod by its service account; None outside of a pod. The files may be missing."""
    host, port = env.get("KUBERNETES_SERVICE_HOST", ""), env.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        return None
    shown = f"[{host}]" if ":" in host else host
    user = User(token_file=folder / "token")
    return Access(f"https://{shown}:{port}", ca=folder / "ca.crt", user=user, source=f"the service account in {folder}")


def access_of(files: Sequence[KubeconfigFile]) -> Access:
    """The access that the current context means. Raises AccessError."""
    read = [(file.path, _parse(file)) for file in files]
    wanted = next((config.current_context for _, config in read if config.current_context), "")
    where = ", ".join(str(file.path) for file in files)
    if not wanted:
        raise AccessError(f"{where}: no current-context: choose one with 'kubectl config use-context NAME'")
    contexts = [(path, c.name, c.context) for path, k in read for c in k.contexts or ()]
    clusters = [(path, c.name, c.cluster) for path, k in read for c in k.clusters or ()]
    users = [(path, u.name, u.user) for path, k in read for u in k.users or ()]
    _, context = _first(where, "context", wanted, contexts)
    file, cluster = _first(where, "cluster", context.cluster, clusters)
    access = _access(cluster, file)
    if not context.user:
        return access
    file, user = _first(where, "user", context.user, users)
    return replace(access, user=_user(user, file)) if user else access


def _first(where: str, kind: str, name: str, entries: Sequence[tuple[Path, str, S]]) -> tuple[Path, S]:
    for path, known, entry in entries:
        if known == name:
            return path, entry
    raise AccessError(f"{where}: there is no {kind} {name[:80]!r}: correct the kubeconfig, or KUBECONFIG")


def _parse(file: KubeconfigFile) -> _Kubeconfig:
    document = read_document(file.data, LIMITS)
    if document.faults:
        fault = document.faults[0]
        line = f":{fault.mark.line}" if fault.mark else ""
        raise AccessError(f"{file.path}{line}: {fault.message}; it must be a kubeconfig in YAML or JSON")
    try:
        plain = _plain(document.root) if document.root else None
        return msgspec.convert(plain or {}, _Kubeconfig, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise AccessError(f"{file.path}: no kubeconfig that can be read: {error}") from None


def _plain(node: Node) -> object:
    """The node as plain values. All scalars stay text: what they mean is for the field that takes them."""
    if node.is_null:
        return None
    if isinstance(node.value, dict):
        return {key: value for key, each in node.value.items() if (value := _plain(each)) is not None}
    if isinstance(node.value, list):
        return [_plain(each) for each in node.value]
    return node.value


def _access(cluster: _Cluster, file: Path) -> Access:
    server = cluster.server.rstrip("/")
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise AccessError(f"{file}: server {server[:80]!r} is no URL with http:// or https://")
    if cluster.proxy_url and urlsplit(cluster.proxy_url).scheme not in ("http", "https"):
        scheme = urlsplit(cluster.proxy_url).scheme[:20]  # the rest may hold a password
        raise AccessError(f"{file}: proxy-url with {scheme!r}: only http:// and https:// can be used")
    return Access(
        server=server,
        ca=_material(cluster.certificate_authority, cluster.certificate_authority_data, file),
        verify=not cluster.insecure_skip_tls_verify,
        server_name=cluster.tls_server_name or None,
        proxy=cluster.proxy_url,
        source=str(file),
    )


def _user(user: _User, file: Path) -> User:
    if user.auth_provider:
        raise AccessError(f"{file}: auth-provider is not known, in kubectl neither: use an exec plugin or a token")
    certificate = _material(user.client_certificate, user.client_certificate_data, file)
    key = _material(user.client_key, user.client_key_data, file)
    if (certificate is None) != (key is None):
        raise AccessError(f"{file}: a client certificate needs its key, and a key its certificate")
    return User(
        certificate=certificate,
        key=key,
        token_file=file.parent / user.token_file if user.token_file else None,
        token=user.token,
        plugin=_plugin(user.exec, file) if user.exec else None,
        basic=(user.username, user.password) if user.username else None,
    )


def _plugin(plugin: _Exec, file: Path) -> ExecPlugin:
    if plugin.api_version not in EXEC_VERSIONS:
        raise AccessError(
            f"{file}: exec plugin {plugin.command[:80]!r} has apiVersion {plugin.api_version[:80]!r}: "
            f"known are {' and '.join(EXEC_VERSIONS)}"
        )
    command = plugin.command
    if "/" in command and not command.startswith("/"):  # as client-go: a path, and not a name to look up
        command = str(file.parent / command)
    variables = tuple((variable.name, variable.value) for variable in plugin.env or ())
    return ExecPlugin(command, tuple(plugin.args or ()), variables, plugin.api_version)


def _material(path: str, data: str, file: Path) -> Material:
    """Data come before a path, as in client-go."""
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise AccessError(f"{file}: certificate or key data are not base64") from None
    return file.parent / path if path else None
