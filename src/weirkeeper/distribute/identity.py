"""Who may ask for what: an instance may ask for the load balancer that its client certificate names, and for no other.

Comes in: the node id that a stream claims and the names in its verified certificate. Goes out: the load balancer's id, or why not. Pure.

The certificate carries the URI ``weirkeeper:load-balancer/<id>``, percent-encoded. The node id is ``<id>/<instance>`` and for reading only: it
must agree with the certificate. Without names (a Unix socket that only its owner may open) the node id is believed.
"""

from collections.abc import Iterable
from urllib.parse import quote, unquote

import msgspec

from weirkeeper.model.text import Id, Refused, parse, shown

_PREFIX = "weirkeeper:load-balancer/"


class Stranger(msgspec.Struct, frozen=True):
    """Why a stream is refused."""

    why: str


def subject(load_balancer: Id) -> str:
    """The URI that a client certificate of this load balancer's instances must carry."""
    return _PREFIX + quote(load_balancer, safe="")


def node_id(load_balancer: Id, instance: str) -> str:
    """The id that an instance gives itself."""
    return f"{load_balancer}/{instance}"


def load_balancer_of(node: str, certificate_names: Iterable[str] | None) -> Id | Stranger:
    """The load balancer whose items this stream may have. ``certificate_names`` is None where the transport needs no certificate."""
    claimed, slash, instance = node.rpartition("/")
    if not slash or not claimed or not instance:
        return Stranger(f"the node id {shown(node)} is not <load balancer>/<instance>")
    checked = parse(Id, claimed)
    if isinstance(checked, Refused):
        return Stranger(f"the node id {checked.why}")
    if certificate_names is None:
        return checked
    named = {unquote(name.removeprefix(_PREFIX)) for name in certificate_names if name.startswith(_PREFIX)}
    if claimed in named:
        return checked
    said = ", ".join(shown(name) for name in sorted(named)) or "no load balancer"
    return Stranger(f"the node id says {shown(claimed)}, its certificate names {said}")
