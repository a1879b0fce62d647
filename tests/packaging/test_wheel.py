"""The wheel is the product: built here, installed into an empty environment, and used from there."""

import json
import os
import signal
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from weirkeeper.testing.echo import echo_thread
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packaging")]

MANIFESTS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: hello}}
spec:
  rules:
  - host: hello.example
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: hello, port: {{number: 80}}}}}}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: hello}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: hello-1, labels: {{kubernetes.io/service-name: hello}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def weir(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment that holds the wheel and what it asks for, nothing else."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "weir"


def run(weir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(weir.parents[1]), "COLUMNS": "120", "TERM": "dumb", **environment}
    return subprocess.run([weir, *arguments], env=clean, capture_output=True, text=True, timeout=180, check=False)


def test_it_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "weirkeeper/py.typed" in names
    assert "weirkeeper/cli/main.py" in names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"weirkeeper"}
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_help_reads_well(weir):
    said = run(weir, "--help")
    assert said.returncode == 0
    assert said.stderr == ""
    for command in ("up", "check", "translate", "plan", "diff", "explain", "features", "plugins"):
        rows = [line for line in said.stdout.splitlines() if line.strip("│| ").startswith(f"{command} ")]
        assert len(rows) == 1, command
        assert len(rows[0].split()) > 4, f"{command} has a sentence"
    assert "Traceback" not in said.stdout
    assert run(weir, "--version").stdout == "weir 0.1.0\n"


@pytest.mark.parametrize("command", ["up", "check", "translate", "plan", "diff", "explain", "features", "plugins"])
def test_each_command_has_help(weir, command):
    said = run(weir, command, "--help")
    assert said.returncode == 0, said.stderr
    assert f"Usage: weir {command}" in said.stdout


def test_a_slip_is_answered_in_words(weir):
    said = run(weir, "upp")
    assert said.returncode == 2
    assert "No such command 'upp'" in said.stderr
    assert "Traceback" not in said.stderr


def test_the_shell_completes_commands_and_options(weir):
    script = run(weir, "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert script.returncode == 0, script.stderr
    assert "_WEIR_COMPLETE=complete_bash" in script.stdout
    words = run(weir, _WEIR_COMPLETE="complete_bash", COMP_WORDS="weir ex", COMP_CWORD="1")
    assert words.stdout.split() == ["explain"]
    options = run(weir, _WEIR_COMPLETE="complete_bash", COMP_WORDS="weir up --http", COMP_CWORD="2")
    assert {"--http-port", "--https-port"} <= set(options.stdout.split())


@pytest.mark.engine
def test_it_serves_from_an_empty_environment(weir, tmp_path):
    folder, log = tmp_path / "in", tmp_path / "log"
    folder.mkdir()
    http, https = free_port(), free_port()
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    with echo_thread(name="hello") as echo, log.open("w") as out:
        (folder / "hello.yaml").write_text(MANIFESTS.format(port=echo.port))
        command = [weir, "up", folder, "--http-port", str(http), "--https-port", str(https)]
        process = subprocess.Popen(command, env=clean, cwd=tmp_path, stdout=out, stderr=out, start_new_session=True)
        try:
            curl = ["curl", "-s", "-f", "-m", "20", "-H", "Host: hello.example", f"http://127.0.0.1:{http}/a"]
            said = poll_until(
                lambda: process.poll() is not None or subprocess.run(curl, capture_output=True, check=False).stdout,
                120, what="it answers",
            )  # fmt: skip
            assert process.poll() is None, log.read_text()
            assert json.loads(said)["name"] == "hello", said
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, log.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in log.read_text()
