"""The nouns ``secrets`` and ``configmaps``: what is kept in Tieline's home for the catalog's connections.

A secret's value comes from a hidden prompt, from stdin or from a file. Never from the command line itself, which every
user of the machine can read in the list of processes, and which the shell keeps in its history.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tieline.cli.layout import ago
from tieline.cli.lazy import Entry, LazyGroup
from tieline.cli.options import output_option
from tieline.cli.terminal import is_terminal, out, out_json, printable, say

if TYPE_CHECKING:
    from tieline.secrets.keeping import Keeper, Kept
    from tieline.secrets.names import Resource
    from tieline.secrets.secret import Secret

Command = TypeVar("Command", bound=Callable[..., Any])

secrets = LazyGroup(
    "secrets",
    "The secrets in Tieline's home. A value is never shown. `tieline secrets` alone lists names, keys and dates.",
    {
        "list": Entry("secrets:list_secrets", "List secrets: names, keys, and when each was set."),
        "set": Entry("secrets:set_secret", "Set keys of a secret: from a prompt, stdin or files."),
        "rm": Entry("secrets:rm_secret", "Remove keys of a secret, or all of it."),
    },
    default="list",
)
configmaps = LazyGroup(
    "configmaps",
    "The config maps in Tieline's home: like secrets, but not secret. `tieline configmaps` alone lists them.",
    {
        "list": Entry("secrets:list_config_maps", "List config maps: names, keys, and when each was set."),
        "show": Entry("secrets:show_config_map", "Show the values of a config map."),
        "set": Entry("secrets:set_config_map", "Set keys of a config map."),
        "rm": Entry("secrets:rm_config_map", "Remove keys of a config map, or all of it."),
    },
    default="list",
)


def _proposed(resource: Resource) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    def propose(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            kept = _keeper(resource).list(ctx.params.get("namespace") or "default")
        except Exception:
            return []  # a shell has no place for an error
        return [CompletionItem(item.name) for item in kept if item.name.startswith(incomplete)]

    return propose


def _name_argument(resource: Resource, *, required: bool = True) -> Callable[[Command], Command]:
    return click.argument("name", required=required, shell_complete=_proposed(resource))


namespace_option = click.option(
    "--namespace", "-n", default="default", metavar="NAME", help="The namespace. Default: default."
)
any_namespace_option = click.option(
    "--namespace", "-n", metavar="NAME", help="Only this namespace. Default: all of them."
)
file_option = click.option(
    "--from-file", "files", multiple=True, metavar="[KEY=]PATH",
    help="The value is this file's content, byte by byte. Without KEY=: the file's name is the key. Repeat.",
)  # fmt: skip
stdin_option = click.option("--stdin", is_flag=True, help="The value of the one KEY is all of stdin, byte by byte.")


# --- secrets


@click.command("set", short_help="Set keys of a secret: from a prompt, stdin or files.")
@_name_argument("secret")
@click.argument("keys", nargs=-1, metavar="[KEY]…")
@file_option
@stdin_option
@namespace_option
@output_option
def set_secret(
    name: str, keys: tuple[str, ...], files: tuple[str, ...], stdin: bool, namespace: str, output: str
) -> None:
    """Set keys of a secret; its other keys stay. The value of every KEY is asked for, twice and hidden; or it is read
    from stdin or a file, as it is, with a newline at its end if it has one.

    \b
    tieline secrets set warehouse username password
    gpg -d token.gpg | tieline secrets set gitlab token --stdin
    tieline secrets set deploy-key --from-file id_ed25519=$HOME/.ssh/deploy
    """
    if any("=" in key for key in keys):
        raise click.UsageError(
            "a value on the command line can be read by every user of this machine, and stays in the shell's history; "
            f"type `tieline secrets set {name} KEY`, and the value is asked for (or use --stdin, --from-file). "
            "If that was a real value, change it where it came from"
        )
    _keeper("secret").check(namespace, name, keys)  # before somebody types a value for nothing
    _set("secret", namespace, name, _values(keys, files, stdin=stdin, ask=_hidden), output)


@click.command("list", short_help="List secrets: names, keys, and when each was set.")
@_name_argument("secret", required=False)
@any_namespace_option
@output_option
def list_secrets(name: str | None, namespace: str | None, output: str) -> None:
    """List the secrets in Tieline's home, or the keys of one. Their values are never shown.

    \b
    tieline secrets list warehouse
    """
    _list("secret", namespace, name, output)


@click.command("rm", short_help="Remove keys of a secret, or all of it.")
@_name_argument("secret")
@click.argument("keys", nargs=-1, metavar="[KEY]…")
@namespace_option
@output_option
def rm_secret(name: str, keys: tuple[str, ...], namespace: str, output: str) -> None:
    """Remove these keys of a secret, or all of it.

    \b
    tieline secrets rm warehouse password
    """
    _rm("secret", namespace, name, keys, output)


# --- config maps


@click.command("set", short_help="Set keys of a config map.")
@_name_argument("configMap")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]…")
@file_option
@stdin_option
@namespace_option
@output_option
def set_config_map(
    name: str, pairs: tuple[str, ...], files: tuple[str, ...], stdin: bool, namespace: str, output: str
) -> None:
    """Set keys of a config map; its other keys stay. What is secret belongs into `tieline secrets set`.

    \b
    tieline configmaps set warehouse-place host=db.example.org port=5432
    tieline configmaps set ca --from-file ca.pem=/etc/ssl/ours.pem
    """
    from tieline.secrets.secret import Secret

    given = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    asked = [pair for pair in pairs if "=" not in pair]
    _keeper("configMap").check(namespace, name, [*given, *asked])
    found = _values(asked, files, stdin=stdin, ask=_shown, beside=bool(given))
    _set("configMap", namespace, name, {**{key: Secret(value) for key, value in given.items()}, **found}, output)


@click.command("list", short_help="List config maps: names, keys, and when each was set.")
@_name_argument("configMap", required=False)
@any_namespace_option
@output_option
def list_config_maps(name: str | None, namespace: str | None, output: str) -> None:
    """List the config maps in Tieline's home, or the keys of one.

    \b
    tieline configmaps list
    """
    _list("configMap", namespace, name, output)


@click.command("show", short_help="Show the values of a config map.")
@_name_argument("configMap")
@click.argument("key", required=False)
@namespace_option
@output_option
def show_config_map(name: str, key: str | None, namespace: str, output: str) -> None:
    """Show the values of a config map; that of one KEY as it is.

    \b
    tieline configmaps show ca ca.pem > ca.pem
    """
    from tieline.app.home import HomeFolder
    from tieline.app.secrets import config_map
    from tieline.cli.tables import show_table

    found = config_map(HomeFolder.find(), namespace, name, key)
    if output == "json":
        out_json({"namespace": namespace, "name": name, **_data(found)})
    elif key is not None:
        sys.stdout.flush()
        sys.stdout.buffer.write(found[key])
    else:
        show_table(("key", "value"), [(item, value.decode(errors="replace")) for item, value in found.items()])


@click.command("rm", short_help="Remove keys of a config map, or all of it.")
@_name_argument("configMap")
@click.argument("keys", nargs=-1, metavar="[KEY]…")
@namespace_option
@output_option
def rm_config_map(name: str, keys: tuple[str, ...], namespace: str, output: str) -> None:
    """Remove these keys of a config map, or all of it.

    \b
    tieline configmaps rm warehouse-place port
    """
    _rm("configMap", namespace, name, keys, output)


def _data(found: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    """As Kubernetes has it: text, and what is no text in base64."""
    texts, binary = {}, {}
    for key, value in found.items():
        try:
            texts[key] = value.decode()
        except UnicodeDecodeError:
            binary[key] = base64.b64encode(value).decode()
    return {"data": texts, "binaryData": binary}


# --- both


def _keeper(resource: Resource) -> Keeper:
    from tieline.app.home import HomeFolder
    from tieline.app.secrets import keeper

    return keeper(HomeFolder.find(), resource)


def _values(
    keys: Sequence[str], files: Iterable[str], *, stdin: bool, ask: Callable[[str], str], beside: bool = False
) -> dict[str, Secret]:
    """All values, before any of them is kept."""
    from tieline.secrets.secret import Secret

    read = _from_files(files)
    twice = [key for number, key in enumerate(keys) if key in read or key in keys[:number]]
    if twice:
        raise click.UsageError(f"{twice[0]!r} is given twice")
    if stdin and len(keys) != 1:
        raise click.UsageError("--stdin is the value of one KEY: name just one")
    if stdin:
        return {**read, keys[0]: Secret(_from_stdin(keys[0]))}
    if not (keys or read or beside):
        raise click.UsageError("name a KEY, or use --from-file KEY=PATH")
    if keys and not is_terminal(sys.stdin):
        raise click.UsageError("there is no terminal to ask at; use --stdin or --from-file")
    return {**read, **{key: Secret(ask(key).encode("utf-8", "surrogateescape")) for key in keys}}


def _hidden(key: str) -> str:
    value: str = click.prompt(
        f"value of {printable(key)}", hide_input=True, confirmation_prompt="the same again", err=True
    )
    return value


def _shown(key: str) -> str:
    value: str = click.prompt(f"value of {printable(key)}", err=True)
    return value


def _from_stdin(key: str) -> bytes:
    from tieline.secrets.private import LARGEST

    value = sys.stdin.buffer.read(LARGEST + 1)
    if value.endswith(b"\n") and value.count(b"\n") == 1:
        say(f"note: the value of {printable(key)} ends with a newline, and is kept so; `printf %s …` writes none")
    return value


def _from_files(files: Iterable[str]) -> dict[str, Secret]:
    from tieline.errors import Code, NotFound, Place
    from tieline.secrets.private import LARGEST
    from tieline.secrets.secret import Secret

    found: dict[str, Secret] = {}
    for item in files:
        key, equals, place = item.partition("=")
        path = Path(place if equals else item)
        name = key if equals else path.name
        if name in found:
            raise click.UsageError(f"{name!r} is given twice")
        try:
            with path.open("rb") as stream:
                found[name] = Secret(stream.read(LARGEST + 1))
        except OSError as error:
            raise NotFound.of(
                Code.FILE_UNREADABLE, f"cannot be read: {error.strerror}", "check the path", Place(str(path))
            ) from None
    return found


def _set(resource: Resource, namespace: str, name: str, values: Mapping[str, Secret], output: str) -> None:
    _keeper(resource).set(namespace, name, values)
    keys = sorted(values)
    if output == "json":
        out_json({"namespace": namespace, "name": name, "set": keys})
    else:
        out(f"{_words(resource, namespace, name)}: {', '.join(keys)} set")


def _list(resource: Resource, namespace: str | None, name: str | None, output: str) -> None:
    from tieline.cli.tables import show_table
    from tieline.errors import Code, NotFound, did_you_mean
    from tieline.secrets.names import WORDS

    everything = _keeper(resource).list(namespace)
    found = [kept for kept in everything if name in (None, kept.name)]
    if name is not None and not found:
        hint = did_you_mean(name, [kept.name for kept in everything], "`list` without a name shows what there is")
        raise NotFound.of(Code.SECRET_MISSING, f"there is no {WORDS[resource]} {name!r} in Tieline's home", hint)
    if output == "json":
        out_json([_kept_json(kept) for kept in found])
    elif found:
        show_table(
            ("namespace", "name", "key", "set"),
            [(kept.namespace, kept.name, key.name, ago(key.changed)) for kept in found for key in kept.keys],
        )
    else:
        say(f"no {WORDS[resource]} is kept in Tieline's home")


def _kept_json(kept: Kept) -> dict[str, Any]:
    keys = [{"key": key.name, "setAt": key.changed.isoformat(timespec="seconds")} for key in kept.keys]
    return {"namespace": kept.namespace, "name": kept.name, "keys": keys}


def _rm(resource: Resource, namespace: str, name: str, keys: Sequence[str], output: str) -> None:
    _keeper(resource).remove(namespace, name, keys)
    if output == "json":
        out_json({"namespace": namespace, "name": name, "removed": list(keys) or None})
    else:
        out(f"{_words(resource, namespace, name)}: {', '.join(keys) + ' ' if keys else ''}removed")


def _words(resource: Resource, namespace: str, name: str) -> str:
    from tieline.secrets.names import WORDS

    return printable(f"{WORDS[resource]} {name}" + ("" if namespace == "default" else f" of {namespace}"))
