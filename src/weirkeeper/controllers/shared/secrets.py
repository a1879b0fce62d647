"""Contents of Secrets and ConfigMaps, and whether something is absent or only not known yet.

Comes in: a read handle and a reference. Goes out: text, or why there is none. A reference is resolved in the namespace of the object that makes it;
another namespace needs the class's consent.
"""

import base64
import binascii
from collections.abc import Hashable

from weirkeeper.controllers.base import Inputs
from weirkeeper.flow import Read
from weirkeeper.kube.types import Secret
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Refused

BIGGEST = 1_048_576


def secret_text(secret: Secret, key: str) -> str | Refused:
    """One entry of a Secret as text."""
    plain = (secret.string_data or {}).get(key)
    if plain is not None:
        return plain if len(plain) <= BIGGEST else Refused(f"has more than {BIGGEST} bytes under {key}")
    encoded = (secret.data or {}).get(key)
    if encoded is None:
        return Refused(f"has no entry {key}")
    if len(encoded) > BIGGEST * 2:
        return Refused(f"has more than {BIGGEST} bytes under {key}")
    try:
        return base64.b64decode("".join(encoded.split()), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return Refused(f"has an entry {key} that is not base64 of text")


def entries(secret: Secret) -> tuple[str, ...]:
    """The names of its entries."""
    return tuple(sorted({*(secret.data or {}), *(secret.string_data or {})}))


def known_absent(read: Read, inputs: Inputs, ref: Ref) -> bool:
    """Whether it is known that the object is not there; otherwise it may still come."""
    kind: Hashable = ref.kind
    return read.contains(inputs.complete, kind) or read.contains(inputs.complete, ref)


def named(text: str, kind: str, owner: Ref, *, cross_namespace: bool) -> Ref | Refused:
    """The object that ``name`` or ``namespace/name`` means, seen from its owner."""
    first, slash, second = text.strip().partition("/")
    namespace, name = (first, second) if slash else (owner.namespace, first)
    if not name or "/" in name or not namespace:
        return Refused("is not a name or namespace/name")
    if namespace != owner.namespace and not cross_namespace:
        return Refused(
            f"names an object of the namespace {namespace[:63]!r}, and this class allows only the object's own"
        )
    return Ref(cluster=owner.cluster, kind=kind, namespace=namespace, name=name)
