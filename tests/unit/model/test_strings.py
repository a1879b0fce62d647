"""Every string of the model has a type with a check and named sinks: the first wall against injection."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from model_types import fields, leaves

from weirkeeper.model.text import TEXT_TYPES, Refused, parse, shown, trusted

OURS = {
    "Feature": "named in code",
    "Need": "named in code",
    "Capabilities": "declared by a provider, in code",
    "About": "written in code",
    "TextType": "written in code",
    "Refused": "made in code; tenant text in it is quoted by `shown`",
}
"""Structs whose strings no tenant can influence."""

CHECKED_ELSEWHERE = {
    ("Ref", "cluster"): "named by the operator",
    ("Ref", "group"): "part of a kind that is read, else refused by the decoder",
    ("Ref", "kind"): "one of the kinds that are read, else refused by the decoder",
    ("Ref", "namespace"): "checked as a Name by the decoder; reaches engines only escaped, in ids",
    ("Ref", "name"): "checked as a Name by the decoder (or a place in a file); reaches engines only escaped, in ids",
    ("Finding", "feature"): "the name of a feature, in code",
    ("StatusWish", "addresses"): "addresses that an engine was seen at, for a status; no engine sees them",
}
SINKS = {"envoy.protobuf", "haproxy.quoted", "nginx.quoted", "display", "kubernetes", "file"}


def test_no_field_is_a_plain_string() -> None:
    plain = {(struct, name) for struct, name, hint in fields() if str in leaves(hint) and struct not in OURS}
    assert plain - CHECKED_ELSEWHERE.keys() == set()


def test_no_exception_is_kept_that_is_not_needed() -> None:
    plain = {(struct, name) for struct, name, hint in fields() if str in leaves(hint)}
    assert CHECKED_ELSEWHERE.keys() - plain == set()
    assert OURS.keys() - {struct for struct, _ in plain} == set()


def test_every_named_string_is_registered() -> None:
    named = {leaf for _, _, hint in fields() for leaf in leaves(hint) if getattr(leaf, "__supertype__", None) is str}
    assert named - TEXT_TYPES.keys() == set()
    assert len(named) > 15


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=lambda kind: TEXT_TYPES[kind].name)
def test_sinks_are_known(kind: object) -> None:
    assert TEXT_TYPES[kind].sinks
    assert set(TEXT_TYPES[kind].sinks) <= SINKS


CONTROL = [chr(c) for c in range(32)] + ["\x7f"]
LINES_ALLOWED = {"BodyText", "PemText", "Sentence"}


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=lambda kind: TEXT_TYPES[kind].name)
@pytest.mark.parametrize("where", ["{bad}", "a{bad}", "{bad}a", "a{bad}a", "/{bad}", "/a{bad}", "a.example{bad}", "*.a{bad}"])
def test_no_control_character_passes(kind: object, where: str) -> None:
    for bad in CONTROL:
        text = where.format(bad=bad)
        passes = not isinstance(parse(kind, text), Refused)
        if TEXT_TYPES[kind].name in LINES_ALLOWED and bad in "\n\r\t":
            continue
        inner_tab = TEXT_TYPES[kind].name == "HeaderValue" and bad == "\t" and re.fullmatch(r"\S+\t\S+", text)
        assert not passes or inner_tab, (TEXT_TYPES[kind].name, text)


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=lambda kind: TEXT_TYPES[kind].name)
def test_engines_are_sent_ascii_only(kind: object) -> None:
    if "envoy.protobuf" not in TEXT_TYPES[kind].sinks:
        return
    for text in ("ä", "a\u2028b", "/ü", "１", "ſ", "К.example", "\ud800"):
        assert isinstance(parse(kind, text), Refused), text


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=lambda kind: TEXT_TYPES[kind].name)
def test_the_longest_is_the_longest(kind: object) -> None:
    text = TEXT_TYPES[kind]
    refused = parse(kind, "a" * (text.longest + 1))
    assert isinstance(refused, Refused)
    assert str(text.longest) in refused.why


def test_what_we_made_ourselves_is_checked_all_the_same() -> None:
    with pytest.raises(AssertionError, match="host name"):
        trusted(next(kind for kind in TEXT_TYPES if TEXT_TYPES[kind].name == "Hostname"), "no host")


def test_shown_text_forges_nothing() -> None:
    assert shown('a\x1b[31m\nWK999 "x"') == '"a\\u001b[31m\\u000aWK999 "x""'
    assert len(shown("a" * 1000)) < 100
