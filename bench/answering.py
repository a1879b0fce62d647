"""`python -m bench.answering HOST a=PORT [b=PORT ...]`: a backend for tries on machines without nginx; measurements use nginx. Answers 200 and its letter, as that does."""

import asyncio
import sys


async def serve(host: str, ports: dict[str, int]) -> None:
    """Serve until killed."""
    for name, port in ports.items():
        answer = f"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-answer: {name}\r\n\r\n{name}\n".encode()
        await asyncio.start_server(lambda reader, writer, answer=answer: talk(reader, writer, answer), host, port, backlog=4096)
    await asyncio.Event().wait()


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
    """One connection: requests without a body, one after the other."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], {name: int(port) for name, port in (one.split("=") for one in sys.argv[2:])}))
