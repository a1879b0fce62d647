"""An NGINX that outlives its program is taken over without a reload; one that is killed is replaced with everything; a port that is taken is said; its sockets are its user's alone."""

import asyncio
import http.client
import os
import random
import signal
import socket
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from watched import Watched, settled

from weirkeeper.providers.base import EngineSettings
from weirkeeper.providers.nginx import PROVIDER
from weirkeeper.providers.nginx.plan import Cause
from weirkeeper.testing.conformance import Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("nginx-life")]


class TwoWorkers(Watched):
    """Two processes, so that one may hang and the other answer."""

    def settings(self, folder: str) -> EngineSettings:
        return msgspec.structs.replace(super().settings(folder), concurrency=2)


@pytest.fixture(scope="module")
def rig() -> Watched:
    return TwoWorkers(PROVIDER, options={"reload-milliseconds": "50"})


@pytest.fixture(scope="module")
def site(rig: Watched) -> Iterator[Site]:
    with running_backends() as backends, running_stage(rig) as stage:
        made = Site(stage, backends, "life")
        made.apply(*made.service("a", backends.a.port), *made.service("b", backends.b.port), made.ingress())
        made.answers("a")
        settled(made, rig)
        yield made


def master(rig: Watched) -> int:
    found = asyncio.run(rig.keeper.processes.running())
    assert found is not None
    return found.pid


def workers(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_sockets_and_folder_are_its_users_alone(site: Site, rig: Watched) -> None:
    site.answers("a")
    folder = rig.keeper.folder
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_socket()}
    assert modes == {"control.sock": 0o600, "ask.sock": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_one_that_runs_is_taken_over_as_it_is(site: Site, rig: Watched) -> None:
    """The record of what it holds is thrown away, as a program that was killed would lose it."""
    pid, keeper = master(rig), rig.keeper
    before = Counter(keeper.reloads)
    keeper._held = keeper._process = None
    site.apply(site.ingress(paths=[("/", "Prefix", "b")]))
    site.answers("b")
    assert (master(rig), Counter(keeper.reloads)) == (pid, before)
    site.apply(site.ingress())
    site.answers("a")


def test_one_that_is_taken_over_with_another_file_keeps_its_ports(site: Site, rig: Watched) -> None:
    """Where it listens already is not taken for somebody else's."""
    pid, keeper = master(rig), rig.keeper
    site.apply(site.neutral(listeners=[site.listener(free_port())]))
    settled(site, rig)
    keeper._held = keeper._process = None
    site.apply(site.neutral(listeners=[site.listener(free_port())]))
    settled(site, rig)
    site.answers("a")
    assert master(rig) == pid


@pytest.mark.parametrize("whole", [False, True])
def test_a_killed_master_is_replaced_and_its_workers_with_it(site: Site, rig: Watched, whole: bool) -> None:
    pid = master(rig)
    left = workers(pid)
    before = rig.keeper.reloads[Cause.START]
    for one in [*left, pid] if whole else [pid]:
        os.kill(one, signal.SIGKILL)
    poll_until(lambda: rig.keeper.reloads[Cause.START] == before + 1, 60.0, what="another one is started")
    site.answers("a")
    settled(site, rig)
    assert not [one for one in left if Path(f"/proc/{one}/cwd").exists()]


def test_a_worker_that_is_killed_loses_nothing(site: Site, rig: Watched) -> None:
    pid = master(rig)
    for one in workers(pid):
        os.kill(one, signal.SIGKILL)
    site.answers("a")
    assert master(rig) == pid


def test_what_is_remembered_of_requests_is_of_line_and_host_together(site: Site) -> None:
    """The same line with another host, the same host with another line, again and again on one connection: a host in the line goes before the header."""
    site.apply(site.ingress(), site.ingress(name="other", host=f"other.{site.host}", paths=[("/", "Prefix", "b")]))
    site.answers("b", host=f"other.{site.host}")
    here, other = site.host, f"other.{site.host}"
    asks = [
        ("/", here, "a"),
        (f"http://{other}/", here, "b"),
        ("/", other, "b"),
        (f"http://{here}/", other, "a"),
        ("/", f"{here}.", "a"),
        ("/", f"none.{here}", ""),
    ]
    random.Random(5).shuffle(rounds := asks * 8)
    with (
        socket.create_connection(site.stage.rig.reach(site.stage.http_port), timeout=60) as stream,
        stream.makefile("rb") as answers,
    ):
        for target, host, name in rounds:
            stream.sendall(f"GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
            headers = http.client.parse_headers(answers) if answers.readline() else http.client.HTTPMessage()
            answers.read(int(headers["content-length"]))
            assert (headers["x-echo-name"] or "") == name, (target, host)


def test_a_port_that_is_taken_is_said_and_taken_later(site: Site, rig: Watched) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site.apply(site.neutral(listeners=[site.listener(port)]))
        poll_until(site.stage.rejected, 60.0, what="the port is refused")
        assert "cannot listen" in next(iter(site.stage.rejected().values())).message
        site.answers("a")
    site.until(lambda got: got.status == 200, port=port)


def test_another_listener_is_one_reload(site: Site, rig: Watched) -> None:
    before = Counter(rig.keeper.reloads)
    site.apply(site.neutral(listeners=[site.listener(free_port())]))
    settled(site, rig)
    assert Counter(rig.keeper.reloads) - before == Counter({Cause.LISTENERS: 1})


def test_a_worker_that_hangs_holds_up_no_reload(site: Site, rig: Watched) -> None:
    pid = master(rig)
    hung = workers(pid)[0]
    os.kill(hung, signal.SIGSTOP)
    before = Counter(rig.keeper.reloads)
    site.apply(site.neutral(listeners=[site.listener(free_port())]))
    settled(site, rig)
    site.answers("a")
    made = Counter(rig.keeper.reloads) - before
    # A question that the hung one has already taken is never answered; then NGINX is taken over anew, and its file is not known.
    assert (master(rig), made[Cause.LISTENERS], made[Cause.START]) == (pid, 1, 0)
    poll_until(lambda: hung not in workers(pid), 60.0, what="what hung is ended")
