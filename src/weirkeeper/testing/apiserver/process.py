"""The fake API server in a process of its own: started, driven and ended from here.

In: options. Out: an `ApiServerProcess`, whose `control` sends one operation and gives its answer. Blocking: for benchmarks
and for tests that run their own loop elsewhere; from inside a loop call it in a thread.
"""

import contextlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgspec

from weirkeeper.model.value import Value

LONGEST = 300.0


class ApiServerProcess(Value, frozen=True, kw_only=True):
    """A running server."""

    url: str
    port: int
    pid: int

    def control(self, what: str, arguments: object = None) -> Any:
        """The answer to `POST /_control/<what>` (see `control`); raises `urllib.error.HTTPError` where it is refused."""
        body = msgspec.json.encode({} if arguments is None else arguments)
        asked = urllib.request.Request(f"{self.url}/_control/{what}", data=body, method="POST")
        with urllib.request.urlopen(asked, timeout=LONGEST) as answer:
            return msgspec.json.decode(answer.read())

    def fill(self, template: object, count: int, start: int = 0) -> None:
        """Make `count` objects from a template, numbered from `start`."""
        self.control("fill", {"template": template, "count": count, "start": start})


@contextlib.contextmanager
def apiserver_process(*options: str) -> Iterator[ApiServerProcess]:
    """A running fake API server in a process that ends with the block, or with us; `options` as on its command line."""
    command = [sys.executable, "-m", "weirkeeper.testing.apiserver", *options, "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the fake API server did not start; it ended with {process.wait()}")
        try:
            told = msgspec.json.decode(line)
            yield ApiServerProcess(url=told["url"], port=told["port"], pid=process.pid)
        finally:
            process.terminate()
