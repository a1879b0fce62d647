"""The offline commands: what they say, where, and their exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from weirkeeper.cli.main import COMMANDS
from weirkeeper.cli.places import steps

OFFLINE = ["check", "translate", "plan"]


def test_check_is_content_with_a_good_folder(weir, shop: Path) -> None:
    said = weir("check", shop)
    assert (said.code, said.err) == (0, "")
    assert said.out == "5 objects, 1 host: 0 errors, 0 warnings\n"


def test_check_names_code_object_field_line_and_remedy(weir, shop: Path) -> None:
    (shop / "shop.yaml").write_text((shop / "shop.yaml").read_text().replace("name: cart", "name: basket"))
    said = weir("check", shop)
    assert said.code == 1
    lines = said.out.splitlines()
    assert lines[0].startswith("shop.yaml:16: error WK201 Ingress default/shop spec.rules[0].http.paths[1].backend.service.name: ")
    assert lines[1].startswith("    → ")
    assert lines[-1] == "5 objects, 1 host: 1 error, 0 warnings"


def test_check_says_the_same_as_json(weir, shop: Path) -> None:
    (shop / "shop.yaml").write_text((shop / "shop.yaml").read_text().replace("name: cart", "name: basket"))
    said = weir("check", shop, "--output", "json")
    assert said.code == 1
    (finding,) = said.json["findings"]
    assert said.json["errors"] == 1
    assert (finding["code"], finding["name"]) == ("WK201", "SERVICE_NOT_FOUND")
    assert finding["object"] == {"cluster": "local", "group": "networking.k8s.io", "kind": "Ingress", "namespace": "default", "name": "shop"} or (
        finding["object"]["name"] == "shop"
    )
    assert (finding["file"], finding["line"]) == ("shop.yaml", 16)
    assert finding["field"] == "spec.rules[0].http.paths[1].backend.service.name"
    assert finding["remedy"]


def test_check_reads_standard_input(weir, shop: Path) -> None:
    text = (shop / "shop.yaml").read_text() + (shop / "services.yaml").read_text()
    assert weir("check", "-", text=text).code == 0
    broken = weir("check", "-", text=text + "---\nkind: [\n")
    assert broken.code == 1
    assert broken.out.startswith("-:")
    assert "WK001" in broken.out


def test_check_places_findings_of_standard_input(weir, shop: Path) -> None:
    text = (shop / "shop.yaml").read_text() + (shop / "services.yaml").read_text().replace("name: cart", "name: basket")
    said = weir("check", "-", text=text)
    assert said.out.startswith("-:16: error WK201")


def test_bad_yaml_is_told_with_line_and_column_once(weir, shop: Path) -> None:
    (shop / "bad.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: x\n")
    said = weir("check", shop)
    assert said.code == 1
    assert said.out.count("bad.yaml") == 1
    assert "WK001" in said.out
    assert "1 host" in said.out, "everything else stays"


def test_a_wrong_type_is_told_with_its_line(weir, shop: Path) -> None:
    (shop / "shop.yaml").write_text((shop / "shop.yaml").read_text().replace("pathType: Prefix", "pathType: 7", 1))
    said = weir("check", shop)
    assert said.out.startswith("shop.yaml:12: error WK002 Ingress default/shop")
    assert '"7"' in said.out


def test_strict_counts_warnings(weir, shop: Path) -> None:
    annotated = (shop / "shop.yaml").read_text().replace(
        "  name: shop\n", "  name: shop\n  annotations: {nginx.ingress.kubernetes.io/rewrit-target: /}\n"
    )
    (shop / "shop.yaml").write_text(annotated)
    said = weir("check", shop)
    assert (said.code, "WK401" in said.out) == (0, True)
    assert "shop.yaml:5: warning WK401" in said.out
    assert weir("check", shop, "--strict").code == 1


def test_text_of_tenants_obeys_nobody(weir, shop: Path) -> None:
    wild = (shop / "shop.yaml").read_text().replace("host: shop.example", 'host: "[red]a\\e[2J\\nWK999 [/]"')
    (shop / "shop.yaml").write_text(wild)
    said = weir("check", shop)
    assert said.code == 1
    assert "\x1b" not in said.out
    assert "[red]" in said.out, "markup is not interpreted"
    assert not any(line.startswith("WK999") for line in said.out.splitlines())


@pytest.mark.parametrize("command", [*OFFLINE, "diff", "explain"])
def test_a_folder_that_is_not_there_ends_with_2(weir, shop: Path, command: str) -> None:
    more = {"diff": [shop], "explain": ["http://a/"]}.get(command, [])
    arguments = [*more, "/nowhere/at/all"]
    said = weir(command, *arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err == f"weir {command}: /nowhere/at/all: there is no such folder or file\n"


@pytest.mark.parametrize("command", OFFLINE)
def test_an_unknown_provider_ends_with_2_and_names_those_there_are(weir, shop: Path, command: str) -> None:
    said = weir(command, shop, "--provider", "zeppelin")
    assert said.code == 2
    assert "envoy" in said.err


def test_translate_speaks_the_engines_words(weir, shop: Path) -> None:
    said = weir("translate", shop)
    assert said.code == 0
    kinds = {row["type"].rpartition(".")[2] for row in yaml.safe_load(said.out)}
    assert {"Listener", "Cluster", "ClusterLoadAssignment", "ScopedRouteConfiguration"} <= kinds


def test_translate_speaks_ours(weir, shop: Path) -> None:
    whole = yaml.safe_load(weir("translate", shop, "--output", "config").out)
    assert [host["hostname"] for host in whole["virtual_hosts"]] == ["shop.example"]
    assert weir("translate", shop, "--output", "json").json[0]["load_balancer"] == whole["load_balancer"]


def test_translate_keeps_its_output_clean(weir, shop: Path) -> None:
    (shop / "bad.yaml").write_text("{")
    said = weir("translate", shop)
    assert said.code == 1
    assert "WK001" in said.err
    assert yaml.safe_load(said.out)


def test_translate_for_another_provider(weir, shop: Path) -> None:
    said = weir("translate", shop, "--provider", "memory")
    assert said.code == 0
    assert "virtual-host" in said.out


def copy(shop: Path, name: str, old: str, new: str) -> Path:
    other = shop.parent / name
    other.mkdir()
    for path in shop.iterdir():
        (other / path.name).write_text(path.read_text().replace(old, new))
    return other


def test_diff_of_a_folder_with_itself(weir, shop: Path) -> None:
    assert weir("diff", shop, shop) == (0, "no difference\n", "")


def test_diff_names_hosts_routes_and_reach(weir, shop: Path) -> None:
    other = copy(shop, "other", "path: /cart", "path: /basket")
    said = weir("diff", shop, other)
    assert said.code == 1
    assert "~ host shop.example" in said.out
    assert "    - /cart or below to default/cart/80" in said.out
    assert "    + /basket or below to default/cart/80" in said.out
    assert "blast radius: 1 of 1 host (100 %)" in said.out


def test_diff_of_endpoints_alone(weir, shop: Path) -> None:
    other = copy(shop, "other", "10.0.0.1", "10.0.0.2")
    found = weir("diff", shop, other, "-o", "json")
    assert found.code == 1
    assert "hosts" not in found.json
    assert found.json["radius"]["hosts_by_endpoints_only"] == 1


def test_plan_from_nothing_and_from_a_folder(weir, shop: Path) -> None:
    from_nothing = weir("plan", shop, "-o", "json")
    assert from_nothing.code == 1
    assert from_nothing.json["against"] == "nothing"
    assert {row["kind"].rpartition(".")[2] for row in from_nothing.json["items"]} >= {"Cluster", "Listener"}
    assert weir("plan", shop, "--against", shop) == (0, "nothing would change\n", "")
    other = copy(shop, "other", "10.0.0.1", "10.0.0.2")
    said = weir("plan", other, "--against", shop)
    assert said.code == 1
    assert "engine items: ClusterLoadAssignment ~2" in said.out
    assert "engine items: Cluster " not in said.out


def test_plan_against_a_program_that_does_not_run(weir, shop: Path) -> None:
    said = weir("plan", shop, "--live")
    assert said.code == 2
    assert "is `weir up` running" in said.err
    assert weir("plan", shop, "--live", "--against", shop).code == 2


def test_explain_names_who_decided(weir, shop: Path) -> None:
    said = weir("explain", "http://shop.example/cart/1", shop)
    assert said.code == 0
    assert "forwarded to default/cart/80" in said.out
    assert "Ingress default/shop spec.rules[0].http.paths[1] (shop.yaml:14)" in said.out
    assert "✗ / or below: fits too, but" in said.out
    assert "10.0.0.1:8080 ready" in said.out


def test_explain_as_json(weir, shop: Path) -> None:
    (answer,) = weir("explain", "http://shop.example/", shop, "-o", "json").json["answers"]
    assert answer["hostname"] == "shop.example"
    assert answer["place"] == "shop.yaml:11"
    assert [verdict.get("lost_by") for verdict in answer["considered"]] == ["path", None]


def test_explain_takes_method_headers_and_source(weir, shop: Path) -> None:
    said = weir("explain", "http://10.0.0.9/cart", shop, "-X", "post", "-H", "Host: shop.example", "--source", "192.0.2.9", "-o", "json")
    request = said.json["answers"][0]["request"]
    assert (request["method"], request["host"], request["source"]) == ("POST", "shop.example", "192.0.2.9")


@pytest.mark.parametrize("url", ["http://else.example/", "https://shop.example/"])
def test_explain_of_what_nobody_serves(weir, shop: Path, url: str) -> None:
    said = weir("explain", url, shop)
    assert said.code == (1 if "else" in url else 0)
    assert "404" in said.out or "the handshake fails" in said.out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["ftp://a/"], "http:// or https://"),
        (["http://a/", "-H", "nonsense"], "no colon"),
        (["http://a/"], "name a folder"),
    ],
)
def test_explain_of_what_is_no_question(weir, arguments: list[str], why: str) -> None:
    said = weir("explain", *arguments)
    assert said.code == 2
    assert why in said.err


def test_features_is_a_matrix_that_a_pipe_can_read(weir) -> None:
    lines = [line.split("\t") for line in weir("features").out.splitlines() if "\t" in line]
    assert ["RegexPathMatch", "envoy=yes", "haproxy=yes", "memory=yes", "nginx=yes", "Paths are matched by regular expression (RE2)."] in lines
    only = weir("features", "--provider", "envoy", "--lacking", "-o", "json").json
    assert {row["providers"]["envoy"] for row in only["features"]} == {"close", "no"}
    assert weir("features", "--provider", "zeppelin").code == 2


def test_plugins_are_listed_and_load(weir) -> None:
    said = weir("plugins", "-o", "json")
    assert said.code == 0
    assert {(one["group"], one["name"]) for one in said.json} >= {
        ("controller", "ingress"), ("controller", "manifests"), ("provider", "envoy"), ("provider", "memory"),
    }  # fmt: skip


def test_docs_are_written_and_checked(weir, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    assert weir("docs", "--directory", tmp_path / "docs", "--check").code == 1
    assert weir("docs", "--directory", tmp_path / "docs").code == 0
    assert weir("docs", "--directory", tmp_path / "docs", "--check") == (0, "", "")
    assert weir("docs", "--directory", tmp_path / "nowhere").code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(weir, command: str) -> None:
    said = weir(command, "--help")
    assert said.code == 0
    assert "Usage" in said.out


def test_every_command_is_in_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    assert [name for name in COMMANDS if f"## weir {name}" not in page] == []


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("spec.rules[0].http.paths[12].path", ("spec", "rules", 0, "http", "paths", 12, "path")),
        ("metadata.annotations[nginx.ingress.kubernetes.io/x]", ("metadata", "annotations", "nginx.ingress.kubernetes.io/x")),
        ('data["tls.crt"]', ("data", "tls.crt")),
        ("", ()),
    ],
)
def test_field_paths_are_read(path: str, found: tuple) -> None:
    assert steps(path) == found


def test_nothing_of_grpc_is_loaded_for_help() -> None:
    code = "import sys, weirkeeper.cli.main; sys.exit('grpc' in sys.modules or 'weirkeeper.app' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
