"""`weir up` as its users have it, in a process of its own: killed, taken over, ended. And how long an edit takes, measured outside of it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_one_bad_of_many import backend, good

from weirkeeper.testing.client import Target, get
from weirkeeper.testing.echo import echo_process
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.load import Ask, Plan, load
from weirkeeper.testing.ports import free_port, listeners

HOST = "good-0.example"
EDITS = 20

pytestmark = pytest.mark.engine


class Up:
    """One folder, its state and its ports; `weir up` may be started over it again and again."""

    def __init__(self, root: Path) -> None:
        self.folder, self.state, self.log = root / "in", root / "state", root / "log"
        self.folder.mkdir()
        self.port, self.secure_port = free_port(), free_port()

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "weirkeeper", "up", str(self.folder), "--state-dir", str(self.state), "--plain"]
        ports = ["--http-port", str(self.port), "--https-port", str(self.secure_port), "--concurrency", "1"]
        with self.log.open("ab") as log:
            return subprocess.Popen([*command, *ports], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

    def save(self, name: str, text: str) -> None:
        half = self.folder / f".{name}.half"
        half.write_text(text)
        half.rename(self.folder / name)

    def status(self, host: str = HOST, path: str = "/") -> int:
        try:
            return get(f"http://{host}{path}", via=self.port).status
        except OSError:
            return 0

    def answers(self, host: str = HOST, path: str = "/") -> None:
        try:
            poll_until(lambda: self.status(host, path) == 200, 60, what=f"{host}{path} answers", pause=0.001)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-3000:]}") from None

    def processes(self) -> list[int]:
        """Every process whose command line names this state folder or this folder of manifests."""
        return [pid for pid in _pids() if any(str(place).encode() in _command(pid) for place in (self.state, self.folder))]

    def engines(self) -> list[int]:
        return [pid for pid in self.processes() if b"envoy" in _command(pid).split(b"\0")[0]]


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.fixture
def up() -> Iterator[Up]:
    with tempfile.TemporaryDirectory(prefix="weir-") as root, echo_process(name="good") as echo:
        made = Up(Path(root))
        made.save("backend.yaml", backend(echo.port))
        made.save("good.yaml", good(0))
        try:
            yield made
        finally:
            for pid in made.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def ended(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    process.send_signal(number)
    return process.wait(60)


def test_a_killed_weir_leaves_envoy_serving_and_the_next_one_takes_over(up: Up) -> None:
    first = up.start()
    up.answers()
    engines = up.engines()
    assert len(engines) == 1
    assert list(listeners(up.port)) == engines, f"others answer on our port: {listeners(up.port)}"
    plan = Plan(target=Target(port=up.port), asks=(Ask(name="host", host=HOST),), connections=4, rate=200, seconds=60)
    with load(plan) as under_load:
        assert ended(first, signal.SIGKILL) == -signal.SIGKILL
        assert up.status() == 200
        up.save("more.yaml", good(1))  # while nobody looks
        assert (up.status(), up.status("good-1.example"), up.engines()) == (200, 404, engines)
        second = up.start()
        up.answers("good-1.example")
        up.save("more.yaml", good(2))
        up.answers("good-2.example")
        assert up.engines() == engines, "the running Envoy was taken over, not replaced"
        result = under_load.stop()
    failures = result.failures(lambda record: record.status == 200 and record.answer == "good")
    assert failures == [], f"{len(failures)} of {len(result.records)}: {failures[:5]}; on the port listen {listeners(up.port)}"
    assert ended(second, signal.SIGINT) == 0
    assert up.processes() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_clean_end_leaves_no_process_behind(up: Up, number: signal.Signals) -> None:
    process = up.start()
    up.answers()
    assert up.engines()
    assert ended(process, number) == 0
    assert up.processes() == []
    assert up.status() == 0


def test_an_edit_is_answered_and_the_time_it_takes_is_told(up: Up, record_property: pytest.FixtureRequest) -> None:
    """From the moment that rename() has returned to the first right answer, on a connection of its own each. The figure is told, not judged."""
    process = up.start()
    up.answers()
    took = []
    for edit in range(EDITS):
        path = f"/edit-{edit}"
        text = good(1).replace('"path": "/"', f'"path": "{path}"')
        assert up.status("good-1.example", path) == 404
        up.save("edit.yaml", text)
        began = time.perf_counter()
        up.answers("good-1.example", path)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    figures = f"edit to answer: median {took[len(took) // 2]:.1f} ms, slowest {took[-1]:.1f} ms of {EDITS}"
    record_property("edit to answer", figures)  # type: ignore[operator]
    print(figures)
    assert ended(process, signal.SIGINT) == 0
