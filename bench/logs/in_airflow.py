"""Airflow's masker, in an environment of its own: ``python in_airflow.py LINES SECRETS`` (two files), prints JSON.

It is told each value as ``mask_secret`` tells it, and asked for each line as its log's processor does; and for all
lines as one text, which may suit it better.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    from airflow.sdk._shared.secrets_masker import SecretsMasker

    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    with open(sys.argv[2], encoding="utf-8") as file:
        values = file.read().splitlines()
    masker = SecretsMasker()
    registering = seconds(lambda: [masker.add_mask(value) for value in values])
    lines = text.splitlines(keepends=True)
    each = seconds(lambda: [masker.redact(line) for line in lines])
    whole = seconds(lambda: masker.redact(text))
    assert str(masker.redact(values[-1])) == "***"
    rate = len(text.encode()) / 1e6
    print(json.dumps({
        "version": version("apache-airflow-task-sdk"), "register_s": registering, "lines_mb_s": rate / each,
        "text_mb_s": rate / whole,
    }))  # fmt: skip
