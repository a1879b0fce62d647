"""The command line of `weir up`: help is fast and honest, settings are documented, and what is printed can be pasted."""

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs
from typer.testing import CliRunner

from weirkeeper.app import plugin
from weirkeeper.cli.live import curl_line, once_each, refused_listeners
from weirkeeper.cli.main import COMMANDS, app
from weirkeeper.errors import StartRefused, UnknownPlugin
from weirkeeper.model.finding import Finding, Reason
from weirkeeper.model.ids import HostKey, Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.match import ExactPath, RegexPath, RouteMatch, SegmentPrefix
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Respond, Route, VirtualHost, WeightedBackend
from weirkeeper.settings import Settings, read_socket, state_directory

ORIGIN = Origin(ref=Ref(kind="Ingress", namespace="default", name="shop"))


def listener(port, protocol, *addresses):
    return Listener(
        id="l", load_balancer="lb", group="g", port=port, protocol=protocol, addresses=addresses, origin=ORIGIN
    )


def host(name, path):
    action = Forward(backends=(WeightedBackend(backend="b"),))
    route = Route(id="r", match=RouteMatch(path=path), action=action, origin=ORIGIN)
    return VirtualHost(id="v", load_balancer="lb", group="g", hostname=name, routes=(route,))


def test_every_setting_has_a_sentence():
    for name, annotation in Settings.__annotations__.items():
        (meta,) = annotation.__metadata__
        assert (meta.description or "").endswith("."), name


def test_help_lists_every_command_and_imports_none():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(name in result.output for name in COMMANDS)
    code = (
        "import sys\nfrom weirkeeper.cli.main import main\nsys.argv = ['weir', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'aiohttp', 'grpc', 'google.protobuf', 'weirkeeper.app', 'cryptography'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_up_says_what_it_takes():
    result = CliRunner().invoke(app, ["up", "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "--http-port" in result.output
    assert "--state-dir" in result.output


def test_an_unknown_command_is_refused():
    assert CliRunner().invoke(app, ["upp"]).exit_code == 2


def test_an_unknown_plugin_names_those_that_are_there():
    with pytest.raises(StartRefused, match="no provider called 'nope'") as caught:
        plugin("weirkeeper.providers", "nope")
    assert isinstance(caught.value, UnknownPlugin)


def test_the_state_directory_is_the_same_for_every_way_to_write_a_path(tmp_path):
    home = {"XDG_STATE_HOME": str(tmp_path)}
    (tmp_path / "shop").mkdir()
    first = state_directory(tmp_path / "shop", home)
    assert first == state_directory(tmp_path / "other" / ".." / "shop", home)
    assert first != state_directory(tmp_path, home)
    assert first.parent == tmp_path / "weirkeeper"


def test_the_socket_path_fits_a_socket(tmp_path):
    assert read_socket(Path("/s")) == Path("/s/read.sock")
    assert len(str(read_socket(tmp_path / ("x" * 120)))) < 100


def test_a_listener_that_the_engine_refused_is_known_by_the_port_in_its_words():
    said = "the load balancer refused what this became: port-8080: cannot bind '127.0.0.1:8080': Address already in use"
    refused = Finding(severity="error", reason=Reason.ENGINE_REJECTED, for_user=said, origin=ORIGIN)
    other = Finding(severity="error", reason=Reason.INVALID_HOST, for_user="8443", origin=ORIGIN)
    busy, fine = listener(8080, "http"), structs.replace(listener(8443, "https"), id="m")
    assert refused_listeners([refused, other], [busy, fine]) == {"l"}
    assert refused_listeners([other], [busy, fine]) == set()


def test_a_host_with_a_listener_of_its_own_is_shown_once():
    forwarding = host("a.example", ExactPath(value="/a"))
    refusing = structs.replace(forwarding, routes=(structs.replace(forwarding.routes[0], action=Respond(status=421)),))
    keys = [HostKey("lb", group, "a.example") for group in ("main", "own", "rest")]
    both = {keys[0]: refusing, keys[1]: forwarding, keys[2]: refusing, HostKey("other", "main", "a.example"): refusing}
    assert once_each(both) == {keys[1]: forwarding, HostKey("other", "main", "a.example"): refusing}


@pytest.mark.parametrize(
    ("made", "served", "line"),
    [
        (host("shop.example", ExactPath(value="/a")), listener(8080, "http", "127.0.0.1"),
         "curl --resolve shop.example:8080:127.0.0.1 http://shop.example:8080/a"),
        (host("*.example", SegmentPrefix(value="/")), listener(8443, "https", "::1"),
         "curl -k --resolve any.example:8443:[::1] https://any.example:8443/"),
        (host("*", RegexPath(value="/x.*")), listener(80, "http"), "curl --resolve any.example:80:127.0.0.1 http://any.example:80/"),
        (host("a.example", ExactPath(value="/a;b&c")), listener(80, "http"),
         "curl --resolve a.example:80:127.0.0.1 http://a.example:80'/a;b&c'"),
        (host("a.example", ExactPath(value="/a'$(x)")), listener(80, "http"),
         "curl --resolve a.example:80:127.0.0.1 http://a.example:80/"),
    ],
)  # fmt: skip
def test_curl_lines_can_be_pasted(made, served, line):
    assert curl_line(made, served) == line
