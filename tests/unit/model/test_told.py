"""What versions tell each other, or keep for the next, can be read by the one before: a field that it does not know is passed over, however deep it lies."""

from collections.abc import Iterator

import msgspec
import pytest
from msgspec import inspect

from weirkeeper.distribute.exchange import CertificateAnswer, CertificateRequest
from weirkeeper.distribute.relay import Message
from weirkeeper.distribute.sidecar import Held
from weirkeeper.model.observation import InstanceObservation
from weirkeeper.model.text import Id, Label, Name
from weirkeeper.runtime.holds import Hold
from weirkeeper.runtime.quarantine import Quarantine
from weirkeeper.runtime.snapshot import Kept

TOLD = [Message, CertificateRequest, CertificateAnswer, Held, Kept, Hold, Quarantine]


def structs(of: inspect.Type) -> Iterator[inspect.StructType]:
    """All structs that a type is made of."""
    if isinstance(of, inspect.StructType):
        yield of
        for field in of.fields:
            yield from structs(field.type)
    elif isinstance(of, inspect.NamedTupleType):
        for field in of.fields:
            yield from structs(field.type)
    elif isinstance(of, inspect.UnionType):
        for one in of.types:
            yield from structs(one)
    elif isinstance(of, inspect.VarTupleType | inspect.ListType | inspect.SetType | inspect.FrozenSetType):
        yield from structs(of.item_type)
    elif isinstance(of, inspect.TupleType):
        for one in of.item_types:
            yield from structs(one)
    elif isinstance(of, inspect.DictType):
        yield from structs(of.value_type)


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.__name__)
def test_no_part_of_it_refuses_a_field_that_it_does_not_know(kind: type) -> None:
    found = list(structs(inspect.type_info(kind)))
    assert found
    assert [one.cls.__name__ for one in found if one.forbid_unknown_fields] == []


def test_a_newer_replica_may_say_more() -> None:
    row = InstanceObservation(load_balancer=Id("a"), provider=Name("envoy"), instance=Label("i"))
    said = msgspec.to_builtins(Message(replica="r", instances=(row,)))
    said["mood"] = "good"
    said["instances"][0]["weight"] = 5
    assert msgspec.json.decode(msgspec.json.encode(said), type=Message) == Message(replica="r", instances=(row,))
