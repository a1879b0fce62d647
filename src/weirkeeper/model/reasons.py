"""What each finding's code means, and what to do about it: docs/findings.md is generated from here.

A test fails for a code without a row. Codes are never given to another meaning, and never re-used; the groups are by the hundred.
"""

from weirkeeper.model.finding import Reason
from weirkeeper.model.value import Value


class About(Value, frozen=True, kw_only=True):
    """A code in two sentences: what is so, and what helps."""

    meaning: str
    remedy: str


GROUPS = {
    "0": "Manifests and objects",
    "1": "Hosts, paths and classes",
    "2": "Services and endpoints",
    "3": "Certificates, Secrets and ConfigMaps",
    "4": "Annotations",
    "5": "What a load balancer can do, and did",
}
"""The groups by the first digit of a code."""


def _about(meaning: str, remedy: str) -> About:
    return About(meaning=meaning, remedy=remedy)


REASONS: dict[Reason, About] = {
    Reason.INVALID_SYNTAX: _about(
        "A part of a file is neither YAML nor JSON. What the file held before stays in force.",
        "Correct the line that the finding names; everything else in the file and beside it is served.",
    ),
    Reason.INVALID_OBJECT: _about(
        "An object does not have the form of its kind: a field is of another type, or missing.",
        "Correct the field that the finding names; until then the last readable form of the object holds.",
    ),
    Reason.OLD_FORM: _about(
        "An object is in a form that Kubernetes has given up; it is read as today's form.",
        "Write it in today's form; the finding shows the text.",
    ),
    Reason.DUPLICATE_OBJECT: _about(
        "The same object is written twice; the first one, by file name and line, is used.",
        "Remove one of the two, or give it another name.",
    ),
    Reason.UNKNOWN_KIND: _about(
        "An object of a load-balancing API is of a kind that nothing here reads.",
        "Nothing, if another program reads it; else check the spelling of kind and apiVersion.",
    ),
    Reason.UNREADABLE_FILE: _about(
        "A file cannot be opened, is too large, or is not UTF-8.",
        "Let the user that runs weir read it; save it as UTF-8.",
    ),
    Reason.NOT_LISTED: _about(
        "Objects cannot be read from the API server now; what was last known of them holds.",
        "Let the control plane get, list and watch them (the finding quotes the API server), or bring the API server back.",
    ),
    Reason.KIND_NOT_SERVED: _about(
        "The cluster does not have a kind that is read here.",
        "Install its CustomResourceDefinition if you want to use it; it is found within half a minute.",
    ),
    Reason.UNKNOWN_FIELD: _about(
        "A manifest has a field that its kind does not have; it does nothing, and an API server would refuse or drop it.",
        "Correct its spelling (letters are upper and lower case for a reason), move it to where it belongs, or take it out.",
    ),
    Reason.INVALID_HOST: _about(
        "A host is not a DNS name, nor a wildcard with one leading `*.`.",
        "Use lower-case letters, digits, `-` and `.`; a wildcard is `*.` and a name.",
    ),
    Reason.INVALID_PATH: _about(
        "A path does not begin with `/`, or holds characters that no URL path has.",
        "Begin it with `/`; write other characters as %XX.",
    ),
    Reason.INVALID_REGEX: _about(
        "An expression is not one of RE2, or costs too much.",
        "Write it in RE2's syntax (no look-around, no back references), at most 1,024 characters.",
    ),
    Reason.DUPLICATE_ROUTE: _about(
        "Two rules match exactly the same requests; the older one, then the first by name, is served.",
        "Remove the path from one of them, or make its path or conditions differ.",
    ),
    Reason.NO_RULES: _about(
        "An Ingress has neither rules nor a default backend: it asks for nothing.",
        "Add a rule or `spec.defaultBackend`.",
    ),
    Reason.UNKNOWN_CLASS: _about(
        "An object names a class that does not exist.", "Create the IngressClass, or correct the name."
    ),
    Reason.INVALID_CLASS: _about(
        "A class, or its parameters, cannot be used as written.", "Correct the field that the finding names."
    ),
    Reason.SEVERAL_DEFAULT_CLASSES: _about(
        "Several classes are marked as the default one; the oldest, then the first by name, is taken.",
        "Leave the mark on one of them.",
    ),
    Reason.TOO_LARGE: _about(
        "An object or a field holds more than a load balancer should be made to take.",
        "Split it, or shorten the field.",
    ),
    Reason.HOST_OF_ANOTHER: _about(
        "A route names a host that a narrower listener of its Gateway has, which does not have the route; it is not served there.",
        "Attach the route to that listener, or choose another host name.",
    ),
    Reason.INVALID_NAME: _about(
        "A name is none that Kubernetes takes.",
        "Use lower-case letters, digits, `-` and `.`; begin and end with a letter or digit.",
    ),
    Reason.SERVICE_NOT_FOUND: _about(
        "A backend names a Service that does not exist; requests to it are answered 503.",
        "Create the Service in the same namespace, or correct the name.",
    ),
    Reason.PORT_NOT_FOUND: _about(
        "A backend names a port that its Service does not have; requests to it are answered 503.",
        "Use a name or number from the Service's `spec.ports`.",
    ),
    Reason.NO_ENDPOINTS: _about(
        "No endpoint of a Service is ready; requests to it are answered 503.",
        "Look at the pods that the Service selects and at their readiness.",
    ),
    Reason.EXTERNAL_NAME_REFUSED: _about(
        "A Service of type ExternalName is not forwarded to: it could lead anywhere.",
        "Allow it in the parameters of the class, if you trust everybody who may write Services.",
    ),
    Reason.ADDRESS_REFUSED: _about(
        "An address or name is one that tenants must not reach: loopback, link-local, or the API server.",
        "Forward to a Service with endpoints of its own.",
    ),
    Reason.UNSUPPORTED_BACKEND: _about(
        "A backend is neither a Service nor a workload; requests to it are answered 503.",
        "Name a Service and one of its ports, or a Deployment, StatefulSet or DaemonSet.",
    ),
    Reason.UNKNOWN_APP_PROTOCOL: _about(
        "A port's appProtocol is not one that is known; plain HTTP/1.1 is spoken to it.",
        "Use one of the protocols that the finding lists, or leave the field out.",
    ),
    Reason.WORKLOAD_NOT_FOUND: _about(
        "A backend names a workload that does not exist; requests to it are answered 503.",
        "Create the Deployment, StatefulSet or DaemonSet in the same namespace, or correct the name.",
    ),
    Reason.MODE_CANNOT_SERVE: _about(
        "The class sends requests to addresses of another kind than this backend has (`endpointMode`); requests to it are answered 503.",
        "Give the Service the type that the finding names, or use a class that sends requests to pods.",
    ),
    Reason.BACKENDS_NOT_READ: _about(
        "A backend can be found only by reading objects that this install does not read; requests to it are answered 503.",
        "Add the component that the finding names to the install, or use another backend.",
    ),
    Reason.SECRET_NOT_FOUND: _about(
        "A Secret that is named does not exist. Its certificate is not served; what it should guard is refused.",
        "Create the Secret in the same namespace, or correct the name.",
    ),
    Reason.INVALID_CERTIFICATE: _about(
        "A Secret holds no certificate with a fitting private key.",
        "Put the PEM chain into `tls.crt`, leaf first, and its key into `tls.key`.",
    ),
    Reason.CERTIFICATE_EXPIRED: _about("A certificate is past its last day.", "Renew it."),
    Reason.CERTIFICATE_HOST_MISMATCH: _about(
        "A certificate does not name a host that it is used for; clients will refuse it.",
        "Have it issued for this host, or use another one.",
    ),
    Reason.CERTIFICATE_NEAR_END: _about("A certificate will expire soon.", "Renew it, or see why that did not happen."),
    Reason.CONFIGMAP_NOT_FOUND: _about(
        "A ConfigMap that is named does not exist.", "Create it in the same namespace, or correct the name."
    ),
    Reason.INVALID_SECRET: _about(
        "A Secret does not hold what is needed of it, under the right key.", "Correct the entry that the finding names."
    ),
    Reason.UNKNOWN_ANNOTATION: _about(
        "An annotation under our prefixes is not known; it has no effect.",
        "Correct its spelling; docs/annotations.md lists all.",
    ),
    Reason.INVALID_ANNOTATION: _about(
        "An annotation's value is not of its form.", "Correct the value; docs/annotations.md says what it may be."
    ),
    Reason.REFUSED_ANNOTATION: _about(
        "An annotation of ingress-nginx is refused on purpose.", "Use what the finding names in its place."
    ),
    Reason.ANNOTATION_WITHOUT_EFFECT: _about(
        "An annotation does nothing here, as another one that it needs is missing, or all is well without it.",
        "Add what it needs, or take it out.",
    ),
    Reason.CANARY_WITHOUT_MAIN: _about(
        "A canary Ingress has no main Ingress with the same host and path; its rules are not served.",
        "Give it host and path of the Ingress that it is the canary of.",
    ),
    Reason.ANNOTATION_CONFLICT: _about(
        "Two annotations exclude each other; the finding says which one counts.", "Take one of them out."
    ),
    Reason.CROSS_NAMESPACE: _about(
        "A reference leads into another namespace, which is not followed.",
        "Move what is referred to into this namespace.",
    ),
    Reason.UNSUPPORTED: _about(
        "The load balancer cannot do what a route needs; the route is answered 500, so that nothing passes without it.",
        "Remove the setting, or use a class whose load balancer supports it (`weir features`).",
    ),
    Reason.DEGRADED: _about(
        "The load balancer does something close to what is wished; the finding says what.",
        "Nothing, if that will do; else use another class (`weir features`).",
    ),
    Reason.OVER_LIMIT: _about(
        "There is more than the load balancer takes; the newest objects are left out first.",
        "Spread the objects over several classes.",
    ),
    Reason.LISTENER_CONFLICT: _about(
        "Two listeners want the same port and cannot share it; the older one stands.",
        "Choose another port, or make protocol and host names agree.",
    ),
    Reason.ENGINE_REJECTED: _about(
        "The engine refused what an object became; what was accepted before stays in force.",
        "Change the field that the engine's message names; tell us, since it should have been found earlier.",
    ),
    Reason.VERIFY_OFF: _about(
        "A backend is spoken to by TLS, but nobody checks that it is the right one.",
        "Name a Secret with the backend's authorities, and switch verification on.",
    ),
    Reason.HELD_CHANGE: _about(
        "A change that would take away a great deal at once is held until somebody confirms it.",
        "Confirm it, or put back what is missing.",
    ),
    Reason.TOO_FEW_HOSTS: _about(
        "More instances are wished than there are hosts that they may run on; each needs one of its own. Those that have one serve.",
        "Ask for fewer, add nodes, or widen the node selector and tolerations in the parameters of the class.",
    ),
    Reason.NO_FLEET: _about(
        "Instances are wished that the control plane should start, but this install starts none.",
        "Add the component `fleet` to the install, or take the wish out.",
    ),
    Reason.INSTANCES_MISSING: _about(
        "A load balancer has had fewer instances than wished for a minute: they do not run, or have no full configuration. The others serve.",
        "Look at the events of its pods (`kubectl describe pods -l weirkeeper.io/load-balancer` in the namespace of instances), and at the log of its Envoys.",
    ),
    Reason.ENGINE_DOWN: _about(
        "An engine has ended, hangs or does not start: clients of that instance are not served. Its agent tries on, and programs it in full once it answers.",
        "Look at the log of the engine of the instance that the finding names (docs/troubleshooting.md).",
    ),
}
