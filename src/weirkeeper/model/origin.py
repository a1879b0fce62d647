"""Where a thing came from: the object, and the place inside it. Carried by everything that a user may ask "why" about.

Neither a generation nor a rule's position is an identity (annotation edits do not raise the one, an insertion shifts the
other): rules are known by name where they have one, else by what they match.
"""

from weirkeeper.model.ids import Ref
from weirkeeper.model.text import FieldPath, Timestamp, Uid
from weirkeeper.model.value import Told


class Origin(Told, frozen=True, kw_only=True):
    """An object, the field path inside it, its uid and its time of creation."""

    ref: Ref
    path: FieldPath = FieldPath("")
    uid: Uid = Uid("")
    created_at: Timestamp = Timestamp("")

    def at(self, path: str) -> "Origin":
        """The same object, another field."""
        return Origin(ref=self.ref, path=FieldPath(path), uid=self.uid, created_at=self.created_at)

    def __str__(self) -> str:
        return f"{self.ref} {self.path}" if self.path else str(self.ref)
