"""Settings of `weir run`: three places, one meaning; whatever is wrong names the place and the remedy."""

import pytest
from typer.testing import CliRunner

from weirkeeper.cli.main import app
from weirkeeper.configuration import checked, described, key, kinds, run_settings
from weirkeeper.errors import StartRefused
from weirkeeper.settings import RunSettings


def written(tmp_path, text):
    path = tmp_path / "weir.yaml"
    path.write_text(text)
    return path


def test_every_setting_has_a_sentence():
    assert all(sentence.endswith(".") for sentence, _ in described().values())
    assert set(described()) == set(RunSettings.__struct_fields__)


def test_nothing_said_gives_the_defaults():
    assert run_settings({}, {}, None) == RunSettings()


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path):
    file = written(tmp_path, "httpPort: 1\nhttpsPort: 2\nleaseSeconds: 3\n")
    settings = run_settings({"http_port": "11"}, {"WEIR_HTTP_PORT": "21", "WEIR_HTTPS_PORT": "22"}, file)
    assert (settings.http_port, settings.https_port, settings.lease_seconds) == (11, 22, 3.0)


@pytest.mark.parametrize("text", ["ingress,manifests", " ingress , manifests,"])
def test_lists_are_separated_by_commas(text):
    assert run_settings({"controllers": text}, {}, None).controllers == ("ingress", "manifests")


def test_a_list_in_the_file(tmp_path):
    file = written(
        tmp_path, "watchNamespaces: [one, two]\npublish: service:edge/public\nclearStatus: true\nname: off\n"
    )
    settings = run_settings({}, {}, file)
    assert settings.watch_namespaces == ("one", "two")
    assert settings.publish == ("service:edge/public",)
    assert settings.clear_status is True
    assert settings.name == "off"


def test_empty_says_nothing(tmp_path):
    assert run_settings({"name": ""}, {"WEIR_NAME": ""}, written(tmp_path, "")) == RunSettings()


WRONG = {
    "no mapping": ("- a\n", "no mapping"),
    "unknown key": ("htpPort: 1\n", "did you mean httpPort"),
    "no number": ("httpPort: many\n", "httpPort says 'many'"),
    "a list for a value": ("name: [a]\n", "name is one value"),
    "a mapping": ("name: {a: b}\n", "name is a mapping"),
    "no choice": ("logLevel: loud\n", "logLevel says 'loud'"),
    "no YAML": ("a: [\n", "cannot be read"),
}


@pytest.mark.parametrize(("text", "why"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_stops_the_start(tmp_path, text, why):
    with pytest.raises(StartRefused, match=why):
        run_settings({}, {}, written(tmp_path, text))


def test_a_wrong_variable_is_named():
    with pytest.raises(StartRefused, match="WEIR_HTTP_PORT says 'x'"):
        run_settings({}, {"WEIR_HTTP_PORT": "x"}, None)


def test_a_wrong_flag_is_named():
    with pytest.raises(StartRefused, match="--lease-seconds says 'x'"):
        run_settings({"lease_seconds": "x"}, {}, None)


def test_every_setting_is_a_flag():
    said = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "400"}).output
    assert all(f"--{name.replace('_', '-')}" in said for name in kinds())


def test_keys_are_written_as_kubernetes_writes_them():
    assert key("watch_namespaces") == "watchNamespaces"


def test_a_file_that_is_not_there_stops_the_start_with_exit_code_2(tmp_path):
    done = CliRunner().invoke(app, ["run", "--config", str(tmp_path / "none.yaml")])
    assert done.exit_code == 2
    assert "cannot be read" in done.output


IMPOSSIBLE = {
    "no port": ({"http_port": "-1"}, "httpPort is -1, which is no port"),
    "a port beyond the last": ({"https_port": "65536"}, "httpsPort is 65536"),
    "no pause at all": ({"retry_seconds": "0"}, "retrySeconds is 0, which is no time"),
    "not a number": ({"lease_seconds": "nan"}, "leaseSeconds is nan"),
    "for ever": ({"renew_seconds": "inf"}, "renewSeconds is inf"),
    "before now": ({"grace_seconds": "-1"}, "graceSeconds is -1"),
    "a lease that nobody believes in": ({"lease_seconds": "301"}, "leaseSeconds is 301; other replicas believe"),
    "giving up after the end": ({"renew_seconds": "20"}, "renewSeconds 20, and that less than leaseSeconds 10"),
    "no life": ({"certificate_seconds": "1"}, "certificates live at least 10 s"),
    "no class": ({"class_controllers": ","}, "classControllers is an empty list"),
    "an annotation without a prefix": (
        {"public_endpoints": "endpoints"},
        "publicEndpoints is 'endpoints', which is no name of an annotation",
    ),
    "a name beyond ASCII": ({"server_names": "weir,wöhr"}, "serverNames has 'wöhr'"),
    "no port to listen on": ({"exchange_address": "127.0.0.1"}, "exchangeAddress is '127.0.0.1'; write HOST:PORT"),
    "no number of a port": ({"ads_address": "[::]:ads"}, "adsAddress is"),
    "a port that nobody has": ({"health_address": ":99999"}, "healthAddress is ':99999'"),
}


@pytest.mark.parametrize(("said", "why"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_settings_that_cannot_work_stop_the_start(said, why):
    with pytest.raises(StartRefused) as refused:
        checked(run_settings(said, {}, None))
    assert why in str(refused.value)


def test_the_defaults_can_work_and_addresses_may_leave_out_the_host():
    addresses = {
        "ads_address": ":18000",
        "exchange_address": "[::]:0",
        "health_address": "localhost:8080",
        "grace_seconds": "0",
    }
    assert checked(run_settings({}, {}, None)) == RunSettings()
    assert checked(run_settings(addresses, {}, None)).grace_seconds == 0


def test_an_impossible_setting_is_said_in_one_line_with_exit_code_2():
    done = CliRunner().invoke(app, ["run", "--class-controllers", ","])
    assert done.exit_code == 2
    assert done.output == "weir run: classControllers is an empty list; name at least one, or leave it out\n"
