"""Credentials from a real little program: what it is told, when it runs, and what happens when it fails."""

import asyncio
import base64
import datetime
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weirkeeper.kube.errors import Unauthorized
from weirkeeper.kube.exec_credentials import ExecCredentials, Plugin, command_path, kept_of
from weirkeeper.kube.kubeconfig import from_kubeconfig
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.eventually import eventually

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
VERSION = "client.authentication.k8s.io/v1"


class Clocks:
    """A wall clock and a monotonic one, moved by hand."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime.datetime:
        return NOW + datetime.timedelta(seconds=self.passed)

    def clock(self) -> float:
        return self.passed


def program(folder: Path, body: str, name: str = "login") -> Path:
    """A real executable; it counts its runs in `runs`."""
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, sys\n"
        f"runs = pathlib.Path({str(folder / 'runs')!r})\n"
        "number = int(runs.read_text()) + 1 if runs.exists() else 1\n"
        "runs.write_text(str(number))\n"
        "def answer(version=" + repr(VERSION) + ", **status):\n"
        "    print(json.dumps({'apiVersion': version, 'kind': 'ExecCredential', 'status': status}))\n" + body
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def runs(folder: Path) -> int:
    return int((folder / "runs").read_text())


def credentials(path: Path, clocks: Clocks, **more: Any) -> ExecCredentials:
    return ExecCredentials(Plugin(str(path), interactive_mode="Never", **more), now=clocks.now, clock=clocks.clock)


def ask(scenario: Callable[[], Any]) -> Any:
    return asyncio.run(scenario())


def test_a_token_is_kept_until_shortly_before_it_expires(tmp_path: Path) -> None:
    path = program(tmp_path, "answer(token=f'token-{number}', expirationTimestamp='2026-11-21T13:00:00Z' if number == 1 else '2026-11-21T14:00:00Z')")
    clocks = Clocks()
    one = credentials(path, clocks)

    async def scenario() -> list[str | None]:
        seen = []
        for passed in (0, 10, 3539, 3540, 3600, 7000):
            clocks.passed = passed
            seen.append(await one.authorization())
        return seen

    assert ask(scenario) == ["Bearer token-1"] * 3 + ["Bearer token-2"] * 3
    assert runs(tmp_path) == 2


def test_one_without_an_expiry_is_kept_until_a_401(tmp_path: Path) -> None:
    clocks = Clocks()
    one = credentials(program(tmp_path, "answer(token=f'token-{number}')"), clocks)

    async def scenario() -> None:
        assert await one.authorization() == "Bearer token-1"
        clocks.passed = 1e6
        assert await one.authorization() == "Bearer token-1"
        assert one.renewed()
        assert await one.authorization() == "Bearer token-2"
        assert not one.renewed(), "given only just now"
        assert await one.authorization() == "Bearer token-2"

    ask(scenario)


def test_many_requests_share_one_run(tmp_path: Path) -> None:
    one = credentials(program(tmp_path, "answer(token='t')"), Clocks())

    async def scenario() -> list[str | None]:
        return list(await asyncio.gather(*(one.authorization() for _ in range(20))))

    assert set(ask(scenario)) == {"Bearer t"}
    assert runs(tmp_path) == 1


def test_a_run_outlives_the_request_that_wanted_it(tmp_path: Path) -> None:
    fifo = tmp_path / "go"
    one = credentials(program(tmp_path, f"import os\nos.path.exists({str(fifo)!r}) or sys.stdin.read()\nwhile not os.path.exists({str(fifo)!r}): pass\nanswer(token='t')"), Clocks())

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await one.authorization()
        fifo.touch()
        assert await one.authorization() == "Bearer t"

    ask(scenario)
    assert runs(tmp_path) == 1


def test_a_certificate(tmp_path: Path) -> None:
    pair = Authority("a").issue("alice")
    body = f"answer(clientCertificateData={pair.certificate.decode()!r}, clientKeyData={pair.key.decode()!r})"
    one = credentials(program(tmp_path, body), Clocks())

    async def scenario() -> None:
        assert await one.authorization() is None
        given = await one.certificate()
        assert given is not None
        assert given.certificate == pair.certificate

    ask(scenario)


def test_what_the_program_is_told(tmp_path: Path) -> None:
    body = "answer(token=','.join([sys.argv[1], os.environ['REGION'], os.environ['KUBERNETES_EXEC_INFO'].encode().hex()]))"
    program(tmp_path, body)
    (tmp_path / "config").write_text(json.dumps({
        "clusters": [{"name": "c", "cluster": {
            "server": "https://api:6443", "certificate-authority-data": base64.b64encode(Authority("a").pem()).decode(),
            "tls-server-name": "inner",
            "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}, {"name": "other", "extension": 1}],
        }}],
        "users": [{"name": "u", "user": {"exec": {
            "apiVersion": VERSION, "command": "./login", "args": ["--quick"], "env": [{"name": "REGION", "value": "eu"}],
            "interactiveMode": "IfAvailable", "provideClusterInfo": True,
        }}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
    }))  # fmt: skip
    access = from_kubeconfig(tmp_path / "config", environment={})
    header = asyncio.run(access.authorization())
    assert header is not None
    argument, region, told = header.removeprefix("Bearer ").split(",")
    assert (argument, region) == ("--quick", "eu")
    info = json.loads(bytes.fromhex(told))
    assert (info["apiVersion"], info["kind"], info["spec"]["interactive"]) == (VERSION, "ExecCredential", False)
    cluster = info["spec"]["cluster"]
    assert base64.b64decode(cluster.pop("certificate-authority-data")).startswith(b"-----BEGIN CERTIFICATE")
    assert cluster == {"server": "https://api:6443", "tls-server-name": "inner", "config": {"audience": "x"}}


def test_a_failure_is_told_and_not_repeated_at_once(tmp_path: Path) -> None:
    path = program(tmp_path, "print('log in first', file=sys.stderr)\nsys.exit(3) if number < 2 else answer(token='t')")
    clocks = Clocks()
    one = credentials(path, clocks)

    async def scenario() -> None:
        for _ in range(3):
            with pytest.raises(Unauthorized, match="ended with 3: log in first") as refused:
                await one.authorization()
            assert refused.value.reason == "NoCredentials"
        assert runs(tmp_path) == 1
        clocks.passed = 5
        assert await one.authorization() == "Bearer t"

    ask(scenario)


def test_an_old_token_holds_while_the_program_fails(tmp_path: Path) -> None:
    path = program(tmp_path, "answer(token='t', expirationTimestamp='2026-11-21T12:10:00Z') if number == 1 else sys.exit(1)")
    clocks = Clocks()
    one = credentials(path, clocks)

    async def scenario() -> None:
        for clocks.passed in (0, 545, 551, 599):
            assert await one.authorization() == "Bearer t"
        clocks.passed = 601
        with pytest.raises(Unauthorized, match="ended with 1"):
            await one.authorization()

    ask(scenario)
    assert runs(tmp_path) > 1


def test_a_program_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    one = credentials(tmp_path / "nothing", Clocks(), install_hint="brew install login")
    with pytest.raises(Unauthorized, match=r"can't be started .*brew install login"):
        asyncio.run(one.authorization())


def test_one_that_needs_a_terminal_does_not_wait_for_one(tmp_path: Path) -> None:
    plugin = Plugin(str(program(tmp_path, "answer(token='t')")), interactive_mode="Always")
    with pytest.raises(Unauthorized, match="terminal"):
        asyncio.run(ExecCredentials(plugin).authorization())


def test_closing_ends_the_program(tmp_path: Path) -> None:
    body = f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\nimport time\ntime.sleep(600)"
    one = credentials(program(tmp_path, body), Clocks())

    async def pid() -> bool:
        return (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text())

    async def scenario() -> int:
        waiting = asyncio.create_task(one.authorization())
        await eventually(pid, what="the program runs")
        await one.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return int((tmp_path / "pid").read_text())

    assert not Path(f"/proc/{ask(scenario)}").exists()


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (b"s3cret", "printed no ExecCredential"),
        (b"{}", "printed no ExecCredential"),
        (b'{"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential"}', "must print"),
        (b'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "Secret"}', "must print"),
        (b'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}', "neither"),
        (b'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"clientKeyData": "s3cret"}}', "without"),
        (b'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": ["s3cret"]}}', "printed no"),
    ],
)
def test_unusable_output_is_named_and_never_repeated(output: bytes, why: str) -> None:
    with pytest.raises(Unauthorized, match=why) as refused:
        kept_of(output, Plugin("login"), NOW)
    assert "s3cret" not in str(refused.value)


def test_a_token_with_line_ends_goes_into_no_header(tmp_path: Path) -> None:
    one = credentials(program(tmp_path, "answer(token='a\\r\\nHost: b')"), Clocks())
    with pytest.raises(Unauthorized):
        asyncio.run(one.authorization())


def test_commands_are_found_as_kubectl_finds_them(tmp_path: Path) -> None:
    assert command_path("aws", tmp_path) == "aws"
    assert command_path("./bin/aws", tmp_path) == str(tmp_path / "bin/aws")
    assert command_path("/bin/aws", tmp_path) == "/bin/aws"
