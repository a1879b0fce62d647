"""HAProxy's items as people read them: the files that it would be started from, without keys and password hashes. Pure."""

from collections.abc import Mapping

from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.files import files
from weirkeeper.providers.haproxy.translate.names import USERS
from weirkeeper.providers.haproxy.translate.skeleton import Frame

SHOWN = Frame(pool=1)


def printed(items: Mapping[ItemKey, EngineItem]) -> str:
    """All files of each load balancer, one after the other; of certificates and users only how many there are."""
    return "".join(_one(name, items) for name in sorted({key.load_balancer for key in items}))


def _one(name: str, items: Mapping[ItemKey, EngineItem]) -> str:
    found = Assembly()
    found.take({key: item for key, item in sorted(items.items()) if key.load_balancer == name})
    parts = [f"# load balancer {name}\n"]
    for path, text in sorted(files(found, SHOWN).items()):
        body = f"# {text.count(chr(10))} rows\n" if path == USERS else "# a certificate and its key\n"
        parts.append(f"\n# --- {path}\n{text if not path.startswith('certificates/') and path != USERS else body}")
    return "".join(parts)
