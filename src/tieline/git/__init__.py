"""Git: the real git program, driven so that a job's code is exactly the commit that was asked for."""

from tieline.git.checkout import Checked, checkout
from tieline.git.credentials import credentials, needed
from tieline.git.login import Login
from tieline.git.private import remove_left
from tieline.git.url import clean

__all__ = ["Checked", "Login", "checkout", "clean", "credentials", "needed", "remove_left"]
