"""Kubeconfigs, good and refused: what is read, what it becomes, and that a tenant's names nothing on this machine."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import pytest

from weirkeeper.kube.access import Access
from weirkeeper.kube.errors import AccessRefused
from weirkeeper.kube.kubeconfig import EVERYTHING, NOTHING, Allowed, from_files, from_kubeconfig
from weirkeeper.testing.certificates import Authority

AUTHORITY = Authority("cluster")
CLIENT = AUTHORITY.issue("alice")
NO_PROXY: dict[str, str] = {}


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def config(user: object = None, cluster: object = None, **more: object) -> str:
    """A kubeconfig with one context."""
    return json.dumps({
        "clusters": [{"name": "c", "cluster": {"server": "https://api:6443"} if cluster is None else cluster}],
        "users": [{"name": "u", "user": {"token": "t0ken"} if user is None else user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "current-context": "x",
        **more,
    })  # fmt: skip


def read(text: str, context: str | None = None, *, remote: bool = False, allowed: Allowed = NOTHING) -> Access:
    return from_kubeconfig(text, context, remote=remote, allowed=allowed, environment=NO_PROXY)


def header(access: Access) -> str | None:
    return asyncio.run(access.authorization())


def test_a_token() -> None:
    access = read(config())
    assert (access.server, access.namespace, header(access), access.proxy) == ("https://api:6443", "shop", "Bearer t0ken", None)


def test_texts_stay_texts() -> None:
    access = read(
        "clusters: [{name: on, cluster: {server: 'https://a'}}]\n"
        "users: [{name: 0123, user: {token: 1e5}}]\n"
        "contexts: [{name: 2026-01-01, context: {cluster: on, user: 0123, namespace: }}]\n"
        "current-context: 2026-01-01\n"
    )
    assert (header(access), access.namespace) == ("Bearer 1e5", "default")


def test_a_server_without_scheme_gets_tls() -> None:
    assert read(config(cluster={"server": "api:6443"})).server == "https://api:6443"


def test_a_path_of_the_server_stays() -> None:
    assert read(config(cluster={"server": "https://rancher/k8s/clusters/c-1/"})).server == "https://rancher/k8s/clusters/c-1"


def test_nobody_needs_a_user() -> None:
    text = json.dumps({
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:8001"}}], "users": None,
        "contexts": [{"name": "x", "context": {"cluster": "c"}}],
    })  # fmt: skip
    access = read(text, "x")
    assert header(access) is None
    assert asyncio.run(access.ssl_context()) is None


def test_another_context_is_chosen_by_name() -> None:
    text = config(contexts=[
        {"name": "x", "context": {"cluster": "gone", "user": "gone"}}, {"name": "y", "context": {"cluster": "c", "user": "u"}},
    ])  # fmt: skip
    assert read(text, "y").server == "https://api:6443"


def test_the_authority_and_the_certificate_go_into_the_context() -> None:
    cluster = {"server": "https://a", "certificate-authority-data": encoded(AUTHORITY.pem()), "tls-server-name": "inner"}
    user = {"client-certificate-data": encoded(CLIENT.certificate), "client-key-data": encoded(CLIENT.key)}
    access = read(config(user, cluster))
    context = asyncio.run(access.ssl_context())
    assert context is not None
    assert [dict(part[0] for part in one["subject"])["commonName"] for one in context.get_ca_certs()] == ["cluster"]
    assert access.server_name == "inner"
    assert header(access) is None


def test_paths_start_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    for name, content in {"ca.crt": AUTHORITY.pem(), "u.crt": CLIENT.certificate, "u.key": CLIENT.key, "token": b"from-file\n"}.items():
        (tmp_path / "pki" / name).write_bytes(content)
    cluster = {"server": "https://a", "certificate-authority": "pki/ca.crt"}
    user = {"client-certificate": "pki/u.crt", "client-key": "pki/u.key", "tokenFile": "pki/token"}
    (tmp_path / "config").write_text(config(user, cluster))
    access = from_kubeconfig(tmp_path / "config", environment=NO_PROXY)
    assert header(access) == "Bearer from-file"


def test_of_several_files_the_first_that_names_a_thing_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "one" / "config", tmp_path / "two" / "config"
    first.parent.mkdir()
    second.parent.mkdir()
    first.write_text(json.dumps({"users": [{"name": "u", "user": {"tokenFile": "mine"}}], "current-context": ""}))
    (first.parent / "mine").write_text("first")
    second.write_text(config(user={"token": "second", "tokenFile": "mine"}))
    access = from_files([first, tmp_path / "missing", second], environment=NO_PROXY)
    assert (access.server, header(access)) == ("https://api:6443", "Bearer first")


def test_impersonation() -> None:
    user = {"token": "t", "as": "bob", "as-uid": "7", "as-groups": ["a", "b"], "as-user-extra": {"k": ["v", "w"]}}
    assert read(config(user)).headers == (
        ("Impersonate-User", "bob"), ("Impersonate-Uid", "7"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"),
        ("Impersonate-Extra-k", "v"), ("Impersonate-Extra-k", "w"),
    )  # fmt: skip


def test_a_proxy_of_the_file_counts_before_the_environment() -> None:
    environment = {"HTTPS_PROXY": "http://env:1"}
    own = config(cluster={"server": "https://a", "proxy-url": "http://own:2"})
    assert from_kubeconfig(own, environment=environment).proxy == "http://own:2"
    assert from_kubeconfig(config(), environment=environment).proxy == "http://env:1"


EXEC = {"command": "login", "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}

REFUSED = {
    "no yaml": ("a: [", "the kubeconfig"),
    "no mapping": ("- 1", "the kubeconfig"),
    "not a list": ('{"clusters": {"c": {}}}', "the kubeconfig: clusters"),
    "entries without names": ('{"users": [{"user": {}}]}', "the kubeconfig: users"),
    "too long": ("#" * (1 << 20) + "\nx: 1", "the kubeconfig"),
    "a tag": ("a: !!python/object/apply:os.system ['true']", "the kubeconfig"),
    "deep": ("a: " + "[" * 5000, "the kubeconfig"),
    "no context": (config(**{"current-context": ""}), "current-context"),
    "context not there": (config(**{"current-context": "z"}), "context z"),
    "cluster not there": (config(clusters=[]), "cluster c"),
    "user not there": (config(users=None), "user u"),
    "no server": (config(cluster={}), "cluster c: server"),
    "another scheme": (config(cluster={"server": "ftp://a"}), "cluster c: server"),
    "user in the URL": (config(cluster={"server": "https://me:pw@a"}), "cluster c: server"),
    "a bad port": (config(cluster={"server": "https://a:x"}), "cluster c: server"),
    "insecure beside an authority": (
        config(cluster={"server": "https://a", "insecure-skip-tls-verify": True, "certificate-authority-data": "QQ=="}),
        "cluster c: insecure-skip-tls-verify",
    ),
    "authority not base64": (config(cluster={"server": "https://a", "certificate-authority-data": "%"}), "cluster c: certificate-authority-data"),
    "authority no certificate": (config(cluster={"server": "https://a", "certificate-authority-data": "QQ=="}), "certificate-authority"),
    "authority file missing": (config(cluster={"server": "https://a", "certificate-authority": "nowhere.crt"}), "certificate-authority"),
    "not a boolean": (config(cluster={"server": "https://a", "insecure-skip-tls-verify": "perhaps"}), "cluster c"),
    "socks": (config(cluster={"server": "https://a", "proxy-url": "socks5://p:1"}), "cluster c: proxy-url"),
    "basic authentication": (config({"username": "me", "password": "pw"}), "user u: username"),
    "auth-provider": (config({"auth-provider": {"name": "gcp"}}), "user u: auth-provider"),
    "certificate without key": (config({"client-certificate-data": "QQ=="}), "user u: client-certificate"),
    "certificate of another key": (
        config({"client-certificate-data": encoded(CLIENT.certificate), "client-key-data": encoded(AUTHORITY.issue("b").key)}),
        "client-certificate",
    ),
    "encrypted key": (
        config({"client-certificate-data": encoded(CLIENT.certificate), "client-key-data": encoded(AUTHORITY.issue("b", passphrase=b"p").key)}),
        "client-certificate",
    ),
    "token is a list": (config({"token": ["a"]}), "user u"),
    "token of two lines": (config({"token": "a\r\nHost: b"}), "user u: token"),
    "impersonated line": (config({"token": "a", "as": "a\r\nHost: b"}), "user u: as"),
    "exec without command": (config({"exec": {**EXEC, "command": ""}}), "user u: exec.command"),
    "exec of old": (config({"exec": {**EXEC, "apiVersion": "client.authentication.k8s.io/v1alpha1"}}), "user u: exec.apiVersion"),
    "exec v1 without mode": (config({"exec": {**EXEC, "interactiveMode": ""}}), "user u: exec.interactiveMode"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_field_and_remedy(name: str) -> None:
    text, field = REFUSED[name]
    with pytest.raises(AccessRefused) as refused:
        read(text)
    assert refused.value.field == field
    assert refused.value.why
    assert refused.value.remedy


def test_a_refusal_shows_no_secret() -> None:
    with pytest.raises(AccessRefused) as refused:
        read(config({"token": {"hidden": "s3cret"}}))
    assert "s3cret" not in str(refused.value)


TENANT = {
    "exec": (config({"exec": EXEC}), "user u: exec"),
    "tokenFile": (config({"tokenFile": "/etc/passwd"}), "user u: tokenFile"),
    "client-certificate": (config({"client-certificate": "/a", "client-key": "/b"}), "user u: client-certificate"),
    "client-key": (config({"client-certificate-data": "QQ==", "client-key": "/b"}), "user u: client-key"),
    "certificate-authority": (config(cluster={"server": "https://a", "certificate-authority": "/a"}), "cluster c: certificate-authority"),
    "insecure": (config(cluster={"server": "https://a", "insecure-skip-tls-verify": True}), "cluster c: insecure-skip-tls-verify"),
    "proxy": (config(cluster={"server": "https://a", "proxy-url": "http://p:1"}), "cluster c: proxy-url"),
    "as": (config({"token": "t", "as": "system:admin"}), "user u: as"),
    "as-groups": (config({"token": "t", "as-groups": ["system:masters"]}), "user u: as"),
    "as-user-extra": (config({"token": "t", "as-user-extra": {"a": ["b"]}}), "user u: as"),
    "plain http": (config(cluster={"server": "http://169.254.169.254"}), "cluster c: server"),
    "auth-provider": (config({"auth-provider": {"name": "oidc"}}), "user u: auth-provider"),
    "basic authentication": (config({"username": "me"}), "user u: username"),
}  # fmt: skip


@pytest.mark.parametrize("name", TENANT)
def test_a_tenants_kubeconfig_may_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, field = TENANT[name]
    touched: list[tuple[str, object]] = []
    with pytest.raises(AccessRefused) as refused, watching(touched):
        read(text, remote=True)
    assert refused.value.field == field
    assert touched == []


@pytest.mark.parametrize("name", TENANT)
def test_nor_may_it_when_it_lies_in_a_file(name: str, tmp_path: Path) -> None:
    text, field = TENANT[name]
    (tmp_path / "config").write_text(text)
    with pytest.raises(AccessRefused) as refused:
        from_kubeconfig(tmp_path / "config", remote=True, environment=NO_PROXY)
    assert refused.value.field == field


def test_a_tenants_kubeconfig_is_short() -> None:
    text = config() + " " * 70_000
    assert read(text).server
    with pytest.raises(AccessRefused, match="longer"):
        read(text, remote=True)


class watching:  # noqa: N801
    """Notes every file that is opened and every program that is started while the block runs."""

    _into: list[list[tuple[str, object]]] = []
    _hooked = False

    def __init__(self, touched: list[tuple[str, object]]) -> None:
        self._touched = touched

    def __enter__(self) -> None:
        if not watching._hooked:
            sys.addaudithook(watching._note)
            watching._hooked = True
        watching._into.append(self._touched)

    def __exit__(self, *_: object) -> None:
        watching._into.remove(self._touched)

    @staticmethod
    def _note(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("open", "os.exec", "os.posix_spawn", "subprocess.Popen", "os.system"):
            for into in watching._into:
                into.append((event, arguments[0]))


def test_the_watch_on_files_sees_files(tmp_path: Path) -> None:
    touched: list[tuple[str, object]] = []
    with watching(touched), pytest.raises(AccessRefused):
        read(config(cluster={"server": "https://a", "certificate-authority": str(tmp_path / "a")}))
    assert ("open", str(tmp_path / "a")) in [(event, str(path)) for event, path in touched]


@pytest.mark.parametrize(
    ("allowed", "name"),
    [
        (Allowed(proxy=True), "proxy"),
        (Allowed(insecure=True), "insecure"),
        (Allowed(insecure=True), "plain http"),
        (Allowed(impersonation=True), "as"),
        (Allowed(exec=True), "exec"),
        (EVERYTHING, "as-groups"),
    ],
)
def test_each_may_be_allowed_alone(allowed: Allowed, name: str) -> None:
    read(TENANT[name][0], remote=True, allowed=allowed)
    with pytest.raises(AccessRefused):
        read(TENANT["tokenFile"][0] if name != "as-groups" else TENANT["auth-provider"][0], remote=True, allowed=allowed)


def test_a_tenants_token_and_certificate_are_taken() -> None:
    cluster = {"server": "https://a", "certificate-authority-data": encoded(AUTHORITY.pem())}
    user = {"client-certificate-data": encoded(CLIENT.certificate), "client-key-data": encoded(CLIENT.key), "token": "t"}
    access = read(config(user, cluster), remote=True)
    assert header(access) == "Bearer t"
    assert asyncio.run(access.ssl_context()) is not None
