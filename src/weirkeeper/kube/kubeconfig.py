"""A kubeconfig to an `Access`: ours, or one that a tenant gave and that may therefore name nothing but a server, its authority and a token or certificate.

Comes in: text or files, and a context's name. Goes out: an `Access`, or `AccessRefused` with the field, why, and what to change. Only the chosen context, cluster
and user are looked at. With `remote=True` nothing is read from disk and nothing is executed unless a flag of `Allowed` says so.
"""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from weirkeeper.kube.access import Access, Credentials, FileToken, StaticToken, Trust, is_token
from weirkeeper.kube.errors import AccessRefused
from weirkeeper.kube.exec_credentials import VERSIONS, ExecCredentials, Plugin, command_path
from weirkeeper.kube.kubeconfig_text import Entry, Merged, merged_texts, read, without_nulls
from weirkeeper.kube.proxies import environment_proxy

T = TypeVar("T")

LONGEST_REMOTE = 64 << 10
"""Characters of a tenant's. The parser is the one in Python, because the one in C ends the process on text that nests deeply, and it is slow."""


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant's kubeconfig may name beside a server, an authority, a token and a certificate."""

    exec: bool = False
    files: bool = False
    insecure: bool = False
    proxy: bool = False
    impersonation: bool = False


NOTHING = Allowed()
EVERYTHING = Allowed(exec=True, files=True, insecure=True, proxy=True, impersonation=True)
"""What one's own kubeconfig may name."""


class _Cluster(msgspec.Struct, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    disable_compression: bool = False
    extensions: list[dict[str, Any]] = []


class _Variable(msgspec.Struct):
    name: str
    value: str = ""


class _Exec(msgspec.Struct, rename="camel"):
    command: str = ""
    api_version: str = ""
    args: list[str] = []
    env: list[_Variable] = []
    install_hint: str = ""
    interactive_mode: str = ""
    provide_cluster_info: bool = False


class _User(msgspec.Struct, rename="kebab"):
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    username: str = ""
    password: str = ""
    exec: _Exec | None = None
    auth_provider: dict[str, Any] | None = None
    as_user: str = msgspec.field(default="", name="as")
    as_uid: str = ""
    as_groups: list[str] = []
    as_user_extra: dict[str, list[str]] = {}


class _Context(msgspec.Struct):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


def from_kubeconfig(
    source: Path | str,
    context: str | None = None,
    *,
    remote: bool = False,
    allowed: Allowed = NOTHING,
    environment: Mapping[str, str] = os.environ,
) -> Access:
    """The access that a kubeconfig (a path, or its text) describes. `allowed` counts for remote ones only, wherever their text lies; `environment` names
    proxies.
    """
    found = read(source, needed=True) if isinstance(source, Path) else (source, Path(), "the kubeconfig")
    assert found is not None, "it was needed"
    if remote and len(found[0]) > LONGEST_REMOTE:
        raise AccessRefused(found[2], f"is longer than {LONGEST_REMOTE} characters", "give one with one context")
    return _access(merged_texts([found]), context, allowed if remote else EVERYTHING, environment)


def from_files(
    paths: Sequence[Path], context: str | None = None, *, environment: Mapping[str, str] = os.environ
) -> Access:
    """The access that several files describe together; one alone has to be there, of several some may be missing."""
    found = [read(path, needed=len(paths) == 1) for path in paths]
    return _access(merged_texts([one for one in found if one is not None]), context, EVERYTHING, environment)


def _access(merged: Merged, name: str | None, allowed: Allowed, environment: Mapping[str, str]) -> Access:
    context = _context(merged, name or merged.current)
    cluster_field, user_field = f"cluster {context.cluster}", f"user {context.user}"
    cluster, cluster_folder = _chosen(merged.clusters, context.cluster, cluster_field, _Cluster)
    user, user_folder = (
        _chosen(merged.users, context.user, user_field, _User) if context.user else (_User(), cluster_folder)
    )
    _refuse_forbidden(cluster, user, allowed, cluster_field, user_field)
    server = _server(cluster, f"{cluster_field}: server", allowed)
    authority = _source(cluster.certificate_authority_data, cluster.certificate_authority, cluster_folder, f"{cluster_field}: certificate-authority")  # fmt: skip
    if cluster.insecure_skip_tls_verify and authority is not None:
        raise AccessRefused(
            f"{cluster_field}: insecure-skip-tls-verify",
            "stands beside a certificate authority",
            "take one of the two out",
        )
    certificate = _source(user.client_certificate_data, user.client_certificate, user_folder, f"{user_field}: client-certificate")  # fmt: skip
    key = _source(user.client_key_data, user.client_key, user_folder, f"{user_field}: client-key")
    if (certificate is None) != (key is None):
        raise AccessRefused(
            f"{user_field}: client-certificate", "comes without its key, or the key without it", "give both"
        )
    return Access(
        server,
        credentials=_credentials(user, user_folder, user_field, cluster, authority),
        trust=Trust(authority, certificate, key, verify=not cluster.insecure_skip_tls_verify),
        proxy=_proxy(cluster, f"{cluster_field}: proxy-url") or environment_proxy(server, environment),
        server_name=cluster.tls_server_name or None,
        namespace=context.namespace or "default",
        headers=_impersonation(user, f"{user_field}: as"),
    )


def _context(merged: Merged, name: str) -> _Context:
    known = ", ".join(sorted(merged.contexts)) or "none"
    if not name:
        raise AccessRefused("current-context", "is not set", f"name a context with --context; there are: {known}")
    if name not in merged.contexts:
        raise AccessRefused(f"context {name}", "is not there", f"use one of: {known}")
    context, _ = _chosen(merged.contexts, name, f"context {name}", _Context)
    return context


def _chosen(entries: Mapping[str, Entry], name: str, field: str, kind: type[T]) -> tuple[T, Path]:
    if name not in entries:
        raise AccessRefused(field, "is not there", f"use one of: {', '.join(sorted(entries)) or 'none'}")
    entry = entries[name]
    try:
        return msgspec.convert(without_nulls(entry.value) or {}, kind, strict=False), entry.folder
    except (msgspec.ValidationError, RecursionError) as error:
        raise AccessRefused(field, _said(error), "correct the value") from error


def _said(error: Exception) -> str:
    """What does not fit, without the value: it may be a secret."""
    what, _, where = str(error).partition(" - at `$")
    return f"{where.rstrip('`').lstrip('.') or 'it'}: {what}"


def _refuse_forbidden(cluster: _Cluster, user: _User, allowed: Allowed, cluster_field: str, user_field: str) -> None:
    """What nobody may name, then what this one may not."""
    token = "use a token, a client certificate or exec"
    if user.username or user.password:
        raise AccessRefused(f"{user_field}: username", "Kubernetes has no basic authentication since 1.19", token)
    if user.auth_provider is not None:
        raise AccessRefused(f"{user_field}: auth-provider", "providers are not built in", token)
    for field, named, may, what in (
        (f"{user_field}: exec", user.exec is not None, allowed.exec, "run a program"),
        (f"{user_field}: tokenFile", bool(user.token_file), allowed.files, "read a file"),
        (f"{user_field}: client-certificate", bool(user.client_certificate), allowed.files, "read a file"),
        (f"{user_field}: client-key", bool(user.client_key), allowed.files, "read a file"),
        (f"{cluster_field}: certificate-authority", bool(cluster.certificate_authority), allowed.files, "read a file"),
        (f"{cluster_field}: insecure-skip-tls-verify", cluster.insecure_skip_tls_verify, allowed.insecure, "trust any server"),
        (f"{cluster_field}: proxy-url", bool(cluster.proxy_url), allowed.proxy, "choose a proxy"),
        (f"{user_field}: as", _impersonates(user), allowed.impersonation, "act as another user"),
    ):  # fmt: skip
        if named and not may:
            raise AccessRefused(
                field, f"the kubeconfig of a remote cluster may not {what}", _REMEDY.get(what, "take it out")
            )


_REMEDY = {
    "run a program": "give a token or a client certificate in its place",
    "read a file": "give the content itself, in token or the field that ends in -data",
    "trust any server": "give certificate-authority-data",
}


def _server(cluster: _Cluster, field: str, allowed: Allowed) -> str:
    text = cluster.server if "://" in cluster.server else f"https://{cluster.server}"
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = None
    if not fits or "@" in parts.netloc or parts.query or parts.fragment or not text.isprintable() or " " in text:
        raise AccessRefused(field, "is no URL of a server", "write https://host:port")
    if parts.scheme == "http" and not allowed.insecure:
        raise AccessRefused(
            field, "the kubeconfig of a remote cluster may not send a token in the clear", "write https://"
        )
    return text


def _source(encoded: str, path: str, folder: Path, field: str) -> bytes | Path | None:
    """The content (which counts first, as in kubectl) or the file."""
    if not encoded:
        return folder / path if path else None
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise AccessRefused(f"{field}-data", "is not base64", "encode the PEM text with base64") from error


def _proxy(cluster: _Cluster, field: str) -> str | None:
    if not cluster.proxy_url:
        return None
    try:
        fits = urlsplit(cluster.proxy_url).scheme in ("http", "https") and urlsplit(cluster.proxy_url).hostname
    except ValueError:
        fits = None
    if not fits:
        raise AccessRefused(field, "is no proxy that can be used", "name an HTTP proxy: http://host:port")
    return cluster.proxy_url


def _credentials(
    user: _User, folder: Path, field: str, cluster: _Cluster, authority: bytes | Path | None
) -> Credentials:
    """A token file counts before a token, and both before a program, as in client-go."""
    if user.token_file:
        return FileToken(folder / user.token_file, user.token)
    if user.token or user.exec is None:
        if not is_token(user.token or "-"):
            raise AccessRefused(
                f"{field}: token", "holds characters that no token has", "copy it again, without line ends"
            )
        return StaticToken(user.token)
    return ExecCredentials(_plugin(user.exec, folder, f"{field}: exec", cluster, authority))


def _plugin(exec_: _Exec, folder: Path, field: str, cluster: _Cluster, authority: bytes | Path | None) -> Plugin:
    if not exec_.command:
        raise AccessRefused(f"{field}.command", "is missing", "name the program")
    if exec_.api_version not in VERSIONS:
        raise AccessRefused(
            f"{field}.apiVersion", f"{exec_.api_version or 'nothing'} is not spoken", f"use {' or '.join(VERSIONS)}"
        )
    mode = exec_.interactive_mode or ("IfAvailable" if exec_.api_version == VERSIONS[1] else "")
    if mode not in ("Never", "IfAvailable", "Always"):
        raise AccessRefused(f"{field}.interactiveMode", "is missing or unknown", "write Never, IfAvailable or Always")
    return Plugin(
        command_path(exec_.command, folder),
        tuple(exec_.args),
        tuple((one.name, one.value) for one in exec_.env),
        exec_.api_version,
        mode,
        exec_.install_hint,
        _told(cluster, authority) if exec_.provide_cluster_info else None,
    )


def _told(cluster: _Cluster, authority: bytes | Path | None) -> dict[str, Any]:
    """What a program learns of the cluster (the `Cluster` type of client.authentication.k8s.io)."""
    extensions = (one for one in cluster.extensions if one.get("name") == "client.authentication.k8s.io/exec")
    content = authority.read_bytes() if isinstance(authority, Path) and authority.exists() else authority
    told = {
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": base64.b64encode(content).decode() if isinstance(content, bytes) else "",
        "proxy-url": cluster.proxy_url,
        "disable-compression": cluster.disable_compression,
        "config": next((one.get("extension") for one in extensions), None),
    }
    return {key: value for key, value in told.items() if value}


def _impersonates(user: _User) -> bool:
    return bool(user.as_user or user.as_uid or user.as_groups or user.as_user_extra)


def _impersonation(user: _User, field: str) -> tuple[tuple[str, str], ...]:
    """The headers of an impersonated request (Kubernetes: user impersonation)."""
    headers = [("Impersonate-User", user.as_user)] if user.as_user else []
    headers += [("Impersonate-Uid", user.as_uid)] if user.as_uid else []
    headers += [("Impersonate-Group", group) for group in user.as_groups]
    headers += [(f"Impersonate-Extra-{key}", one) for key, values in user.as_user_extra.items() for one in values]
    if not all(text.isprintable() for header in headers for text in header):
        raise AccessRefused(field, "holds control characters", "write the name of a user")
    return tuple(headers)
