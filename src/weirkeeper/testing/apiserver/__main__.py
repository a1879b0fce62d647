"""`python -m weirkeeper.testing.apiserver --port 0`: the fake API server in a process of its own, for benchmarks.

Prints one JSON line with its URL when it listens. `POST /_control/<what>` drives it (see `control`). Ends on SIGTERM,
SIGINT or, with --until-stdin-closes, with whoever started it.
"""

import argparse
import asyncio
import gc
import os
import signal
import sys

import msgspec

from weirkeeper.testing.apiserver.control import Control
from weirkeeper.testing.apiserver.server import ApiServer


async def serve(options: argparse.Namespace) -> None:
    """Serves until asked to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if options.until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else ended.set())
    server = ApiServer(host=options.host, port=options.port, write_delay=options.write_delay_ms / 1000,
                       bookmark_every=options.bookmark_every, watch_list=not options.no_watch_list,
                       keep_bodies=options.keep_bodies)  # fmt: skip
    control = Control(server)
    server.aside = control.answer
    async with server:
        sys.stdout.buffer.write(msgspec.json.encode({"url": server.url, "port": server.port}) + b"\n")
        sys.stdout.buffer.flush()
        await ended.wait()
        control.close()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(prog="python -m weirkeeper.testing.apiserver", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--write-delay-ms", type=float, default=0.0, help="each write takes that long, as etcd would")
    parser.add_argument("--bookmark-every", type=float, default=60.0, help="seconds between bookmarks")
    parser.add_argument("--no-watch-list", action="store_true", help="refuse streamed lists, as old servers do")
    parser.add_argument("--keep-bodies", action="store_true", help="the audit keeps the bodies of writes")
    parser.add_argument("--until-stdin-closes", action="store_true")
    gc.freeze()
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
