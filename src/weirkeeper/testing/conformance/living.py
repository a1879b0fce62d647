"""What holds for every provider while things change: no dropped request, garbage harms nobody, a restart converges."""

from weirkeeper.model.features import UpdateStyle
from weirkeeper.testing.client import Target
from weirkeeper.testing.conformance.site import Site
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.load import Ask, Plan, load

CHANGES = 10


def check_updates(site: Site) -> None:
    """Requests under load while a route, a backend and endpoints change: each answer is right, none is lost."""
    site.apply(*site.service("a", site.backends.a.port), *site.service("b", site.backends.b.port), site.ingress())
    site.answers("a")
    address, port = site.stage.rig.reach(site.stage.http_port)
    ask = Ask(name="steady", host=site.host, path="/")
    plan = Plan(target=Target(port=port, address=address), asks=(ask,), connections=8, rate=400, seconds=60)
    with load(plan) as running:
        for number in range(CHANGES):
            to = "b" if number % 2 == 0 else "a"
            path = f"/new-{number}"
            site.apply(site.ingress(paths=[("/", "Prefix", to), (path, "Exact", "a")]))
            site.answers(to)
            site.answers("a", path)
        for number in range(CHANGES):
            to, echo = ("b", site.backends.b) if number % 2 == 0 else ("a", site.backends.a)
            site.apply(site.slice("a", echo.port))
            site.answers(to)
        result = running.stop()
    live = site.stage.rig.provider.capabilities.config_updates is UpdateStyle.LIVE
    failures = result.failures(lambda record: record.status == 200 and record.answer in {"a", "b"})
    assert not (live and failures), f"{len(failures)} of {len(result.records)}: {failures[:5]}"
    assert len(result.records) > CHANGES
    site.clear()


def check_garbage(site: Site) -> None:
    """An object with nothing right in it is said, and the good one beside it serves on."""
    services = (*site.service("a", site.backends.a.port), *site.service("b", site.backends.b.port))
    site.apply(*services, site.ingress())
    if site.stage.rig.traffic:
        site.answers("a")
    site.apply(
        site.ingress(
            {"use-regex": "true"},
            name="bad-regex",
            host="r." + site.host,
            paths=[("/(", "ImplementationSpecific", "a")],
        ),
        site.ingress(name="bad-host", host="not a host", paths=[("/", "Prefix", "b")]),
        site.ingress({"denylist-source-range": "everyone"}, name="bad-range", host="d." + site.host),
        site.tls_secret_garbage("broken"),
        site.ingress(
            name="bad-tls", host="t." + site.host, tls=[{"hosts": ["t." + site.host], "secretName": "broken"}]
        ),
    )
    said = {finding.origin.ref.name for finding in site.findings()}
    assert said >= {"bad-regex", "bad-host", "bad-range", "bad-tls"}, said
    assert "main" not in said, [f for f in site.findings() if f.origin.ref.name == "main"]
    if site.stage.rig.traffic:
        site.answers("a")
        site.apply(site.ingress(paths=[("/", "Prefix", "b")]))
        site.answers("b")
        poll_until(lambda: not site.stage.rejected(), site.stage.rig.patience, what="nothing is refused by the engine")
    site.clear()


def check_restart(site: Site) -> None:
    """What was wished before, and what changed while nobody served, is there after a restart."""
    site.apply(*site.service("a", site.backends.a.port), *site.service("b", site.backends.b.port), site.ingress())
    site.answers("a")
    site.stage.restart()
    site.answers("a")
    site.apply(site.ingress(paths=[("/", "Prefix", "b")]))
    site.answers("b")
