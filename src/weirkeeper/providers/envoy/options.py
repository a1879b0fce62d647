"""How the translation is to be laid out; chosen once, when the provider is made."""

from typing import Literal

from weirkeeper.model.value import Value


class EnvoyOptions(Value, frozen=True, kw_only=True):
    """``scoped`` has one scope for each host; ``rds`` one route configuration for each group (a fallback, and a peer to measure against).

    ``access_log`` is a path, ``None`` for no log. ``trie_from`` is the number of routes from which a host is matched by a trie. ``pieces_from`` is the number from which a host is
    cut into pieces (decision 0011). ``ipv6`` says whether
    listeners without an address bind ``::`` as well.
    """

    layout: Literal["scoped", "rds"] = "scoped"
    access_log: str | None = "/dev/stdout"
    trie_from: int = 50
    pieces_from: int = 500
    ipv6: bool = True
