"""How a server is reached: token files, authorities that change, pods, proxies, and which cluster is meant."""

import asyncio
import json
import os
import ssl
from pathlib import Path

import pytest

from weirkeeper.kube.access import REREAD, FileToken, Pair, Tls, Trust
from weirkeeper.kube.errors import AccessRefused, Unauthorized
from weirkeeper.kube.find import find_access
from weirkeeper.kube.in_cluster import from_pod
from weirkeeper.kube.proxies import environment_proxy
from weirkeeper.testing.certificates import Authority


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def header(token: FileToken) -> str | None:
    return asyncio.run(token.authorization())


def test_a_token_file_is_read_once_a_minute(tmp_path: Path) -> None:
    path, clock = tmp_path / "token", Clock()
    path.write_text("one\n")
    token = FileToken(path, clock=clock)
    assert header(token) == "Bearer one"
    path.write_text("two\n")
    clock.now += REREAD - 1
    assert header(token) == "Bearer one"
    clock.now += 1
    assert header(token) == "Bearer two"


def test_after_a_401_it_is_read_at_once_and_another_token_is_worth_a_try(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    token = FileToken(path, clock=Clock())
    assert header(token) == "Bearer one"
    assert not token.renewed()
    path.write_text("two")
    assert token.renewed()
    assert header(token) == "Bearer two"


def test_a_file_that_can_not_be_read_leaves_the_token(tmp_path: Path) -> None:
    path, clock = tmp_path / "token", Clock()
    path.write_text("one")
    token = FileToken(path, clock=clock)
    assert header(token) == "Bearer one"
    for content in (None, b"", b"\xff\xfe"):
        path.unlink(missing_ok=True) if content is None else path.write_bytes(content)
        clock.now += REREAD
        assert header(token) == "Bearer one"
    path.write_text("back")
    clock.now += REREAD
    assert header(token) == "Bearer back"


def test_without_any_token_there_is_no_request(tmp_path: Path) -> None:
    with pytest.raises(Unauthorized) as refused:
        header(FileToken(tmp_path / "nothing", clock=Clock()))
    assert refused.value.reason == "NoCredentials"


def names(context: ssl.SSLContext) -> list[str]:
    return [dict(part[0] for part in one["subject"])["commonName"] for one in context.get_ca_certs()]


def test_an_authority_that_changes_is_followed(tmp_path: Path) -> None:
    path, clock = tmp_path / "ca.crt", Clock()
    path.write_bytes(Authority("first").pem())
    tls = Tls(Trust(authority=path), clock=clock)
    first = tls.context()
    assert names(first) == ["first"]
    clock.now += REREAD
    assert tls.context() is first, "unchanged: the same context, so that connections are kept"
    path.write_bytes(Authority("second").pem())
    assert tls.context() is first
    clock.now += REREAD
    assert names(tls.context()) == ["second"]


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_nonsense_in_its_place_is_not(tmp_path: Path, content: bytes | None) -> None:
    path, clock = tmp_path / "ca.crt", Clock()
    path.write_bytes(Authority("first").pem())
    tls = Tls(Trust(authority=path), clock=clock)
    path.unlink() if content is None else path.write_bytes(content)
    tls.look_again()
    assert names(tls.context()) == ["first"]
    path.write_bytes(Authority("second").pem())
    tls.look_again()
    assert names(tls.context()) == ["second"]


def test_a_certificate_of_the_credentials_is_used_and_a_bad_one_named() -> None:
    authority = Authority("a")
    good, other = authority.issue("alice"), authority.issue("bob")
    tls = Tls(Trust(authority=authority.pem()))
    first = tls.context(Pair(good.certificate, good.key))
    assert tls.context(Pair(good.certificate, good.key)) is first
    with pytest.raises(Unauthorized) as refused:
        tls.context(Pair(good.certificate, other.key))
    assert refused.value.reason == "NoCredentials"


def test_no_key_stays_open_behind(tmp_path: Path) -> None:
    pair = Authority("a").issue("alice")
    before = sorted(os.listdir("/proc/self/fd"))
    Tls(Trust(certificate=pair.certificate, key=pair.key))
    assert len(os.listdir("/proc/self/fd")) == len(before)


def pod(folder: Path) -> Path:
    for name, content in {"token": b"pod", "ca.crt": Authority("a").pem(), "namespace": b"shop\n"}.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_pod(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443", "HTTPS_PROXY": "http://p"}
    access = from_pod(pod(tmp_path), environment)
    assert (access.server, access.namespace, access.proxy) == ("https://10.96.0.1:443", "shop", None)
    assert asyncio.run(access.authorization()) == "Bearer pod"
    six = from_pod(tmp_path, {"KUBERNETES_SERVICE_HOST": "fd00::1"})
    assert six.server == "https://[fd00::1]:443"


def test_no_pod(tmp_path: Path) -> None:
    with pytest.raises(AccessRefused, match="KUBERNETES_SERVICE_HOST"):
        from_pod(pod(tmp_path), {})
    (tmp_path / "token").unlink()
    with pytest.raises(AccessRefused, match="automountServiceAccountToken"):
        from_pod(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"})


def kubeconfig(path: Path, server: str) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps({
        "clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
    }))  # fmt: skip
    return path


def test_the_first_that_there_is(tmp_path: Path) -> None:
    given, variable = kubeconfig(tmp_path / "given", "https://given"), kubeconfig(tmp_path / "variable", "https://variable")
    home = tmp_path / "home"
    kubeconfig(home / ".kube" / "config", "https://home")
    (tmp_path / "pod").mkdir()
    mounted = pod(tmp_path / "pod")
    inside = {"HOME": str(home), "KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    named = {**inside, "KUBECONFIG": f"{tmp_path / 'missing'}{os.pathsep}{variable}"}
    assert find_access(given, environment=named, pod=mounted).server == "https://given"
    assert find_access(environment=named, pod=mounted).server == "https://variable"
    assert find_access(environment=inside, pod=mounted).server == "https://10.96.0.1:443"
    assert find_access(None, "x", environment=inside, pod=mounted).server == "https://home"
    assert find_access(environment={"HOME": str(home)}, pod=mounted).server == "https://home"
    with pytest.raises(AccessRefused, match="--kubeconfig"):
        find_access(environment={"HOME": str(tmp_path)}, pod=tmp_path / "no")
    with pytest.raises(AccessRefused, match="no such file"):
        find_access(tmp_path / "missing", environment=named, pod=mounted)


PROXIES = {"HTTPS_PROXY": "http://p:3128", "http_proxy": "plain:80"}


@pytest.mark.parametrize(
    ("server", "exempt", "proxy"),
    [
        ("https://api.example.com:6443", "", "http://p:3128"),
        ("http://api.example.com", "", "http://plain:80"),
        ("https://localhost:6443", "", None),
        ("https://127.0.0.1:6443", "", None),
        ("https://[::1]:6443", "", None),
        ("https://api.example.com", "*", None),
        ("https://api.example.com", "example.com", None),
        ("https://api.example.com", ".example.com", None),
        ("https://api.example.com", "*.example.com", None),
        ("https://api.example.com:6443", "*.example.com:6443", None),
        ("https://example.com", "*.example.com", "http://p:3128"),
        ("https://example.com", ".example.com", "http://p:3128"),
        ("https://example.com", " EXAMPLE.com ,x", None),
        ("https://notexample.com", "example.com", "http://p:3128"),
        ("https://api.example.com:6443", "api.example.com:6443", None),
        ("https://api.example.com:443", "api.example.com:6443", "http://p:3128"),
        ("https://10.1.2.3", "10.0.0.0/8", None),
        ("https://10.1.2.3", "10.1.2.3", None),
        ("https://11.1.2.3", "10.0.0.0/8,nonsense/99", "http://p:3128"),
        ("https://[fd00::1]", "fd00::/8", None),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", None),
        ("https://[fd00::1]:443", "[fd00::1]:6443", "http://p:3128"),
    ],
)
def test_proxies_of_the_environment(server: str, exempt: str, proxy: str | None) -> None:
    assert environment_proxy(server, {**PROXIES, "NO_PROXY": exempt}) == proxy
