"""Settings of `weir run`: three places, one meaning; whatever is wrong names the place and the remedy."""

import pytest
from typer.testing import CliRunner

from weirkeeper.configuration import described, key, kinds, run_settings
from weirkeeper.cli.main import app
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
    file = written(tmp_path, "watchNamespaces: [one, two]\npublish: service:edge/public\nclearStatus: true\nname: off\n")
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
