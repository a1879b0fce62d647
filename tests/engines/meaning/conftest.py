"""The tests of this folder share the modules beside them."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]
