"""What a running HAProxy holds, in a form that two of them can be compared in: asked of itself, without what depends on its history (which section of the pool serves what).

In: the folder of a `HaproxyInstance`'s engine. Out: a set of rows.
"""

from pathlib import Path

from weirkeeper.providers.haproxy import adoption
from weirkeeper.providers.haproxy.generations import ALIVE
from weirkeeper.providers.haproxy.held import MAPS
from weirkeeper.providers.haproxy.plan import Step
from weirkeeper.providers.haproxy.runtime_socket import RuntimeSocket
from weirkeeper.providers.haproxy.translate.names import POOL, SOCKET


async def held_by(engine: Path) -> set[str]:
    socket = RuntimeSocket(engine / SOCKET)
    try:
        return {row async for row in _rows(socket)}
    finally:
        socket.close()


async def _rows(socket):
    mark = adoption.mark_of(await socket.ask(ALIVE))
    assert mark is not None, "it serves"
    yield f"frame {mark.frame} {mark.binds}"
    maps = {name: await socket.ask(step) for name, step in adoption.rows_asked().items()}
    held = adoption.taken_over(mark, await socket.ask(adoption.SECTIONS), await socket.ask(adoption.SERVERS), maps)
    for name in MAPS:
        for key, value in held.tables[name].items():
            yield f"{name} {key} {value}"
    of_slot = {place: section for section, place in held.tables[POOL].items()}
    for name, rows in held.tables.items():
        place = name.removeprefix("servers/")
        if place != name:
            for server, text in rows.items():
                yield f"server {of_slot.get(place, place)} {server} {text}"
    for port in {bind.rpartition(":")[2] for bind in mark.binds}:
        names = adoption.names_told(await socket.ask(Step(command=f"show ssl crt-list port-{port}.list")))
        for name, file in names.items():
            shown = adoption.said(await socket.ask(adoption.content_asked(file)))
            yield f"name {port} {name} {file} {shown.get('SHA1 FingerPrint')}"
