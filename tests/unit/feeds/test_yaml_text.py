"""Manifest text to values: what is broken is placed and told, and takes nothing else with it."""

import pytest

from weirkeeper.feeds.yaml_text import ALIASED, DEEPEST, Broken, Document, Lines, documents


def values(text):
    return [found.value for found in documents(text) if isinstance(found, Document)]


def broken(text, **options):
    return [found for found in documents(text, **options) if isinstance(found, Broken)]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"), ("on", "on"), ("yes", "yes"), ("12:30", "12:30"), ("2026-01-01", "2026-01-01"), ("0777", "0777"),
        ("0x1F", "0x1F"), ("1_000", "1_000"), ("true", True), ("False", False), ("~", None), ("", None), ("null", None),
        ("80", 80), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("'80'", "80"), ('"true"', "true"), ("!!str 80", "80"),
        ("1.2.3", "1.2.3"), (".inf", ".inf"), ("99999999999999999999999", "99999999999999999999999"),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2(written, value):
    (found,) = values(f"a: {written}\n")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


def test_a_broken_document_takes_no_other_with_it():
    found = list(documents("a: 1\n---\nb: [1,\n---\nc: 3\n"))
    assert [type(one) for one in found] == [Document, Broken, Document]
    assert (found[0].value, found[2].value, found[2].line) == ({"a": 1}, {"c": 3}, 4)


@pytest.mark.parametrize(
    ("text", "line", "column", "remedy"),
    [
        ("host: a: b\n", 1, 8, "quote the value"),
        ("a:\n\t- b\n", 2, 1, "spaces"),
        ("a: 1\na: 2\n", 2, 1, "remove one"),
        ("x: 1\n---\na: *b\n", 3, 4, "define the anchor"),
        ("a: {{ .Values.x }}\n", 1, 5, "render it first"),
        ("a: 'x\n", 1, 6, "close the quote"),
        ("a: !!python/object x\n", 1, 4, ""),
        ("ok: 1\nb: \x01\n", 2, 4, "remove this character"),
    ],
)
def test_errors_have_line_column_and_remedy(text, line, column, remedy):
    (found,) = broken(text)
    assert (found.line, found.column) == (line, column)
    assert remedy in found.remedy


def test_markers_comments_and_directives_make_no_document():
    assert values("%YAML 1.2\n---\na: 1\n...\n# end\n") == [{"a": 1}]
    assert values("# only words\n---\n---\n") == []


def test_merge_keys_and_aliases():
    (value,) = values("base: &b {p: 1, q: 2}\none: {<<: *b, q: 3}\ntwo: {<<: [*b, {r: 4}]}\n")
    assert value["one"] == {"p": 1, "q": 3}
    assert value["two"] == {"p": 1, "q": 2, "r": 4}


def test_alias_bombs_are_refused():
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]" for p, n in zip("abcdefgh", "bcdefghi", strict=True)]
    (found,) = broken("\n".join(lines))
    assert str(ALIASED) in found.why


def test_an_alias_of_what_is_still_open_is_refused():
    (found,) = broken("a: &a [*a]\n")
    assert "not defined above" in found.why


def test_deep_nesting_is_refused_not_recursed():
    (found,) = broken("[" * 100_000)
    assert str(DEEPEST) in found.why
    assert broken("[" * 100_000, json=True)


def test_json_with_tabs_and_json_errors():
    assert values('{\n\t"a": 1}') == [{"a": 1}]
    (found,) = broken('{"a": 1,\n "b": x}', json=True)
    assert (found.line, found.column) == (2, 7)


def test_lines_of_fields():
    (found,) = documents("# c\n---\nmetadata:\n  annotations:\n    a: 1\nspec:\n- x\n- y: 2\n")
    lines = Lines(found)
    assert lines.of(("metadata", "annotations", "a")) == 5
    assert lines.of(("spec", 1, "y")) == 8
    assert lines.of(("spec", 1, "absent")) == 8
    assert lines.of(()) == found.line
