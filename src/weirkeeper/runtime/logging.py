"""One line for each thing worth telling, as `key=value` or as JSON. Nothing that a tenant wrote can forge a line, a field or a terminal code.

Comes in: a message of ours and fields with any content. Goes out: one line on a stream. What matters is never only here: it is also a finding, an
observation or a number.
"""

import contextlib
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

LONGEST_VALUE = 500
OURS = "weirkeeper"
AGAIN = 10.0
MOST_REMEMBERED = 1000
LEVELS = ("debug", "info", "warning", "error")

Now = Callable[[], datetime]


class Log:
    """Writes lines at or above a level."""

    def __init__(
        self,
        stream: TextIO = sys.stderr,
        *,
        json_lines: bool = False,
        level: str = "info",
        now: Now = lambda: datetime.now(UTC),
    ) -> None:
        self._stream = stream
        self._format = _json_line if json_lines else _text_line
        self.level = level
        """The least that is written; may be set at any time."""
        self._now = now

    def debug(self, message: str, **fields: object) -> None:
        """Write a line that only somebody who looks for a bug wants."""
        self._write("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """Write a line about what the program did."""
        self._write("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Write a line about what somebody should look at."""
        self._write("warning", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Write a line about what does not work."""
        self._write("error", message, fields)

    def failure(self, message: str, error: BaseException, **fields: object) -> None:
        """Write a line about an exception, with the place where it was raised and its whole trace."""
        trace = "".join(traceback.format_exception(error))
        self._write(
            "error", message, {**fields, "error": f"{type(error).__name__}: {error}", "trace": trace}, longest=8000
        )

    def _write(self, level: str, message: str, fields: dict[str, object], longest: int = LONGEST_VALUE) -> None:
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        shown = {key: str(value)[:longest] for key, value in fields.items()}
        with contextlib.suppress(OSError):  # a full disk or a reader that went away costs the line, never the program
            self._stream.write(self._format(self._now(), level, message, shown) + "\n")
            self._stream.flush()


class Heard(logging.Handler):
    """Makes lines of ours of what parts and libraries say through Python's own logging; the log's level holds for them too.

    What a library says again and again is written once in `AGAIN` seconds: a loop that has run out of files says so thousands of times a second.
    """

    def __init__(self, log: Log, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._log, self._clock = log, clock
        self._said: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        message = record.getMessage()[:LONGEST_VALUE]
        if not record.name.startswith(OURS) and self._is_repeated((record.name, message)):
            return
        trace = {"trace": "".join(traceback.format_exception(*record.exc_info))} if record.exc_info else {}
        self._write_for(record.levelno)(message, part=record.name, **trace)

    def _is_repeated(self, said: tuple[str, str]) -> bool:
        now = self._clock()
        if now - self._said.get(said, -AGAIN) < AGAIN:
            return True
        if len(self._said) >= MOST_REMEMBERED:
            self._said.clear()
        self._said[said] = now
        return False

    def _write_for(self, level: int) -> Callable[..., None]:
        if level >= logging.ERROR:
            return self._log.error
        if level >= logging.WARNING:
            return self._log.warning
        return self._log.info if level >= logging.INFO else self._log.debug


def hear(log: Log) -> None:
    """From now on everything that is said through Python's logging goes to this log: our own parts from INFO on, libraries from WARNING on."""
    logging.basicConfig(handlers=[Heard(log)], level=logging.WARNING, force=True)
    logging.getLogger(OURS).setLevel(logging.INFO)


def _text_line(now: datetime, level: str, message: str, fields: dict[str, str]) -> str:
    pairs = "".join(f" {key}={_quoted(value)}" for key, value in fields.items())
    return f"{_time(now)} {level} {_quoted(message)}{pairs}"


def _json_line(now: datetime, level: str, message: str, fields: dict[str, str]) -> str:
    return json.dumps({"time": _time(now), "level": level, "message": message, **fields})


def _quoted(value: str) -> str:
    """The value as one word, or as a JSON string (which escapes line ends, quotes, control characters and everything beyond ASCII)."""
    plain = value.isascii() and value.isprintable() and value and not any(c in value for c in ' "=\\')
    return value if plain else json.dumps(value)


def _time(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
