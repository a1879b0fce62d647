"""Objects from small YAML, and the intents that they come to."""

import json

import msgspec
import yaml

from weirkeeper.controllers.base import COMMON_KINDS, Inputs
from weirkeeper.controllers.ingress import IngressController, IngressSettings
from weirkeeper.flow import Graph

SHOP = """
kind: Service
metadata: {name: shop, namespace: d}
spec: {ports: [{name: http, port: 80}, {name: rpc, port: 90, appProtocol: kubernetes.io/h2c}]}
"""


def path(at="/", kind="Prefix", service="shop", port="{number: 80}"):
    return f"{{path: '{at}', pathType: {kind}, backend: {{service: {{name: {service}, port: {port}}}}}}}"


def ingress(
    *paths, name="i", host="a.example", annotations="{}", extra="", namespace="d", created="2026-01-01T00:00:00Z"
):
    line = f"host: '{host}', " if host else ""
    return f"""
kind: Ingress
apiVersion: networking.k8s.io/v1
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: '{created}', annotations: {annotations}}}
spec: {{rules: [{{{line}http: {{paths: [{", ".join(paths or (path(),))}]}}}}]{extra}}}
"""


def notes(**annotations):
    """Annotations under ingress-nginx's prefix, with - for _."""
    return json.dumps({f"nginx.ingress.kubernetes.io/{k.replace('_', '-')}": v for k, v in annotations.items()})


class World:
    def __init__(self, *documents, controller=None, settings=None):
        self.graph = Graph()
        controller = controller or IngressController(settings or IngressSettings())
        kinds = (*COMMON_KINDS, *controller.kinds)
        self.kinds = {kind.kind: kind for kind in kinds}
        self.inputs = Inputs(self.graph, kinds)
        self.tables = controller.declare(self.graph, self.inputs)
        for kind in ("Secret", "ConfigMap"):
            self.graph.put(self.inputs.complete, kind, True)
        self.put(*documents)

    def put(self, *documents):
        for text in documents:
            for document in yaml.safe_load_all(text) if isinstance(text, str) else [text]:
                kind = self.kinds[document["kind"]]
                group = f"{kind.group}/{kind.version}" if kind.group else kind.version
                made = msgspec.convert({**document, "apiVersion": group}, kind.type, strict=False)
                self.graph.put(self.inputs.of(kind.type), made.ref, made)
        self.graph.settle()

    def intents(self):
        return {
            ref.name: i
            for table in self.tables
            for ref, i in self.graph.rows(table).items()
            if ref.kind != "IngressClass"
        }

    def classes(self):
        return {
            ref.name: i
            for table in self.tables
            for ref, i in self.graph.rows(table).items()
            if ref.kind == "IngressClass"
        }


def intent(*documents, **options):
    """The intent of the Ingress ``i``."""
    return World(SHOP, *documents, **options).intents()["i"]


def routes(*documents, **options):
    return [hosted.route for hosted in intent(*documents, **options).routes]


def codes(found):
    return sorted(str(f.reason) for f in found.findings if f.reason.name != "UNKNOWN_CLASS")
