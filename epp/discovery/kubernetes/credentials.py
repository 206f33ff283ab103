# ruff: noqa: TID251 - an edge: reads files and runs a program
"""Finds the access to the API server, and presents its credentials: token, certificate, or what a program prints.

Nothing is cached that may change under us: tokens and certificates of a pod are replaced every hour or so. What a
program prints is kept until the server refuses it, whatever time it says it expires: our clock may be wrong.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from epp.discovery.kubernetes.access import (
    SERVICE_ACCOUNT,
    Access,
    AccessError,
    ExecPlugin,
    KubeconfigFile,
    Material,
    access_in_cluster,
    access_of,
)
from epp.discovery.kubernetes.answers import ApiError, Failing

__all__ = ["Credentials", "Presented", "find_access"]

MAX_FILE_BYTES = 4 * 1024 * 1024
"""Of a kubeconfig, a token or a certificate."""

PLUGIN_PATIENCE_S = 60.0
"""For a program that prints credentials, which may ask a cloud for them."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What goes with a request."""

    headers: tuple[tuple[str, str], ...]
    tls: ssl.SSLContext | None = field(compare=False)
    """None for a server without TLS."""
    tls_of: tuple[object, ...] = ()
    """What the context was made of: contexts themselves cannot be compared."""


class _Printed(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""


class _ExecCredential(msgspec.Struct):
    status: _Printed


def find_access(env: Mapping[str, str], home: Path | None = None, service_account: Path = SERVICE_ACCOUNT) -> Access:
    """By KUBECONFIG, else by the pod's service account, else by `~/.kube/config`. Raises AccessError.

    The order is that of controller-runtime.
    """
    listed = [Path(part) for part in env.get("KUBECONFIG", "").split(os.pathsep) if part]
    if not listed:
        access = access_in_cluster(env, service_account)
        if access:
            return access
        listed = [_home(home) / ".kube" / "config"]
    files = [KubeconfigFile(path, _read(path)) for path in listed if _is_there(path)]
    if not files:
        where = ", ".join(map(str, listed))
        why = f"{where} is missing" if env.get("KUBECONFIG") else f"not in a pod, and {where} is missing"
        raise AccessError(f"no way to the Kubernetes API: {why}: set KUBECONFIG")
    return access_of(files)


def _home(given: Path | None) -> Path:
    try:
        return given or Path.home()
    except RuntimeError:  # a user without a name, as containers have
        raise AccessError("no way to the Kubernetes API: not in a pod, and no home folder: set KUBECONFIG") from None


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise AccessError(f"{path}: cannot be read ({error.strerror}): correct KUBECONFIG or its permissions") from None


class Credentials:
    """What one access presents."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._printed: _Printed | None = None
        self._tls: ssl.SSLContext | None = None
        self._tls_of: tuple[object, ...] = ()

    async def present(self) -> Presented:
        """What goes with the next request. Raises ApiError when it cannot be had now."""
        user = self._access.user
        if user.plugin and self._printed is None:
            self._printed = await _run(user.plugin)
        try:
            headers, context = tuple(self._headers()), self._context()
            return Presented(headers, context, self._tls_of)
        except (OSError, ValueError, ssl.SSLError) as error:
            raise ApiError(Failing.UNAUTHORIZED, f"{self._access.source}: {error}") from None

    def refused(self) -> None:
        """The server did not accept them, so what was kept is of no use."""
        self._printed = None
        self._tls_of = ()

    def _headers(self) -> list[tuple[str, str]]:
        user = self._access.user
        token = _token(_read(user.token_file)) if user.token_file else user.token
        if not token and self._printed:
            token = self._printed.token
        if token:
            return [("Authorization", f"Bearer {token}")]
        if user.basic:
            encoded = base64.b64encode(":".join(user.basic).encode()).decode()
            return [("Authorization", f"Basic {encoded}")]
        return []

    def _context(self) -> ssl.SSLContext | None:
        """A context for TLS; another one when a file has changed."""
        access, printed = self._access, self._printed
        if not access.server.startswith("https"):
            return None
        certificate, key = access.user.certificate, access.user.key
        if certificate is None and printed and printed.client_certificate_data:
            certificate, key = printed.client_certificate_data.encode(), printed.client_key_data.encode()
        made_of = (_signature(access.ca), _signature(certificate), _signature(key))
        if self._tls is None or made_of != self._tls_of:
            self._tls = _tls(access, certificate, key)
            self._tls_of = made_of
        return self._tls


def _tls(access: Access, certificate: Material, key: Material) -> ssl.SSLContext:
    ca = _read(access.ca) if isinstance(access.ca, Path) else access.ca
    context = ssl.create_default_context(cadata=ca.decode("ascii", "ignore") if ca else None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 asks for it, and many clusters' authorities fail it
    if not access.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None and key is not None:
        with tempfile.TemporaryDirectory(prefix="epp-") as folder:  # `ssl` takes files only; the folder is ours alone
            context.load_cert_chain(_file(certificate, Path(folder, "crt")), _file(key, Path(folder, "key")))
    return context


def _file(material: Path | bytes, name: Path) -> Path:
    if isinstance(material, Path):
        return material
    name.write_bytes(material)
    return name


def _signature(material: Material) -> object:
    """Another value when a file has changed."""
    if not isinstance(material, Path):
        return material
    status = material.stat()
    return (str(material), status.st_ino, status.st_size, status.st_mtime_ns)


def _read(path: Path) -> bytes:
    """Raises AccessError, which is also what a missing file at the start is."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise AccessError(
            f"{path}: cannot be read ({error.strerror or error}): correct the path or its permissions"
        ) from None


def _token(data: bytes) -> str:
    token = data.decode("ascii", "replace").strip()
    if not token or not token.isprintable() or "\ufffd" in token:
        raise ValueError("the token's file holds no token")
    return token


async def _run(plugin: ExecPlugin) -> _Printed:
    """What the program prints. Raises ApiError."""
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
    env = {**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": json.dumps(info)}
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command, *plugin.args, env=env, stdin=nothing, stdout=pipe, stderr=pipe
        )
        try:
            async with asyncio.timeout(PLUGIN_PATIENCE_S):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            said = err.decode("utf-8", "replace").strip()[-200:]
            raise ApiError(Failing.UNAUTHORIZED, f"{plugin.command} ended with {process.returncode}: {said}")
        return msgspec.json.decode(out, type=_ExecCredential).status
    except TimeoutError:
        raise ApiError(Failing.UNAUTHORIZED, f"{plugin.command} took more than {PLUGIN_PATIENCE_S:g} s") from None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ApiError(Failing.UNAUTHORIZED, f"{plugin.command}: {error}") from None
