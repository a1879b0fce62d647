"""What was once wrong with Ingresses on a real Envoy, each as the owner of the Ingress met it."""

import pytest

from weirkeeper.model.finding import Reason

pytestmark = pytest.mark.engine


def said(site, reason):
    """The fields that findings with this code are about."""
    return [f.origin.path for f in site.findings() if f.reason is reason]


def test_canary_answers_for_aliases_too(site):
    alias = f"alias.{site.host}"
    site.apply(
        site.ingress({"server-alias": alias}),
        site.ingress({"canary": "true", "canary-by-header": "X-New"}, name="canary", paths=[("/", "Prefix", "b")]),
    )
    site.answers("b", headers=[("X-New", "always")])
    site.answers("b", host=alias, headers=[("X-New", "always")])
    site.answers("a", host=alias)


def test_rule_goes_before_alias_of_another(site):
    alias = f"alias.{site.host}"
    site.apply(site.ingress({"server-alias": alias}, name="first-by-name", paths=[("/", "Prefix", "b")]))
    site.answers("b", host=alias)
    site.apply(site.ingress(name="owner", host=alias))
    site.answers("a", host=alias)
    assert said(site, Reason.ANNOTATION_CONFLICT) == ["metadata.annotations[nginx.ingress.kubernetes.io/server-alias]"]
    site.delete("Ingress", "owner")
    site.answers("b", host=alias)
    assert not said(site, Reason.ANNOTATION_CONFLICT)


def test_tls_without_secret_is_said(site):
    site.apply(site.ingress({"ssl-redirect": "false"}, tls=[{"hosts": [site.host]}]))
    site.answers("a")
    assert said(site, Reason.SECRET_NOT_FOUND) == ["spec.tls[0].secretName"]
    assert site.tried(scheme="https") is None


def test_ingress_that_serves_nothing_is_told_among_other_findings(site):
    site.apply(site.ingress({"no-such-annotation": "x"}, paths=()))
    assert said(site, Reason.NO_RULES) == ["spec"]
    assert said(site, Reason.UNKNOWN_ANNOTATION)
