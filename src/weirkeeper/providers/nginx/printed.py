"""The items as people read them: what follows from them in the file of NGINX, and the entries of its dictionary. Secrets are left out. Pure."""

from collections.abc import Mapping

import msgspec

from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.providers.nginx.assembly import Assembly, entry_key
from weirkeeper.providers.nginx.plan import file_of
from weirkeeper.providers.nginx.translate.frame import LOG, servers
from weirkeeper.providers.nginx.translate.items import CERTIFICATE, PREFIXES
from weirkeeper.providers.nginx.translate.stream_frame import streams


def printed(items: Mapping[ItemKey, EngineItem]) -> str:
    """Everything, load balancer by load balancer, in a fixed order."""
    parts = []
    for name in sorted({key.load_balancer for key in items}):
        mine = {key: item for key, item in sorted(items.items()) if key.load_balancer == name}
        wished = Assembly()
        wished.take(mine)
        file = file_of(wished, "")
        parts.append(
            f"# {name}: nginx.conf, but for what stands in each\n"
            + "".join(
                f"{line}\n" for line in (*servers(file.ports, file.ways), *streams(file.ports, file.streams, LOG))
            )
        )
        entries = {entry_key(key): _shown(key, item) for key, item in mine.items() if key.kind in PREFIXES}
        parts += [f"# {key}\n{text}\n" for key, text in sorted(entries.items())]
    return "\n".join(parts)


def _shown(key: ItemKey, item: EngineItem) -> str:
    value = msgspec.json.decode(item.whole)
    if key.kind == CERTIFICATE:
        value["key"] = "<secret>"
    return msgspec.json.format(msgspec.json.encode(_hidden(value)), indent=2).decode()


def _hidden(value: object) -> object:
    if isinstance(value, dict):
        return {name: "<secret>" if name == "hash" else _hidden(part) for name, part in value.items()}
    return [_hidden(part) for part in value] if isinstance(value, list) else value
