"""What a scenario is: objects, the features that they need, and what traffic must then show."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from weirkeeper.testing.conformance.site import Manifest, Site

Given = Callable[[Site], Iterable[Manifest]]
Then = Callable[[Site], None]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """The request that must be refused where the engine lacks what the scenario needs."""

    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """`given` are objects beside the Services `a` and `b`; `then` sends the traffic. `listens` says that the scenario's need is one of a listener:
    where it is lacking the listener is not there, and nothing else is looked at. `matching` says that it is one of the match: such a rule leads to `a`,
    and an exact path `/.ready` of the site's host (behind `ready`) leads to `b`.
    """

    name: str
    features: tuple[str, ...] = ()
    given: Given
    then: Then
    probe: Ask = Ask()
    listens: bool = False
    matching: bool = False
    ready: str = ""

    @property
    def slug(self) -> str:
        """Its name as a DNS label."""
        return "".join(c if c.isalnum() else "-" for c in self.name.lower()).strip("-")[:50].rstrip("-")


def core(name: str, given: Given) -> Callable[[Then], Scenario]:
    """A scenario that every provider must pass."""
    return lambda then: Scenario(name=name, given=given, then=then)


def needs(
    name: str,
    features: str,
    given: Given,
    *,
    probe: Ask | None = None,
    listens: bool = False,
    matching: bool = False,
    ready: str = "",
) -> Callable[[Then], Scenario]:
    """A scenario that needs these features (separated by spaces)."""
    wished = tuple(features.split())
    return lambda then: Scenario(
        name=name,
        features=wished,
        given=given,
        then=then,
        probe=probe or Ask(),
        listens=listens,
        matching=matching,
        ready=ready,
    )


def all_scenarios(found: Iterable[object]) -> Sequence[Scenario]:
    """The scenarios among a module's values, in their order."""
    return tuple(one for one in found if isinstance(one, Scenario))
