"""The kinds that the fake API server knows: names, scope, sub-resources and the few rules that differ between kinds.

In: nothing. Out: a table of values. A kind that is not in the table is added with `ApiServer.serve`, or by creating its
CustomResourceDefinition. Rules are those of the real server's registry strategies
(https://github.com/kubernetes/kubernetes/tree/master/pkg/registry), checked by tests/api/test_verified_*.py.
"""

from weirkeeper.model.value import Value

ALL_FIELDS = ("metadata.name", "metadata.namespace")
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class ServedKind(Value, frozen=True, kw_only=True):
    """One kind at one version.

    ``generation``: metadata.generation counts changes of the specification. ``unconditional``: a replace may leave the
    resource version out. ``created_by_put``: a replace of what is not there creates it. ``custom``: from a
    CustomResourceDefinition, so a status write changes nothing but the status. ``fields``: what a field selector may name.
    """

    group: str = ""
    version: str = "v1"
    plural: str
    kind: str
    singular: str = ""
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    status: bool = False
    generation: bool = False
    unconditional: bool = True
    created_by_put: bool = False
    custom: bool = False
    stored: bool = True
    fields: tuple[str, ...] = ALL_FIELDS

    @property
    def key(self) -> tuple[str, str]:
        """Group and plural."""
        return (self.group, self.plural)

    @property
    def api_version(self) -> str:
        """As objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As messages name it: `ingresses.networking.k8s.io`, `secrets`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def prefix(self) -> bytes:
        """How every object of the kind starts; an item of a list starts after it."""
        return f'{{"kind":"{self.kind}","apiVersion":"{self.api_version}",'.encode()


def custom(
    plural: str,
    kind: str,
    *,
    group: str = "weirkeeper.io",
    version: str = "v1alpha1",
    namespaced: bool = True,
    status: bool = False,
) -> ServedKind:
    """A kind as a CustomResourceDefinition makes it."""
    return ServedKind(group=group, version=version, plural=plural, kind=kind, singular=kind.lower(), namespaced=namespaced,
                      status=status, generation=True, unconditional=False, custom=True)  # fmt: skip


NET, APPS, OURS = "networking.k8s.io", "apps", "weirkeeper.io"

NAMESPACES = ServedKind(plural="namespaces", kind="Namespace", short_names=("ns",), namespaced=False, status=True)
DEFINITIONS = ServedKind(group="apiextensions.k8s.io", plural="customresourcedefinitions", kind="CustomResourceDefinition",
                         short_names=("crd", "crds"), namespaced=False, status=True, generation=True)  # fmt: skip
TOKEN_REVIEWS = ServedKind(group="authentication.k8s.io", plural="tokenreviews", kind="TokenReview", namespaced=False,
                           stored=False)  # fmt: skip

KINDS = (
    NAMESPACES,
    ServedKind(plural="nodes", kind="Node", short_names=("no",), namespaced=False, status=True,
               fields=(*ALL_FIELDS, "spec.unschedulable")),
    ServedKind(plural="pods", kind="Pod", short_names=("po",), status=True,
               fields=(*ALL_FIELDS, "spec.nodeName", "status.phase")),
    ServedKind(plural="services", kind="Service", short_names=("svc",), status=True, fields=(*ALL_FIELDS, "spec.type")),
    ServedKind(plural="endpoints", kind="Endpoints", short_names=("ep",)),
    ServedKind(plural="secrets", kind="Secret", fields=(*ALL_FIELDS, "type")),
    ServedKind(plural="configmaps", kind="ConfigMap", short_names=("cm",)),
    ServedKind(plural="serviceaccounts", kind="ServiceAccount", short_names=("sa",)),
    ServedKind(plural="events", kind="Event", short_names=("ev",), created_by_put=True,
               fields=(*ALL_FIELDS, "involvedObject.name", "involvedObject.kind", "involvedObject.uid", "reason", "type")),
    ServedKind(group="events.k8s.io", plural="events", kind="Event", short_names=("ev",), created_by_put=True,
               fields=(*ALL_FIELDS, "regarding.name", "regarding.kind", "regarding.uid", "reason", "type")),
    ServedKind(group=NET, plural="ingresses", kind="Ingress", short_names=("ing",), status=True, generation=True),
    ServedKind(group=NET, plural="ingressclasses", kind="IngressClass", namespaced=False, generation=True),
    ServedKind(group="discovery.k8s.io", plural="endpointslices", kind="EndpointSlice", generation=True),
    ServedKind(group="coordination.k8s.io", plural="leases", kind="Lease", unconditional=False, created_by_put=True),
    ServedKind(group=APPS, plural="deployments", kind="Deployment", short_names=("deploy",), status=True, generation=True),
    ServedKind(group=APPS, plural="statefulsets", kind="StatefulSet", short_names=("sts",), status=True, generation=True),
    ServedKind(group=APPS, plural="daemonsets", kind="DaemonSet", short_names=("ds",), status=True, generation=True),
    DEFINITIONS,
    TOKEN_REVIEWS,
    custom("loadbalancers", "LoadBalancer", group=OURS),
    custom("loadbalancerclassparameters", "LoadBalancerClassParameters", group=OURS, namespaced=False),
)  # fmt: skip
