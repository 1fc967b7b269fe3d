"""Tieline: name every external system once; a job asks for it by name, and finds it bound.

The rooms of this package and the order in which they may import each other are described in
``docs/architecture.md``. Nothing is imported here, so that ``tieline --version`` starts at once.
"""

__version__ = "0.1.0"
