"""Words come back as they were, whatever is in them; what has no writing is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.providers.haproxy.translate.quoting import Unspeakable, key, literal, spoken, word

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126))


def unquoted(text: str) -> str:
    """The text of one word: strong quotes, and escapes outside of them."""
    found, position, strong = "", 0, False
    while position < len(text):
        char = text[position]
        position += 1
        if strong:
            strong = char != "'"
            found += char if strong else ""
        elif char == "'":
            strong = True
        elif char == "\\":
            found += {"n": "\n", "r": "\r", "t": "\t"}.get(text[position], text[position])
            position += 1
        else:
            assert char not in ' "#$;{}%', "means something outside of quotes"
            found += char
    assert not strong
    return found


@given(st.text(st.sampled_from("\n\r\t" + "".join(map(chr, range(32, 127))))))
def test_a_word_is_read_back(text: str) -> None:
    assert unquoted(word(text)) == text


@given(PRINTABLE.filter(bool))
def test_a_literal_means_itself_in_a_format(text: str) -> None:
    read = unquoted(literal(text))
    assert read.replace("%%", "") == text.replace("%", "")
    assert read.replace("%%", "%") == text


@given(PRINTABLE.filter(lambda text: not text.startswith("<<")))
def test_what_is_spoken_is_one_word_of_one_command(text: str) -> None:
    said = spoken(text)
    bare = said.replace("\\\\", "").replace("\\;", "").replace("\\ ", "")
    assert not set(bare) & set("; \\")


@pytest.mark.parametrize("text", ["a\x00b", "a\x7fb", "ä", "\x1b[0m"])
def test_what_cannot_be_written_is_refused(text: str) -> None:
    with pytest.raises(Unspeakable):
        word(text)


@pytest.mark.parametrize("text", ["", "a b", "#a", "a\nb", "a\tb", "ä"])
def test_a_key_of_a_map_is_one_word(text: str) -> None:
    with pytest.raises(Unspeakable):
        key(text)


@pytest.mark.parametrize("text", ["a\nb", "<<", "<<x", "a\rb"])
def test_nothing_on_the_socket_begins_a_payload_or_a_line(text: str) -> None:
    with pytest.raises(Unspeakable):
        spoken(text)
