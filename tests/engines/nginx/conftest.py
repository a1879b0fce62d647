"""The tests of this folder share the modules beside them, and the strings of the acceptance tests."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "acceptance")]
