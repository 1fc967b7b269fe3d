"""Whether another process masks what a run's own masks: only then may it show what the run prints, unsaved as it is.

A secret may have another value by now, or in that process's environment, than the job was given. What the run's masks
is known by a digest beside its raw output, with which it goes: slow to guess from, and no value is in it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import suppress

from tieline.engines.folders import Attempt
from tieline.secrets.redactor import Masker

_SALT = 16
_COST = 2**12


def tell_masks(attempt: Attempt, masker: Masker) -> None:
    """Write down what an attempt's output is masked by."""
    salt = os.urandom(_SALT)
    with suppress(OSError):  # the disk is full: whoever follows the run sees what is saved
        attempt.masks.write_bytes(salt + _digest(masker, salt))


def are_same(attempt: Attempt, masker: Masker) -> bool:
    """Whether this masks the same."""
    try:
        told = attempt.masks.read_bytes()
    except OSError:  # another user's run, or one that has ended
        return False
    return hmac.compare_digest(told[_SALT:], _digest(masker, told[:_SALT]))


def _digest(masker: Masker, salt: bytes) -> bytes:
    return hashlib.scrypt(masker.identity, salt=salt, n=_COST, r=8, p=1)
