"""Checkouts with the real git program from real repositories."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tieline.engines.kubernetes.inside.steps import trust_folders
from tieline.errors import Code, StepFailed
from tieline.git.checkout import Checked, checkout
from tieline.model.access import GitRemote

BARE = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
WHO = {f"GIT_{role}_{what}": "t@t" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on, or changes, the configuration of whoever runs it."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


class Repo:
    """A repository to clone from."""

    def __init__(self, path: Path, *, branch: str = "main", object_format: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", f"--initial-branch={branch}", f"--object-format={object_format}")

    def git(self, *args: str) -> str:
        env = {**os.environ, **BARE, **WHO}
        done = subprocess.run(["git", *args], cwd=self.path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        for name, content in files.items():
            path = self.path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", f"with {sorted(files)}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """main: one, two, three (tag v1 annotated on two, light on three); dev: one, other."""
    repo = Repo(tmp_path / "origin")
    repo.commit(one="1")
    repo.git("branch", "dev")
    repo.commit(two="2", deep__a__x="x", deep__b__y="y", other__z="z")
    repo.git("tag", "-a", "v1", "-m", "first")
    repo.commit(three="3")
    repo.git("tag", "light")
    repo.git("checkout", "--quiet", "dev")
    repo.commit(other="o")
    repo.git("update-ref", "refs/pull/7/head", "dev~1")
    repo.git("checkout", "--quiet", "main")
    return repo


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "run" / "code"


def get(repo: Repo | str, target: Path, revision: str | None = None, **more: object) -> Checked:
    url = repo if isinstance(repo, str) else str(repo.path)
    return checkout(GitRemote(url=url, revision=revision, **more), target)  # type: ignore[arg-type]


def refused(code: Code, action: Callable[[], object], match: str | None = None) -> str:
    with pytest.raises(StepFailed, match=match) as caught:
        action()
    assert caught.value.code == code, caught.value
    return str(caught.value)


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and ".git" not in p.parts}


def here(target: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=target, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("revision", "of", "ref"),
    [
        (None, "main", "refs/heads/main"),
        ("HEAD", "main", "refs/heads/main"),
        ("main", "main", "refs/heads/main"),
        ("dev", "dev", "refs/heads/dev"),
        ("v1", "main~1", "refs/tags/v1"),
        ("light", "main", "refs/tags/light"),
        ("refs/heads/dev", "dev", "refs/heads/dev"),
        ("refs/tags/v1", "main~1", "refs/tags/v1"),
        ("heads/dev", "dev", "refs/heads/dev"),
        ("refs/pull/7/head", "dev~1", "refs/pull/7/head"),
        ("pull/7/head", "dev~1", "refs/pull/7/head"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--depth 1",), ("--single-branch", "--no-tags"), ("--experimental-fetch",)])
def test_a_name_is_exactly_that_commit(
    repo: Repo, target: Path, revision: str | None, of: str, ref: str, flags: tuple[str, ...]
) -> None:
    checked = get(repo, target, revision, flags=flags)

    assert checked.commit == repo.git("rev-parse", of) == here(target, "rev-parse", "HEAD")
    assert checked.ref == ref
    assert here(target, "status", "--porcelain") == ""
    branch = here(target, "branch", "--show-current")
    assert branch == (ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else "")
    assert [p.name for p in target.parent.iterdir()] == ["code"]


@pytest.mark.parametrize("flags", [(), ("--depth=1",), ("--single-branch",)])
@pytest.mark.parametrize("length", [40, 8])
@pytest.mark.parametrize("of", ["main~2", "dev", "main"])
def test_a_commit_by_its_id(repo: Repo, target: Path, of: str, length: int, flags: tuple[str, ...]) -> None:
    commit = repo.git("rev-parse", of)
    assert get(repo, target, commit[:length], flags=flags).commit == commit
    assert here(target, "rev-parse", "HEAD") == commit


@pytest.mark.parametrize("flags", [(), ("--depth=1",)])
def test_a_commit_by_its_id_where_the_server_gives_only_what_it_advertises(
    repo: Repo, target: Path, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.version")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "0")
    commit = repo.git("rev-parse", "main~2")
    assert get(repo, target, commit, flags=flags).commit == commit
    assert files(target) == {"one"}


def test_a_commit_that_no_branch_reaches(repo: Repo, target: Path) -> None:
    repo.git("checkout", "--quiet", "--detach")
    commit = repo.commit(lost="l")
    repo.git("checkout", "--quiet", "main")
    assert get(repo, target, commit).commit == commit


def test_the_id_of_a_tag_object_is_its_commit(repo: Repo, target: Path) -> None:
    tag = repo.git("rev-parse", "v1")
    assert get(repo, target, tag).commit == repo.git("rev-parse", "v1^{commit}")


def test_what_git_describe_says_is_a_revision(repo: Repo, target: Path, tmp_path: Path) -> None:
    repo.commit(four="4")
    repo.git("tag", "-d", "light")
    first = get(repo, target)
    assert first.describe.startswith("v1-2-g")
    assert get(repo, tmp_path / "again", first.describe).commit == first.commit


def test_the_id_of_a_tree_is_no_revision(repo: Repo, target: Path) -> None:
    tree = repo.git("rev-parse", "main^{tree}")
    refused(Code.REVISION_MISSING, lambda: get(repo, target, tree), "is not a commit")
    assert not target.exists()


@pytest.mark.parametrize("flags", [(), ("--depth=1",)])
@pytest.mark.parametrize(
    ("revision", "near"),
    [
        ("mian", "did you mean 'main'"),
        ("origin/dev", "did you mean 'dev'"),
        ("v1.0", "did you mean 'v1'"),
        ("no-such-thing-at-all", "it has .*dev"),
        ("0" * 40, ""),
        ("fffffff", ""),
        ("Main", "did you mean 'main'"),
    ],
)
def test_a_missing_revision_is_an_error_and_never_the_default_branch(
    repo: Repo, target: Path, revision: str, near: str, flags: tuple[str, ...]
) -> None:
    refused(Code.REVISION_MISSING, lambda: get(repo, target, revision, flags=flags), f"{revision}' is not in .*{near}")
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("revision", ["-x", "--upload-pack=touch x", "main~1", "a..b", "main@{1}", "a b", "", "x\n"])
def test_what_is_no_name_is_refused(repo: Repo, target: Path, revision: str) -> None:
    refused(Code.REVISION_MISSING, lambda: get(repo, target, revision), "revision")
    assert not target.parent.exists()


def test_a_name_that_is_a_branch_and_a_tag(repo: Repo, target: Path) -> None:
    repo.git("tag", "dev", "main")
    refused(Code.REVISION_MISSING, lambda: get(repo, target, "dev"), "ambiguous.*write refs/heads/dev or refs/tags/dev")
    assert get(repo, target, "refs/tags/dev").commit == repo.git("rev-parse", "main")


def test_a_branch_that_is_called_like_a_commit_does_not_take_its_place(repo: Repo, target: Path) -> None:
    commit = repo.git("rev-parse", "main~2")
    repo.git("update-ref", f"refs/heads/{commit}", "dev")
    assert get(repo, target, commit).commit == commit


def test_a_short_id_of_several_commits_names_them(repo: Repo, target: Path) -> None:
    seen: dict[str, str] = {}
    tree = repo.git("rev-parse", "main^{tree}")
    prefix = ""
    for number in range(2000):  # 4 hex digits: a pair is sure long before the end
        commit = repo.git("commit-tree", tree, "-m", str(number))
        repo.git("update-ref", f"refs/heads/b/{number}", commit)
        if commit[:4] in seen:
            prefix = commit[:4]
            break
        seen[commit[:4]] = commit
    message = refused(Code.REVISION_MISSING, lambda: get(repo, target, prefix), "ambiguous")
    assert commit[:16] in message
    assert seen[prefix][:16] in message


def test_an_empty_repository(tmp_path: Path, target: Path) -> None:
    empty = Repo(tmp_path / "empty")
    refused(Code.REVISION_MISSING, lambda: get(empty, target), "is empty; push a commit")
    refused(Code.REVISION_MISSING, lambda: get(empty, target, "main"), "is empty")
    assert list(target.parent.iterdir()) == []


def test_a_default_branch_without_a_commit(tmp_path: Path, target: Path) -> None:
    repo = Repo(tmp_path / "r")
    repo.commit(a="a")
    repo.git("symbolic-ref", "HEAD", "refs/heads/unborn")
    refused(Code.REVISION_MISSING, lambda: get(repo, target), "default branch .* has no commit yet; .*main")


def test_a_detached_head(repo: Repo, target: Path) -> None:
    repo.git("checkout", "--quiet", "--detach", "main~1")
    checked = get(repo, target)
    assert (checked.commit, checked.ref) == (repo.git("rev-parse", "main~1"), "")


def test_a_repository_of_sha256(tmp_path: Path, target: Path) -> None:
    repo = Repo(tmp_path / "r", object_format="sha256")
    commit = repo.commit(a="a")
    assert len(commit) == 64
    assert get(repo, target, commit).commit == commit


def test_depth_and_what_comes_along(repo: Repo, tmp_path: Path) -> None:
    def history(name: str, **more: object) -> tuple[str, str, str]:
        get(repo, tmp_path / name, **more)
        folder = tmp_path / name
        tags, branches = here(folder, "tag"), here(folder, "for-each-ref", "--format=%(refname)", "refs/remotes")
        return here(folder, "rev-list", "--count", "HEAD"), " ".join(tags.split()), " ".join(branches.split())

    main, dev = "refs/remotes/origin/main", "refs/remotes/origin/dev"
    assert history("full") == ("3", "light v1", f"{dev} {main}")
    assert history("depth", depth=1) == ("1", "light", main)
    assert history("flag", depth=1, flags=("--depth", "2")) == ("2", "light v1", main)
    assert history("wide", flags=("--depth=1 --no-single-branch --no-tags",)) == ("1", "", f"{dev} {main}")
    assert history("single", flags=("--single-branch", "--no-tags")) == ("3", "", main)
    assert history("since", flags=("--shallow-since=2001-01-01",)) == ("3", "light v1", main)


def test_filter_and_sparse(repo: Repo, target: Path, tmp_path: Path) -> None:
    repo.git("config", "uploadpack.allowFilter", "true")
    get(repo, target, filter="blob:none", sparse=("deep/a/", "other"))
    assert files(target) == {"one", "two", "three", "deep/a/x", "other/z"}
    assert "?" in here(target, "rev-list", "--objects", "--all", "--missing=print")
    get(repo, tmp_path / "top", flags=("--sparse",))
    assert files(tmp_path / "top") == {"one", "two", "three"}


def test_a_sparse_path_that_is_not_there(repo: Repo, tmp_path: Path) -> None:
    message = refused(Code.ARTIFACT_MISSING, lambda: get(repo, tmp_path / "a", sparse=("deep/aa",)), "not in the repo")
    assert "did you mean 'deep/a'?" in message
    refused(Code.ARTIFACT_MISSING, lambda: get(repo, tmp_path / "b", sparse=("one",)), "is a file")
    refused(Code.UNSAFE_PATH, lambda: get(repo, tmp_path / "c", sparse=("../x",)))
    refused(Code.UNSAFE_PATH, lambda: get(repo, tmp_path / "d", sparse=("--stdin",)))


def with_submodule(tmp_path: Path) -> Repo:
    inner, library = Repo(tmp_path / "inner"), Repo(tmp_path / "library")
    inner.commit(deepest="d")
    library.commit(lib="l")
    library.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.path), "inner")
    library.commit()
    above = Repo(tmp_path / "above")
    above.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", "lib")
    above.commit(app="a")
    return above


@pytest.mark.parametrize("how", [{"submodules": True}, {"flags": ("--recurse-submodules",)}])
def test_submodules_of_a_local_repository(tmp_path: Path, target: Path, how: dict[str, object]) -> None:
    get(with_submodule(tmp_path), target, **how)
    assert {"app", "lib/lib", "lib/inner/deepest"} <= files(target)
    assert here(target, "submodule", "status", "--recursive").count("\n") == 1
    assert not (target / "lib/.git").is_dir()


def test_submodules_stay_out_unless_asked_for(tmp_path: Path, target: Path) -> None:
    get(with_submodule(tmp_path), target)
    assert "lib/lib" not in files(target)


def test_a_submodule_that_cannot_be_had_fails_the_checkout(tmp_path: Path, target: Path) -> None:
    above = with_submodule(tmp_path)
    (tmp_path / "inner").rename(tmp_path / "gone")
    refused(Code.CLONE_FAILED, lambda: get(above, target, submodules=True), "inner")
    assert list(target.parent.iterdir()) == []


def test_a_submodule_by_another_protocol_is_never_run(tmp_path: Path, target: Path) -> None:
    repo = Repo(tmp_path / "r")
    commit = repo.commit(a="a")
    repo.git("config", "-f", ".gitmodules", "submodule.x.path", "x")
    repo.git("config", "-f", ".gitmodules", "submodule.x.url", f"ext::touch {tmp_path}/pwned")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},x")
    repo.git("add", ".gitmodules")
    repo.git("commit", "--quiet", "-m", "bad")
    refused(Code.CLONE_FAILED, lambda: get(repo, target, submodules=True))
    assert not (tmp_path / "pwned").exists()


def test_lfs_without_its_program_says_so(repo: Repo, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = target.parent.parent / "bin"
    tools.mkdir()
    for name in ("git", "sh"):
        found = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    refused(Code.PROGRAM_MISSING, lambda: get(repo, target, lfs=True), "git-lfs")
    monkeypatch.setenv("PATH", str(target.parent))
    refused(Code.PROGRAM_MISSING, lambda: get(repo, target), "git is not on this machine")


def test_lfs_files_come_only_when_asked_for(tmp_path: Path, target: Path) -> None:
    if subprocess.run(["git", "lfs", "version"], capture_output=True, check=False).returncode:
        pytest.skip("the program git-lfs is not on this machine")
    repo = Repo(tmp_path / "r")
    repo.git("lfs", "install", "--local")
    repo.git("lfs", "track", "*.bin")
    (repo.path / "big.bin").write_bytes(b"\0" * 1000)
    repo.commit()
    url = f"file://{repo.path}"
    get(url, target, lfs=True)
    assert (target / "big.bin").read_bytes() == b"\0" * 1000
    assert here(target, "status", "--porcelain") == ""
    (tmp_path / "home/.gitconfig").write_text(
        '[filter "lfs"]\nclean = git-lfs clean -- %f\nsmudge = git-lfs smudge -- %f\n'
        "process = git-lfs filter-process\nrequired = true\n"
    )
    get(url, tmp_path / "pointers")
    assert (tmp_path / "pointers/big.bin").read_text().startswith("version https://git-lfs")


@pytest.mark.parametrize("name", ["a; touch x", "$(touch x)", "sp ace", "naïve-日本", "a:b", "--upload-pack=x", "%41"])
def test_a_path_is_a_path(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = Repo(tmp_path / name)
    source.commit(a="a")
    before = set(tmp_path.iterdir())
    target = tmp_path / "out" / name
    get(source, target)
    assert files(target) == {"a"}
    assert set(tmp_path.iterdir()) == before | {tmp_path / "out"}


def test_a_file_url(repo: Repo, target: Path) -> None:
    assert get(f"file://{repo.path}", target, "v1", depth=1).ref == "refs/tags/v1"


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("-u/tmp/x", "is not the address"),
        ("--upload-pack=touch x", "is not the address"),
        ("", "is not the address"),
        ("ext::sh -c touch% x", "kind that is allowed"),
        ("fd::7", "kind that is allowed"),
        ("ftp://host/x", "kind that is allowed"),
        ("relative/path", "is a relative path"),
        ("https://user:hunter2@host/x.git", "has a password in it"),
    ],
)
def test_addresses_that_are_refused(target: Path, url: str, match: str) -> None:
    message = refused(Code.CLONE_FAILED, lambda: get(url, target), match)
    assert "hunter2" not in message
    assert not target.parent.exists()


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (("--upload-pack=touch x",), "names a program"),
        (("-u", "x"), "names a program"),
        (("-utouch",), "names a program"),
        (("--config=core.sshCommand=x",), "configuration"),
        (("-c core.sshCommand=x",), "configuration"),
        (("--template=/x",), "hooks"),
        (("--separate-git-dir=/x",), "elsewhere"),
        (("-o", "up"), "origin"),
        (("--branch=x",), "write it as revision"),
        (("--bare",), "no files"),
        (("--dept=1",), "did you mean '--depth'"),
        (("--depth",), "needs a value"),
        (("--depth=0",), "whole number"),
        (("--depth", "one"), "whole number"),
        (("--no-tags=1",), "takes no value"),
        (("https://elsewhere/x",), "is not a flag"),
        (("--filter=--upload-pack=x",), "not a value"),
        (('--depth "1',), "cannot be read"),
    ],
)
def test_flags_that_are_refused(repo: Repo, target: Path, flags: tuple[str, ...], match: str) -> None:
    refused(Code.CLONE_FAILED, lambda: get(repo, target, flags=flags), match)
    assert not target.exists()


def test_a_target_that_is_in_use_is_left_alone(repo: Repo, target: Path, tmp_path: Path) -> None:
    target.mkdir(parents=True)
    get(repo, target)
    refused(Code.CLONE_FAILED, lambda: get(repo, target), "is not empty")
    (tmp_path / "file").write_text("mine")
    refused(Code.CLONE_FAILED, lambda: get(repo, tmp_path / "file"), "is not empty")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused(Code.CLONE_FAILED, lambda: get(repo, tmp_path / "link"), "is not empty")
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_no_repository(tmp_path: Path, target: Path) -> None:
    (tmp_path / "folder").mkdir()
    message = refused(Code.CLONE_FAILED, lambda: get(str(tmp_path / "folder"), target), "does not appear to be a git")
    assert "check the url" in message
    refused(Code.CLONE_FAILED, lambda: get(str(tmp_path / "nothing"), target), "nothing")
    refused(Code.CLONE_FAILED, lambda: get("https://127.0.0.1:1/x.git", target), "check the network")
    refused(Code.CLONE_FAILED, lambda: get("ssh://127.0.0.1:1/x.git", target))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository away")
def test_a_repository_of_somebody_else_says_how_to_trust_it(repo: Repo, target: Path) -> None:
    for path in (repo.path, repo.path / ".git"):
        os.chown(path, 65534, 65534)
    message = refused(Code.CLONE_FAILED, lambda: get(repo, target), "dubious ownership")
    assert f"git config --global --add safe.directory {repo.path}" in message
    trust_folders(Path.home())  # as in a pod, where nobody can type that
    get(repo, target)
    assert (target / ".git").is_dir()


def test_hooks_templates_and_line_endings_of_the_user_have_no_part(repo: Repo, target: Path, tmp_path: Path) -> None:
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / "home/.gitconfig").write_text(
        f"[init]\ntemplateDir={hooks.parent}\n[core]\nhooksPath={hooks}\nautocrlf=true\n"
        "[fetch]\nprune=true\n[checkout]\ndefaultRemote=x\n[clone]\ndefaultRemoteName=x\n"
    )
    repo.commit(lines="a\nb\n")
    get(repo, target)
    assert not (tmp_path / "ran").exists()
    assert not (target / ".git/hooks").exists()
    assert (target / "lines").read_bytes() == b"a\nb\n"


def test_the_users_own_insteadof_works(repo: Repo, target: Path, tmp_path: Path) -> None:
    (tmp_path / "home/.gitconfig").write_text(f'[url "{repo.path.parent}/"]\ninsteadOf=https://git.example/\n')
    assert get("https://git.example/origin", target).ref == "refs/heads/main"


def test_the_environment_of_a_hook_does_not_reach_git(
    repo: Repo, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repo(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    checked = get(repo, target)
    monkeypatch.undo()
    assert checked.commit == repo.git("rev-parse", "main")
    assert "one" in files(target)
    assert files(other.path) == set()


SLOW_SSH = """#!/bin/sh
echo $$ >> {pids}
sleep 300 &
echo $! >> {pids}
wait
"""


def slow_ssh(tmp_path: Path) -> tuple[dict[str, str], Path]:
    pids = tmp_path / "pids"
    (tmp_path / "ssh").write_text(SLOW_SSH.format(pids=pids))
    (tmp_path / "ssh").chmod(0o755)
    return {"GIT_SSH_COMMAND": str(tmp_path / "ssh"), "GIT_SSH_VARIANT": "simple"}, pids


def gone(pid: str) -> bool:
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True


def assert_all_gone(pids: Path) -> None:
    until = time.monotonic() + 20
    while not all(map(gone, pids.read_text().split())):
        assert time.monotonic() < until, "something that git started is still there"
        time.sleep(0.02)


def test_cancelling_ends_git_and_all_that_it_started(tmp_path: Path, target: Path) -> None:
    env, pids = slow_ssh(tmp_path)
    cancel = threading.Event()

    def when_under_way() -> None:
        while not pids.exists() or len(pids.read_text().split()) < 2:
            time.sleep(0.02)
        cancel.set()

    watcher = threading.Thread(target=when_under_way)
    watcher.start()
    remote = GitRemote(url="ssh://host/x.git")
    refused(Code.STOPPED, lambda: checkout(remote, target, cancel=cancel, env=env), "stopped during git ls-remote")
    watcher.join()
    assert_all_gone(pids)
    assert list(target.parent.iterdir()) == []
    refused(Code.STOPPED, lambda: checkout(remote, target, cancel=cancel, env=env))


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path, target: Path) -> None:
    env, pids = slow_ssh(tmp_path)
    remote = GitRemote(url="ssh://host/x.git")
    refused(Code.CLONE_FAILED, lambda: checkout(remote, target, timeout=1.0, env=env), "more than 1 seconds")
    if pids.exists():
        assert_all_gone(pids)


def test_a_checkout_that_is_killed_leaves_no_target(repo: Repo, target: Path, tmp_path: Path) -> None:
    """Wherever it dies, the target is not there or is whole."""
    script = (
        "import sys; from pathlib import Path; from tieline.git.checkout import checkout\n"
        "from tieline.model.access import GitRemote\n"
        "print('go', flush=True); checkout(GitRemote(url=sys.argv[1]), Path(sys.argv[2]))\n"
    )
    for number in range(4):
        place = tmp_path / f"k{number}" / "code"
        child = subprocess.Popen(
            [sys.executable, "-c", script, str(repo.path), str(place)], stdout=subprocess.PIPE, text=True
        )
        with child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.03 * number)  # wherever that is
            child.kill()
        if place.exists():
            assert here(place, "status", "--porcelain") == ""
            assert files(place) >= {"one", "two", "three"}


def test_no_message_has_credentials_in_it(tmp_path: Path, target: Path) -> None:
    said = "fatal: unable to access 'https://u:hunter2@127.0.0.1:1/x?token=hunter2': refused"
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "git").write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 128\n')
    (fake / "git").chmod(0o755)
    os.environ["PATH"], path = f"{fake}:{os.environ['PATH']}", os.environ["PATH"]
    try:
        message = refused(Code.CLONE_FAILED, lambda: get("https://127.0.0.1:1/x", target), "refused")
    finally:
        os.environ["PATH"] = path
    assert "hunter2" not in message
