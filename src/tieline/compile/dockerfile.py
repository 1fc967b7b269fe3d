"""``init.dockerfile``: the text of a Dockerfile from the format's fields. Pure text; nothing is built here."""

from __future__ import annotations

import json
from typing import Any

from tieline.model.job import DockerfileForm


def dockerfile(form: DockerfileForm) -> str:
    """The Dockerfile. Raises ValueError for a value that would not be one instruction."""
    lines = [f"FROM {_word(form.image)}", ""]
    if form.lang_env:
        lines += [
            f"ENV LC_ALL {_word(form.lang_env)}",
            f"ENV LANG {_word(form.lang_env)}",
            f"ENV LANGUAGE {_word(form.lang_env)}",
        ]
    if form.shell:
        lines.append(f"ENV SHELL {_word(form.shell)}")
    lines += [f"ENV {name}={json.dumps(value, ensure_ascii=False)}" for name, value in _pairs(form.env)]
    lines += [f'ENV PATH="$PATH:{_line(path)}"' for path in form.path or ()]
    if form.workdir or form.workdir_path:
        lines.append(f"WORKDIR {_line(form.workdir or form.workdir_path or '')}")
    lines += [_copy(item) for item in _listed(form.copy_)]
    lines += [f"RUN {_line(command)}" for command in form.run]
    lines += [_copy(item) for item in _listed(form.post_run_copy)]
    lines += _user(form)
    return "\n".join(lines).rstrip() + "\n"


def _user(form: DockerfileForm) -> list[str]:
    if form.uid is None or form.gid is None:
        return []
    user, group = _word(form.username or "tieline"), _word(form.groupname or form.username or "tieline")
    return [
        f"RUN groupadd -g {form.gid} -r {group} && useradd -r -m -g {group} --uid={form.uid} {user}",
        f"USER {form.uid}",
    ]


def _pairs(env: Any) -> list[tuple[str, str]]:
    if env is None:
        return []
    if isinstance(env, dict):
        return [(_word(name), _line(value)) for name, value in env.items()]
    pairs = []
    for item in env if isinstance(env, list) else [env]:
        if not isinstance(item, (list, tuple)) or len(item) != 2:
            raise ValueError("env takes a mapping or [name, value] pairs")
        pairs.append((_word(item[0]), _line(item[1])))
    return pairs


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _copy(item: Any) -> str:
    pair = item if isinstance(item, (list, tuple)) else [item, item]
    if len(pair) != 2:
        raise ValueError("copy takes paths or [from, to] pairs")
    return f"COPY {json.dumps([_line(pair[0]), _line(pair[1])], ensure_ascii=False)}"


def _line(value: Any) -> str:
    text = str(value)
    if "\n" in text or "\r" in text:
        raise ValueError(f"{text.splitlines()[0]!r}… has a line break, which would begin another instruction")
    return text


def _word(value: Any) -> str:
    text = _line(value)
    if not text or any(letter.isspace() for letter in text):
        raise ValueError(f"{text!r} must be one word")
    return text
