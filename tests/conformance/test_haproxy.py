"""HAProxy passes the suite: traffic for what it declares, the inverse for the rest."""

import pytest

from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.testing.conformance import Conformance, Rig

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("conformance-haproxy")]


class TestHaproxy(Conformance):
    rig = Rig(PROVIDER, options={"reload-milliseconds": "50"})
