"""The fields of Gateway API's XBackend that we read (sigs.k8s.io/gateway-api v1.6 and v1.7, experimental), and no others.

Comes in: JSON or YAML of an object. Goes out: small frozen structs, as in ``gateway_types``.
"""

from weirkeeper.kube.gateway_experimental import SessionPersistence
from weirkeeper.kube.gateway_policies import BackendValidation
from weirkeeper.kube.gateway_types import GatewayObject, ObjectReference
from weirkeeper.kube.selectors import LabelSelector
from weirkeeper.kube.types import KubeStruct


class ExternalPort(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """The port of a backend: ``port`` in v1.6, ``number`` since v1.7."""

    port: int | None = None
    number: int | None = None


class ExternalHostname(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A name outside of the cluster."""

    hostname: str = ""


class ExternalTls(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """TLS to a backend: ``None``, ``ServerOnly`` or ``ClientAndServer``."""

    mode: str = ""
    client_certificate_ref: ObjectReference | None = None
    validation: BackendValidation = BackendValidation()


class XBackendSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Where a backend is, how it is spoken to, and, since v1.7, what keeps a client on one of its pods."""

    type: str = ""
    port: ExternalPort = ExternalPort()
    external_hostname: ExternalHostname | None = None
    endpoint_selector: LabelSelector | None = None
    session_persistence: SessionPersistence | None = None
    protocol: str | None = None
    tls: ExternalTls | None = None


class XBackend(GatewayObject, frozen=True, kw_only=True, rename="camel"):
    """A backend that is no Service."""

    spec: XBackendSpec = XBackendSpec()
