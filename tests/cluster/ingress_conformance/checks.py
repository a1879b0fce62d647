"""Runs one scenario on a stage and says what is wrong with the answers.

Comes in: a feature, one of its scenarios, a stage. Goes out: nothing, or an AssertionError that names the request. As upstream's client does it, a redirect
is followed to the same place and host, whatever its port, so a host with TLS may answer http by sending its caller to https.
"""

from typing import NamedTuple, Protocol

from cryptography import x509
from ingress_conformance.scenarios import AGENT, Asked, Feature, Scenario

from weirkeeper.testing.client import Response, get
from weirkeeper.testing.client.fetch import cut

HOPS = 3


class Place(NamedTuple):
    """Where an Ingress answers."""

    address: str
    http: int = 80
    https: int = 443


class Stage(Protocol):
    """Something that serves Ingresses."""

    def scale(self, service: str, pods: int) -> None:
        """Returns when so many pods of the Service take requests."""

    def place(self, feature: Feature) -> Place:
        """Where the feature's Ingress answers, once its status shows it."""

    def shows_nothing(self, feature: Feature) -> Place:
        """Where our load balancer answers, once it is certain that the Ingress's status stays empty."""


def check(stage: Stage, feature: Feature, scenario: Scenario) -> None:
    """Run the scenario."""
    place = stage.place(feature) if scenario.shown else stage.shows_nothing(feature)
    if scenario.pods > 1:
        (service,) = feature.services
        stage.scale(service, scenario.pods)
    seen = {answered(place, asked) for asked in scenario.asked}
    if scenario.pods > 1:
        assert len(seen) == scenario.pods, f"{len(seen)} of {scenario.pods} pods answered: {sorted(seen)}"


def answered(place: Place, asked: Asked) -> str:
    """The pod that answered the request as it should; nothing where no backend had to."""
    url = asked.url.replace("$(ADDRESS)", f"{place.address}:{place.http}")
    answer = followed(place, url, asked.method)
    assert answer.status == asked.status, f"{asked.method} {url}: {answer.status} {answer.text[:200]}"
    if asked.secure_name:
        assert asked.secure_name in names(answer), f"{url}: the certificate is for {names(answer)}"
    if not asked.service:
        return ""
    service, _, pod = answer.echo.name.partition("/")
    assert service == asked.service, f"{asked.method} {url}: answered by {service}, not by {asked.service}"
    assert answer.echo.host == cut(url).authority, f"{url}: the backend saw the host {answer.echo.host}"
    if asked.in_full:
        whole(answer, asked, url)
    return pod


def whole(answer: Response, asked: Asked, url: str) -> None:
    """What the default backend's outline looks at besides."""
    assert answer.protocol == answer.echo.protocol == "HTTP/1.1"
    missing = [name for name in ("Content-Length", "Content-Type", "Date", "Server") if not answer.header(name)]
    assert not missing, f"{url}: the answer has no {', '.join(missing)}"
    assert (answer.echo.method, answer.echo.path) == (asked.method, cut(url).path)
    assert answer.echo.header("User-Agent") == AGENT


def followed(place: Place, url: str, method: str) -> Response:
    """The last answer, redirects followed: the place stays the same whatever they say."""
    for _ in range(HOPS):
        wish = cut(url)
        port = place.https if wish.secure else place.http
        answer = get(url, method=method, via=port, address=place.address, headers=[("User-Agent", AGENT)])
        if answer.status not in (301, 302, 303, 307, 308):
            return answer
        there = cut(answer.header("Location") or url)
        url = f"{'https' if there.secure else 'http'}://{there.name}{there.path}"
    raise AssertionError(f"{url}: more than {HOPS} redirects")


def names(answer: Response) -> list[str]:
    """The DNS names of the certificate that the server showed."""
    assert answer.peer is not None, "no TLS"
    certificate = x509.load_der_x509_certificate(answer.peer)
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    )
