"""Values are frozen, keyword-only and round; secrets stay hidden."""

import pickle
import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from model_types import structs

from weirkeeper.model.filters import BasicAuth, Credentials
from weirkeeper.model.ids import Ref, joined
from weirkeeper.model.secret import Secret, hide
from weirkeeper.model.text import UserName
from weirkeeper.model.value import Told, Value, seconds

VALUES = [struct for struct in structs() if issubclass(struct, Value)]


@pytest.mark.parametrize("struct", VALUES, ids=lambda struct: struct.__name__)
def test_values_are_frozen_and_strict(struct: type[msgspec.Struct]) -> None:
    config = struct.__struct_config__
    assert config.frozen
    assert config.omit_defaults
    assert config.forbid_unknown_fields is not issubclass(struct, Told)
    assert not struct.__struct_fields__ or all(f.name for f in msgspec.structs.fields(struct))
    with pytest.raises(TypeError):
        struct(*["positional"] * max(1, len(struct.__struct_fields__)))


def test_a_secret_is_never_shown() -> None:
    secret = Secret("hunter2-hunter2")
    held = BasicAuth(users=(Credentials(user=UserName("alice"), hash=secret),))
    for text in (repr(held), str(secret), f"{secret}", msgspec.json.encode(held, enc_hook=hide).decode(), repr([secret])):
        assert "hunter2" not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert secret.open() == "hunter2-hunter2"
    assert secret == Secret("hunter2-hunter2") != Secret("hunter2")


def test_ids_are_injective() -> None:
    pairs = [("a/b", "c"), ("a", "b/c"), ("a%2fb", "c"), ("a", "b", "c"), ("a b", "c"), ("ä", "c"), ("a/b/c",)]
    assert len({joined(*parts) for parts in pairs}) == len(pairs)


def test_refs_are_ordered_and_print() -> None:
    one, two = Ref(kind="Ingress", namespace="a", name="x"), Ref(kind="Ingress", namespace="b", name="a")
    assert one < two
    assert str(one) == "Ingress a/x"
    assert str(Ref(kind="IngressClass", name="x")) == "IngressClass x"


def test_durations_are_milliseconds() -> None:
    assert seconds(1.5) == 1500
