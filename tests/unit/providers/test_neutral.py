"""Neutral items: what an agent makes of them is what the control plane would make itself; and an agent that is older than its control plane reads what it knows."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from weirkeeper.controllers.ingress import CONTROLLER as INGRESS
from weirkeeper.controllers.manifests import CONTROLLER as MANIFESTS
from weirkeeper.distribute.kinds import BACKEND, CERTIFICATE, LISTENER, LOAD_BALANCER, NEUTRAL, VIRTUAL_HOST
from weirkeeper.feeds.base import Synced
from weirkeeper.feeds.decode import Decoder
from weirkeeper.feeds.files import read_folder
from weirkeeper.model.features import Capabilities
from weirkeeper.model.text import Id, Sentence
from weirkeeper.providers import neutral
from weirkeeper.providers.base import EngineItem, ItemKey, Provider
from weirkeeper.providers.by_agents import ByAgents
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.providers.translation import Translation
from weirkeeper.reconcile import Reconciler
from weirkeeper.testing import golden

CASES = golden.cases(Path(__file__).parents[2] / "golden")
Items = dict[ItemKey, EngineItem]


def items_of(case: Path, provider: Provider) -> Items:
    made = Reconciler((INGRESS, MANIFESTS), (provider,))
    seen, _ = read_folder(case / golden.INPUT, Decoder(made.kinds))
    made.receive([*seen, Synced(feed="test", kinds=tuple(kind.kind for kind in made.kinds.values()))])
    made.settle()
    return dict(made.graph.rows(made.program.items[provider.name]))


def told(items: Items) -> dict[Id, dict[tuple[str, str], bytes | None]]:
    found: dict[Id, dict[tuple[str, str], bytes | None]] = {}
    for key, item in items.items():
        found.setdefault(key.load_balancer, {})[key.kind, key.name] = item.whole
    return found


@pytest.fixture(scope="module")
def every() -> list[Items]:
    return [items_of(case, ByAgents(PROVIDER)) for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_agent_makes_what_the_control_plane_would_make(case: Path) -> None:
    made: Items = {}
    for name, changes in told(items_of(case, ByAgents(PROVIDER))).items():
        agent = Translation(name, PROVIDER)
        agent.take(changes)
        assert not agent.misunderstood
        made |= agent.items()
    direct = items_of(case, PROVIDER)
    assert {key: item.whole for key, item in made.items()} == {key: item.whole for key, item in direct.items()}


def test_what_is_gone_is_gone(every: list[Items]) -> None:
    for items in every:
        for name, changes in told(items).items():
            agent = Translation(name, PROVIDER)
            agent.take(changes)
            agent.take(dict.fromkeys(changes))
            assert not agent.items()


def test_every_kind_is_among_the_cases_and_keys_are_private(every: list[Items]) -> None:
    found = {key.kind: item for items in every for key, item in items.items()}
    assert {LOAD_BALANCER, LISTENER, VIRTUAL_HOST, BACKEND, CERTIFICATE} <= found.keys() <= set(NEUTRAL)
    assert found[CERTIFICATE].private
    assert b"PRIVATE KEY" in found[CERTIFICATE].body


def _newer(value: Any) -> Any:
    """As a later version may write it: fields that nobody here knows, in every struct."""
    if isinstance(value, dict):
        return {"a_field_of_tomorrow": {"deep": [1, 2]}, **{name: _newer(part) for name, part in value.items()}}
    return [_newer(part) for part in value] if isinstance(value, list) else value


def test_fields_of_tomorrow_are_left_out(every: list[Items]) -> None:
    looked = 0
    for key, item in ((key, item) for items in every for key, item in items.items()):
        known = neutral.read(key.load_balancer, key.kind, key.name, item.body, PROVIDER.capabilities)
        document = msgspec.json.decode(item.body)
        document["value"] = _newer(document["value"])
        later = neutral.read(key.load_balancer, key.kind, key.name, msgspec.json.encode(document), PROVIDER.capabilities)
        assert isinstance(known, neutral.Told)
        assert later == known, (key, later)
        looked += 1
    assert looked > 50


def test_values_that_are_longer_tomorrow_are_read() -> None:
    body = b'{"value":{"id":"s","endpoints":[["10.0.0.1",80,"ready","","",1,0,"",null,"tomorrow"]]}}'
    found = neutral.read(Id("lb"), neutral.kinds.ENDPOINT_SET, "s", body, PROVIDER.capabilities)
    assert isinstance(found, neutral.Told), found
    assert found.value.endpoints[0].address == "10.0.0.1"


def test_a_need_that_is_not_known_is_refused_and_so_is_a_word_that_is_not_known(every: list[Items]) -> None:
    key, item = next((key, item) for items in every for key, item in items.items() if key.kind == VIRTUAL_HOST)
    document = msgspec.json.decode(item.body)
    document["needs"] = [*document.get("needs", ()), "FeatureOfTomorrow"]
    found = neutral.read(key.load_balancer, key.kind, key.name, msgspec.json.encode(document), PROVIDER.capabilities)
    assert isinstance(found, neutral.NotUnderstood)
    assert "FeatureOfTomorrow" in found.why
    document = msgspec.json.decode(item.body)
    document["value"]["routes"][0]["action"] = {"type": "teleport"}
    found = neutral.read(key.load_balancer, key.kind, key.name, msgspec.json.encode(document), PROVIDER.capabilities)
    assert isinstance(found, neutral.NotUnderstood)


def test_needs_are_those_of_the_value(every: list[Items]) -> None:
    everything = {need for items in every for item in items.values() for need in msgspec.json.decode(item.body).get("needs", ())}
    assert "TLSTermination" in everything
    none = Capabilities(engine="none", version="1", supported=frozenset())
    for items in every:
        for key, item in items.items():
            found = neutral.read(key.load_balancer, key.kind, key.name, item.body, none)
            wished = msgspec.json.decode(item.body).get("needs", ())
            assert isinstance(found, neutral.NotUnderstood) == bool(wished)


def test_what_is_not_understood_leaves_what_was() -> None:
    items = next(found for found in (items_of(case, ByAgents(PROVIDER)) for case in CASES) if any(key.kind == VIRTUAL_HOST for key in found))
    (name, changes), = told(items).items()
    agent = Translation(name, PROVIDER)
    agent.take(changes)
    before = dict(agent.items())
    key = next(key for key in changes if key[0] == VIRTUAL_HOST)
    assert agent.take({key: b'{"value":{"nothing":"right"}}'}) == {}
    assert dict(agent.items()) == before
    assert agent.blamed({}, [key]) == agent.misunderstood
    agent.take({key: changes[key]})
    assert not agent.misunderstood


def test_who_is_to_blame_is_what_the_refused_one_is_a_form_of_else_what_it_was_made_with() -> None:
    items = next(found for found in (items_of(case, ByAgents(PROVIDER)) for case in CASES) if any(key.kind == BACKEND for key in found))
    (name, changes), = told(items).items()
    agent = Translation(name, PROVIDER)
    agent.take(changes)
    host = next(key for key in agent.items() if key.kind == "haproxy.Host")
    own = (VIRTUAL_HOST, host.name)
    assert agent.made_of(host) == {own}
    assert agent.blamed({host: Sentence("no")}, changes) == {own: "no"}
    backends = {key for key in changes if key[0] == BACKEND}
    assert set(agent.blamed({host: Sentence("no")}, backends)) <= backends
    assert agent.blamed({host: Sentence("no")}, backends)
    port = next(key for key in agent.items() if key.kind == "haproxy.Port")
    assert {kind for kind, _ in agent.made_of(port)} == {LISTENER}
    assert agent.blamed({host: Sentence("no")}, [(LISTENER, "another")]) == {}
