"""The rules every test of this repository runs under.

Warnings are errors; nothing is skipped in silence; unit and property tests reach loopback only; the summary says how many
tests ran on a real Envoy. Fixtures of one folder belong in that folder's own conftest, not here.

`--allow-skips` lets skipped tests pass (a machine without IPv6, say); `HYPOTHESIS_PROFILE=ci` draws more examples.
"""

import ipaddress
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
OFFLINE = (HERE / "unit", HERE / "properties")
ON_ENVOY = "ran on a real Envoy"
MARKERS = (
    "engine: starts a real Envoy",
    "cluster: needs a Kubernetes API server",
    "slow: takes more than about ten seconds",
    "reliability: minutes of traffic through faults; `make cluster` runs these, not `make test`",
)
# Each exception to "warnings are errors" says whose warning it is and why it cannot be avoided here.
TOLERATED: tuple[str, ...] = ()

settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile(
    "ci", deadline=None, print_blob=True, max_examples=500, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


class NetworkUsed(AssertionError):
    """A test that must stay on this machine tried to leave it."""


class Gate:
    """Whether sockets may leave loopback now; one per process, because an audit hook cannot be taken out again."""

    closed = False

    def audit(self, event: str, arguments: tuple[object, ...]) -> None:
        """Called by Python before every guarded call; raises instead of letting a closed gate be passed."""
        if not self.closed or not event.startswith("socket."):
            return
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and not stays_here(arguments[1]):
            raise NetworkUsed(f"{event} to {arguments[1]!r}; unit and property tests reach loopback only")
        if event == "socket.getaddrinfo" and not is_loopback(arguments[0]):
            raise NetworkUsed(f"look-up of {arguments[0]!r}; unit and property tests reach loopback only")


GATE = Gate()


def stays_here(address: object) -> bool:
    """Whether a socket address is a Unix socket, a connected socket's peer or on loopback."""
    return not isinstance(address, tuple) or is_loopback(address[0])


def is_loopback(host: object) -> bool:
    """Whether a host, as given to `connect` or `getaddrinfo`, is this machine; None means "any address of mine"."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--allow-skips", action="store_true", help="skipped tests do not make the run fail")


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    for line in ("error", *TOLERATED):
        config.addinivalue_line("filterwarnings", line)
    sys.addaudithook(GATE.audit)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("engine") is not None:
        item.user_properties.append((ON_ENVOY, True))  # travels with the report, from xdist's workers too


@pytest.fixture(autouse=True)
def _offline(request: pytest.FixtureRequest) -> Iterator[None]:
    GATE.closed = any(folder in request.path.parents for folder in OFFLINE)
    yield
    GATE.closed = False


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = (report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind))
    names = {report.nodeid for report in reports if (ON_ENVOY, True) in getattr(report, "user_properties", ())}
    terminalreporter.write_line(f"{len(names)} tests {ON_ENVOY}")
    if skipped := _skipped(config):
        terminalreporter.write_line(f"{skipped} skipped: the run fails (--allow-skips lets it pass)", red=True)


def _skipped(config: pytest.Config) -> int:
    """How many tests were skipped, where that counts; xdist's workers report to their parent and never count."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.getoption("allow_skips") or hasattr(config, "workerinput"):
        return 0
    return len(reporter.getreports("skipped"))
