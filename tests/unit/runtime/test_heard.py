"""What parts and libraries say through Python's logging becomes lines of ours."""

import io
import json
import logging

import pytest

from weirkeeper.runtime.logging import Heard, Log, hear


@pytest.fixture
def written():
    """The stream that everything goes to; Python's logging is put back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    hear(Log(stream, json_lines=True))
    yield stream
    root.handlers[:], root.level = before, level
    logging.getLogger("weirkeeper").setLevel(logging.NOTSET)


def test_a_warning_of_a_part_is_a_line_of_ours(written):
    logging.getLogger("weirkeeper.distribute.door").warning("an engine at %s is refused: %s", "10.0.0.1", "a\nb")
    (line,) = written.getvalue().splitlines()
    said = json.loads(line)
    assert (said["level"], said["part"]) == ("warning", "weirkeeper.distribute.door")
    assert said["message"] == "an engine at 10.0.0.1 is refused: a\nb"


def test_libraries_are_heard_from_warnings_on(written):
    logging.getLogger("aiohttp.access").info("a request")
    logging.getLogger("aiohttp.server").error("a failure", exc_info=ValueError("why"))
    (line,) = written.getvalue().splitlines()
    assert json.loads(line)["level"] == "error"
    assert "ValueError: why" in json.loads(line)["trace"]


def test_our_own_parts_are_heard_from_info_on(written):
    logging.getLogger("weirkeeper.kube").info("one")
    logging.getLogger("weirkeeper.kube").debug("two")
    assert [json.loads(line)["message"] for line in written.getvalue().splitlines()] == ["one"]


def test_what_a_library_says_again_and_again_is_written_once_in_a_while():
    stream, now = io.StringIO(), [0.0]
    heard = Heard(Log(stream, json_lines=True), clock=lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        for text in ("out of files", "something else"):
            heard.handle(logging.LogRecord("asyncio", logging.ERROR, "", 0, text, None, None))
        heard.handle(logging.LogRecord("weirkeeper.part", logging.ERROR, "", 0, "each of ours", None, None))
    said = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert said.count("out of files") == said.count("something else") == 3
    assert said.count("each of ours") == 25
