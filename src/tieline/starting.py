"""What every process of Tieline's own imports before the rest: it is to begin soon.

Imports make many objects that stay, and Python's garbage collector would look at all of them again and again: a fifth
of the time that a process takes to begin.
"""

from __future__ import annotations

import gc

YOUNG = 100_000
"""Objects before it looks."""

gc.set_threshold(YOUNG, 20, 20)
