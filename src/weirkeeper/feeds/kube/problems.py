"""What the feed has to say besides objects, as findings: objects that do not fit, kinds that cannot be listed or are not served, changes that are held.

Comes in: news, failures, counts. Goes out: `Seen` with a problem and nothing else. What stands for a part of the feed has a ref of the kind `FEED`.
"""

from weirkeeper.feeds.base import FEED, Cause, Seen
from weirkeeper.feeds.decode import sentence
from weirkeeper.kube.errors import ApiFailure, Forbidden
from weirkeeper.kube.mirror import Unreadable
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.ids import LOCAL, Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Uid


def unreadable(news: Unreadable) -> Seen:
    """The object's last readable form holds."""
    finding = Finding(
        severity=Severity.ERROR,
        reason=Reason.INVALID_OBJECT,
        for_user=sentence(f"{news.ref} does not have the form of its kind: {news.why}"),
        remedy=sentence("correct the field; until then the last readable form of the object holds"),
        origin=Origin(ref=news.ref, uid=Uid(news.uid)),
        effect=Effect.OBJECT_REJECTED,
    )
    return Seen(ref=news.ref, problem=finding)


def part(of: str, cluster: str = LOCAL, namespace: str = "") -> Ref:
    """What stands for a part of the feed."""
    return Ref(cluster=cluster, kind=FEED, namespace=namespace, name=of)


def not_listed(at: Ref, what: str, error: ApiFailure, about: Ref | None = None) -> Seen:
    """Something cannot be listed or watched now. `about`: the object that is concerned, where it is one."""
    finding = Finding(
        severity=Severity.WARNING,
        reason=Reason.NOT_LISTED,
        for_user=sentence(f"{what} cannot be read now: {error.message}"),
        remedy=sentence(_remedy(error, about)),
        for_operator=sentence(f"{what}: {error.status or 'no answer'} {error.reason}"),
        origin=Origin(ref=about or at),
    )
    return Seen(ref=at, problem=finding)


def _remedy(error: ApiFailure, about: Ref | None) -> str:
    if about is None or not isinstance(error, Forbidden):
        return "nothing is taken away meanwhile; let the control plane get, list and watch it"
    return (
        f"let the control plane get, list and watch the {about.kind}s of the namespace {about.namespace}, as the ClusterRole "
        "for reading Secrets does (bind it there); what was served before is served on"
    )


def not_served(at: Ref, what: str) -> Seen:
    """The cluster does not have a kind."""
    finding = Finding(
        severity=Severity.INFO,
        reason=Reason.KIND_NOT_SERVED,
        for_user=sentence(f"the cluster does not serve {what}"),
        remedy=sentence(
            "install its CustomResourceDefinition, if you want to use it; it is looked for again and again"
        ),
        origin=Origin(ref=at),
    )
    return Seen(ref=at, problem=finding)


def holding(at: Ref, kind: str, count: int) -> Seen:
    """A list lacks so much that it is not believed yet."""
    finding = Finding(
        severity=Severity.ERROR,
        reason=Reason.HELD_CHANGE,
        for_user=sentence(
            f"a list of the API server suddenly lacks {count} objects of the kind {kind}; they are served on"
        ),
        remedy=sentence("wait for a second list to say the same, confirm it, or restore what is missing"),
        origin=Origin(ref=at),
    )
    return Seen(ref=at, problem=finding)


def over(at: Ref) -> Seen:
    """A problem of a part of the feed is over."""
    return Seen(ref=at, cause=Cause.DELETED)
