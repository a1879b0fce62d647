"""`python -m weirkeeper.testing.echo --port 9001 --name a`: the echo backend in a process of its own.

Prints one JSON line with its name and port when it listens. Ends on SIGTERM, SIGINT or, with --until-stdin-closes, with
whoever started it.
"""

import argparse
import asyncio
import os
import signal
import ssl
import sys

import msgspec

from weirkeeper.testing.echo.server import EchoServer


async def serve(options: argparse.Namespace) -> None:
    """Serves until asked to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if options.until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4096) else ended.set())
    server = EchoServer(name=options.name, host=options.host, port=options.port, tls=_tls(options), keep=0)
    async with server:
        sys.stdout.buffer.write(msgspec.json.encode({"name": server.name, "port": server.port}) + b"\n")
        sys.stdout.buffer.flush()
        await ended.wait()


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if not options.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    if options.client_ca:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(prog="python -m weirkeeper.testing.echo", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--name", default="echo")
    parser.add_argument("--certificate", help="PEM file: serve TLS (HTTP/2 and HTTP/1.1 by ALPN)")
    parser.add_argument("--key", help="PEM file of its private key")
    parser.add_argument("--client-ca", help="PEM file: ask clients for a certificate of this authority")
    parser.add_argument("--until-stdin-closes", action="store_true")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
