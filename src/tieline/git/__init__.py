"""Git: the real git program, driven so that a job's code is exactly the commit that was asked for."""

from tieline.git.checkout import Checked, checkout
from tieline.git.url import clean

__all__ = ["Checked", "checkout", "clean"]
