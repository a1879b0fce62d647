"""From Ingress to Gateway API: the manifests that mean the same, and a word about everything that has no equivalent.

Reading order: `source.py` (what Ingresses mean, from the settled tables), `sections.py` (listeners), `hosts.py` (which route stands at which listener), `rules.py` (one route as
one rule), `backends.py` (references, policies), `objects.py` (all of it as manifests), `report.py` (what became of each annotation). Pure: nothing is read or asked here.
"""

from weirkeeper.migrate.choices import Channel, Choices, Per
from weirkeeper.migrate.migration import Migration, migrated

__all__ = ["Channel", "Choices", "Migration", "Per", "migrated"]
