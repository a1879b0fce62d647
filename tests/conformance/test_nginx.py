"""NGINX passes the suite: traffic for what it declares, the inverse for the rest."""

import pytest

from weirkeeper.providers.nginx import PROVIDER
from weirkeeper.testing.conformance import Conformance, Rig

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("conformance-nginx")]


class TestNginx(Conformance):
    rig = Rig(PROVIDER, options={"reload-milliseconds": "50"})
