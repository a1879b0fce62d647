"""`--live`: a running program, asked over its socket by the commands."""

import asyncio
import io
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from weirkeeper.app import plugins
from weirkeeper.app.folder import Application
from weirkeeper.cli.answers import explained_live
from weirkeeper.runtime.logging import Log
from weirkeeper.settings import Settings
from weirkeeper.testing.eventually import poll_until


class Program:
    """`weir up` with the memory provider, in a thread of its own."""

    def __init__(self, folder: Path, state: Path) -> None:
        settings = Settings(
            providers=("memory",), state_directory=str(state), http_port=8081, https_port=8444, addresses=("127.0.0.1",)
        )
        self.app = Application(settings, plugins(settings), folder, Log(io.StringIO()), explain=explained_live)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._loop.run_until_complete(self.app.run(self._stop))
        self._loop.close()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture
def state(shop: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "s"
    program = Program(shop, folder)
    try:
        poll_until(lambda: (folder / "read.sock").exists() and bool(program.app.changes.done))
        yield folder
    finally:
        program.end()


def test_only_its_owner_may_ask(state: Path) -> None:
    assert stat.S_IMODE((state / "read.sock").stat().st_mode) == 0o600


def test_explain_live(weir, state: Path) -> None:
    said = weir("explain", "http://shop.example/cart?q=1", "--live", "--state-dir", state, "-H", "X-A: 1")
    assert said.code == 0, said
    assert "forwarded to default/cart/80" in said.out
    assert "engine: virtual-host" in said.out
    assert "1 engine has taken the configuration" in said.out


def test_explain_live_says_the_same_as_offline(weir, state: Path, shop: Path) -> None:
    live = weir("explain", "http://shop.example/cart", "--live", "--state-dir", state, "-o", "json").json["answers"][0]
    offline = weir("explain", "http://shop.example/cart", shop, "-o", "json").json["answers"][0]
    assert live.pop("engine")
    offline.pop("place")
    assert live == offline


def test_a_question_that_is_none_is_refused(weir, state: Path) -> None:
    assert weir("explain", "ftp://a/", "--live", "--state-dir", state).code == 2


def test_plan_live_of_what_is_served_already(weir, state: Path, shop: Path) -> None:
    said = weir("plan", shop, "--live", "--state-dir", state, "--provider", "memory")
    assert said == (0, "nothing would change\n", "")


def test_plan_live_of_a_change(weir, state: Path, shop: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in shop.iterdir():
        (other / path.name).write_text(path.read_text().replace("/cart", "/basket"))
    said = weir("plan", other, "--live", "--state-dir", state, "--provider", "memory")
    assert said.code == 1
    assert "+ /basket or below" in said.out
    assert "engine items: virtual-host ~1" in said.out


def test_nobody_runs_in_that_folder(weir, tmp_path: Path) -> None:
    said = weir("explain", "http://a/", "--live", "--state-dir", tmp_path)
    assert said.code == 2
    assert "no weir answers" in said.err
    assert "no running weir was found" in weir("explain", "http://a/", "--live").err


def test_explain_live_says_what_objects_of_gateway_api_say(weir, state: Path, shop: Path) -> None:
    (shop / "gateway.yaml").write_text(weir("migrate", "ingress", shop).out)

    def told() -> dict[tuple[str, str], str]:
        said = weir("explain", "http://shop.example:80/cart", "--live", "--state-dir", state, "-o", "json").json["answers"]
        words = [word for one in said if one["load_balancer"].startswith("gateway/") for word in one["objects"]]
        return {(word["object"]["kind"], word["type"]): word["status"] for word in words}

    poll_until(lambda: told().get(("Gateway", "Programmed")) == "True", what="the Gateway is programmed")
    assert told()["HTTPRoute", "Accepted"] == "True"
    assert ("HTTPRoute", "Programmed") not in told()
