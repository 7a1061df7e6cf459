"""How much is done of what is random or violent: `make test` some of it, `make soak` far more.

Tests that it makes longer are marked `soak`.
"""

import os
from typing import Final

SOAK: Final = int(os.environ.get("DIPTYCH_SOAK", "1"))
"""How many times as much as `make test` does."""
