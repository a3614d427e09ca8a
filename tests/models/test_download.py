"""Pulling a checkpoint from a hub that works, and from one that does not."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import close_session, snapshot_download
from loopback_hub import LoopbackHub, git_sha1, sha256

from moss_cli.errors import ModelError, OutputError, UsageError
from moss_cli.models.download import Pulled, pull
from moss_cli.models.hub import cached
from moss_cli.models.hub_file import Damage

WEIGHTS = bytes(range(256)) * 2000  # 512 kB: what is kept apart
MORE = bytes(reversed(range(256))) * 1000
FILES = {
    "config.json": b'{"model_type": "moss_audio"}',
    "model-1.safetensors": WEIGHTS,
    "model-2.safetensors": MORE,
    "model.safetensors.index.json": b'{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}',
    "merges.txt": b"a b\n",
    "modeling.py": b"import os\n",
    "pytorch_model.bin": b"pickle",
    "onnx/config.json": b"{}",
}
WANTED = {name: content for name, content in FILES.items() if name.endswith(("json", "safetensors", "txt"))}
del WANTED["onnx/config.json"]
SIZE = sum(map(len, WANTED.values()))
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WITHOUT_HASH = b'{"id": "a/b", "sha": "%b", "siblings": [{"rfilename": "config.json"}]}' % COMMIT.encode()


class Reports:
    """What a pull tells, and how long it would have waited."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.notes: list[str] = []
        self.waits: list[float] = []

    def __call__(self, hub_id: str = "a/b", revision: str | None = None, **more: Any) -> Pulled:
        return pull(
            hub_id,
            revision,
            tell=lambda *one: self.told.append(one),
            note=self.notes.append,
            pause=self.waits.append,
            **more,
        )


@pytest.fixture
def pulled() -> Reports:
    return Reports()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def root(cache: Path) -> Path:
    return cache / "models--a--b"


def nothing_looks_whole(cache: Path, commit: str) -> bool:
    return cached("a/b", commit) is None and cached("a/b", None) is None


def test_data_files_are_pulled_and_nothing_that_runs(hub: LoopbackHub, cache: Path, pulled: Reports) -> None:
    commit = hub.add("a/b", FILES)
    one = pulled()
    assert one.folder == root(cache) / "snapshots" / commit
    assert contents(one.folder) == WANTED
    assert (one.n_fetched, one.mended, one.unasked) == (SIZE, (), None)
    assert cached("a/b", None) == cached("a/b", commit) == one.folder
    assert (pulled.told[0], pulled.told[-1]) == (("downloading", 0, SIZE), ("downloading", SIZE, SIZE))
    assert (pulled.notes, pulled.waits) == ([], [])


def test_the_library_and_moss_share_what_they_pulled(hub: LoopbackHub, cache: Path, pulled: Reports) -> None:
    commit = hub.add("a/b", FILES)
    patterns = list(WANTED)
    theirs = snapshot_download("a/b", cache_dir=cache, endpoint=hub.url, allow_patterns=patterns)
    before = len(hub.requests)
    one = pulled()
    assert (one.folder, one.n_fetched) == (Path(theirs), 0)
    assert [request.name for request in hub.requests[before:]] == [""]
    shutil.rmtree(cache)
    pulled(revision=commit)
    n_requests = len(hub.requests)
    assert snapshot_download("a/b", revision=commit, cache_dir=cache, endpoint=hub.url, allow_patterns=patterns) == str(
        one.folder
    )
    assert not [request for request in hub.requests[n_requests:] if request.name]


def test_a_commit_that_was_pulled_is_compared_without_asking_the_hub(hub: LoopbackHub, pulled: Reports) -> None:
    commit = hub.add("a/b", FILES)
    pulled(revision=commit)
    n_requests = len(hub.requests)
    assert pulled(revision=commit).n_fetched == 0
    assert len(hub.requests) == n_requests
    assert pulled.told[-1] == ("checking", SIZE, SIZE)


def test_a_newer_version_brings_only_what_changed(hub: LoopbackHub, cache: Path, pulled: Reports) -> None:
    old = pulled_commit = hub.add("a/b", FILES)
    pulled()
    new = hub.add("a/b", FILES | {"config.json": b'{"new": 1}'})
    one = pulled()
    assert (one.folder.name, one.n_fetched) == (new, len(b'{"new": 1}'))
    assert cached("a/b", None) == one.folder
    assert cached("a/b", old) == root(cache) / "snapshots" / pulled_commit


def test_a_branch_or_tag_is_found_again_by_its_name(hub: LoopbackHub, pulled: Reports) -> None:
    commit = hub.add("a/b", FILES)
    hub.models["a/b"]["v1"] = hub.models["a/b"][commit]
    pulled(revision=commit)
    assert cached("a/b", None) is None
    pulled(revision="main")
    assert cached("a/b", "main") == cached("a/b", commit)


def test_a_download_goes_on_where_it_broke_off(hub: LoopbackHub, cache: Path, pulled: Reports) -> None:
    hub.add("a/b", FILES)
    hub.trouble("model-1.safetensors", cut_at=200_000)
    assert contents(pulled().folder) == WANTED
    assert [(one.start, one.n_sent) for one in hub.came("model-1.safetensors")] == [(0, 200_000), (200_000, 312_000)]
    assert pulled.waits == [1.0]
    [note] = pulled.notes
    assert note.startswith("127.0.0.1") and note.endswith("trying again in 1 s")


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(hub: LoopbackHub, cache: Path, pulled: Reports) -> None:
    commit = hub.add("a/b", FILES)
    hub.trouble("model-1.safetensors", cut_at=300_000)
    hub.trouble("model-1.safetensors", times=99, status=503)
    with pytest.raises(ModelError) as caught:
        pulled()
    assert caught.value.message.endswith(f"did not give a/b at {commit}: error 503 service unavailable")
    assert (caught.value.code, caught.value.exit_code) == ("fetch_failed", 5)
    assert caught.value.hint == "run the same command again later"
    assert nothing_looks_whole(cache, commit)
    hub.troubles.clear()
    one = pulled()
    assert contents(one.folder) == WANTED
    assert hub.came("model-1.safetensors")[-1].start == 300_000
    assert hub.n_sent("model-1.safetensors") == len(WEIGHTS)


def test_a_hub_that_knows_no_ranges_gives_the_whole_anew(hub: LoopbackHub, pulled: Reports) -> None:
    hub.add("a/b", FILES)
    hub.trouble("model-1.safetensors", cut_at=100_000)
    hub.trouble("model-1.safetensors", whole=True)
    assert contents(pulled().folder) == WANTED
    assert hub.n_sent("model-1.safetensors") == 100_000 + len(WEIGHTS)
    assert pulled.told[-1] == ("downloading", SIZE, SIZE)


@pytest.mark.parametrize("name", ["model-1.safetensors", "config.json"])
def test_a_file_with_other_bytes_than_its_hash_says_is_fetched_once_more(
    hub: LoopbackHub, pulled: Reports, name: str
) -> None:
    hub.add("a/b", FILES)
    hub.trouble(name, content=bytes(len(FILES[name])))
    assert contents(pulled().folder) == WANTED
    assert pulled.notes == [f"{name} came damaged; fetching it once more"]
    assert pulled.told[-1] == ("downloading", SIZE, SIZE)


@pytest.mark.parametrize("name", ["model-1.safetensors", "config.json"])
def test_a_file_that_stays_wrong_is_never_accepted(hub: LoopbackHub, cache: Path, pulled: Reports, name: str) -> None:
    commit = hub.add("a/b", FILES)
    hub.trouble(name, times=99, content=bytes(len(FILES[name])))
    with pytest.raises(ModelError) as caught:
        pulled()
    assert caught.value.message.endswith(f"gives a damaged {name}: it is not what its hash says")
    assert nothing_looks_whole(cache, commit)
    wrong = {sha256(bytes(len(FILES[name]))), git_sha1(bytes(len(FILES[name])))}
    assert not wrong & {path.name for path in (root(cache) / "blobs").iterdir()}
    digest = sha256(FILES[name]) if name.startswith("model") else git_sha1(FILES[name])
    assert not (root(cache) / "blobs" / digest).exists()
    assert not (root(cache) / "blobs" / f"{digest}.incomplete").exists()


def test_a_file_that_is_longer_than_announced_is_kept_up_to_its_length(hub: LoopbackHub, pulled: Reports) -> None:
    hub.add("a/b", FILES)
    hub.trouble("model-1.safetensors", content=WEIGHTS + b"more")
    assert contents(pulled().folder) == WANTED


def test_a_file_that_stays_shorter_than_announced_ends_the_pull(hub: LoopbackHub, cache: Path, pulled: Reports) -> None:
    commit = hub.add("a/b", FILES)
    hub.trouble("model-1.safetensors", times=99, content=WEIGHTS[:300_000])
    with pytest.raises(ModelError) as caught:
        pulled()
    assert caught.value.message.endswith("breaks off in model-1.safetensors")
    assert nothing_looks_whole(cache, commit)


def test_the_hub_is_given_the_time_it_asks_for(hub: LoopbackHub, pulled: Reports) -> None:
    hub.add("a/b", FILES)
    hub.trouble("", status=429, headers=(("Retry-After", "7"),))
    hub.trouble("model-1.safetensors", status=429, headers=(("Retry-After", "30"),))
    assert contents(pulled().folder) == WANTED
    assert pulled.waits == [7.0, 30.0]
    assert [note.partition(" ")[2] for note in pulled.notes] == [
        "has had too many requests from here; trying again in 7 s",
        "has had too many requests from here; trying again in 30 s",
    ]


def test_a_wait_that_is_too_long_is_left_to_the_user(hub: LoopbackHub, pulled: Reports) -> None:
    hub.add("a/b", FILES)
    hub.trouble("", status=429, headers=(("Retry-After", "3600"),))
    with pytest.raises(ModelError) as caught:
        pulled()
    assert (caught.value.hint, pulled.waits) == ("run the same command again in 3600 s", [])


def test_errors_that_pass_are_waited_for_longer_each_time(hub: LoopbackHub, pulled: Reports) -> None:
    hub.add("a/b", FILES)
    hub.trouble("model-1.safetensors", times=5, status=500)
    assert contents(pulled().folder) == WANTED
    assert pulled.waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert pulled.notes[-1].endswith("error 500 internal server error; trying again in 16 s")


@pytest.mark.parametrize(
    ("trouble", "message", "hint"),
    [
        (
            {"status": 401, "headers": (("X-Error-Message", "Invalid credentials in Authorization header"),)},
            "HOST does not accept the token",
            "set HF_TOKEN to one that is valid, or unset it",
        ),
        (
            {"status": 403, "code": "GatedRepo"},
            "a/b is open only to those who asked for it",
            "ask for access at https://HOST/a/b, set HF_TOKEN, and run the same command again",
        ),
        ({"status": 403}, "HOST does not let you have a/b", "set HF_TOKEN to a token that may read it"),
        (
            {"status": 404, "code": "RepoNotFound"},
            "HOST has no model a/b, or does not show it to you",
            "check the name; what is private needs HF_TOKEN",
        ),
        ({"status": 418}, "HOST did not give a/b: error 418 i'm a teapot", "run the same command again later"),
    ],
)
def test_what_the_hub_refuses_is_said_at_once(
    hub: LoopbackHub, pulled: Reports, trouble: dict[str, Any], message: str, hint: str
) -> None:
    hub.add("a/b", FILES)
    hub.trouble("", **trouble)
    with pytest.raises(ModelError) as caught:
        pulled()
    host = hub.url.removeprefix("http://")
    assert caught.value.message == message.replace("HOST", host)
    assert caught.value.hint == hint.replace("HOST", host)
    assert (caught.value.code, pulled.waits) == ("fetch_failed", [])


def test_a_model_or_revision_that_is_not_there_is_named(hub: LoopbackHub, pulled: Reports) -> None:
    hub.add("a/b", FILES)
    with pytest.raises(ModelError, match=r"has no model c/d, or does not show it to you"):
        pulled("c/d")
    with pytest.raises(ModelError, match=r"has no revision v9 of a/b"):
        pulled(revision="v9")
    with pytest.raises(UsageError, match=r"a--b/c cannot be a hub id"):
        pulled("a--b/c")


def test_a_file_that_only_some_may_have_is_said_too(hub: LoopbackHub, cache: Path, pulled: Reports) -> None:
    commit = hub.add("a/b", FILES)
    hub.trouble("config.json", status=403, code="GatedRepo")
    with pytest.raises(ModelError, match=r"a/b is open only to those who asked for it"):
        pulled()
    assert nothing_looks_whole(cache, commit)


def test_a_model_without_safetensors_is_refused_before_anything_is_downloaded(
    hub: LoopbackHub, pulled: Reports
) -> None:
    hub.add("a/b", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    with pytest.raises(ModelError) as caught:
        pulled()
    assert caught.value.message == "a/b has no safetensors weights"
    assert caught.value.hint == "pickled weights are not read: look for one with safetensors"
    assert [one.name for one in hub.requests] == [""]


def test_the_token_goes_to_the_hub_and_to_nobody_else(
    hub: LoopbackHub, pulled: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("a/b", FILES)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pulled()
    assert {one.authorization for one in hub.came("") + hub.came("config.json")} == {"Bearer hf_secret"}
    [large] = hub.came("model-1.safetensors")
    assert (large.host.partition(":")[0], large.authorization) == ("localhost", None)


def test_offline_is_said_or_what_is_here_is_used(
    hub: LoopbackHub, pulled: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("a/b", FILES)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="the variable HF_HUB_OFFLINE forbids downloads"):
        pulled()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    first = pulled()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    again = pulled()
    assert (again.folder, again.n_fetched) == (first.folder, 0)
    assert again.unasked is not None and again.unasked.message == "the variable HF_HUB_OFFLINE forbids downloads"


def test_a_hub_that_nobody_answers_for_is_said_after_three_tries(
    cache: Path, pulled: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError) as caught:
        pulled()
    assert caught.value.message == "127.0.0.1:9 cannot be reached: connection refused"
    assert caught.value.hint is not None and caught.value.hint.startswith("check the network")
    assert pulled.waits == [1.0, 2.0]


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_flipped_byte_is_found_and_only_that_file_is_fetched_again(
    hub: LoopbackHub, pulled: Reports, name: str
) -> None:
    hub.add("a/b", FILES)
    folder = pulled().folder
    content = bytearray(FILES[name])
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)  # through the link
    hub.requests.clear()
    one = pulled()
    assert one.mended == (Damage(name, "content"),)
    assert one.n_fetched == len(FILES[name])
    assert [request.name for request in hub.requests if request.name] == [name]
    assert contents(folder) == WANTED


def test_what_is_missing_or_cut_short_is_fetched_again(hub: LoopbackHub, pulled: Reports) -> None:
    hub.add("a/b", FILES)
    folder = pulled().folder
    (folder / "config.json").resolve().unlink()
    (folder / "merges.txt").unlink()
    os.truncate(folder / "model-1.safetensors", 5)
    one = pulled()
    assert contents(folder) == WANTED
    assert one.mended == (Damage("model-1.safetensors", "size", f"5 of {len(WEIGHTS)} bytes"),)


def test_a_full_disk_is_seen_before_and_says_how_much_is_missing(
    hub: LoopbackHub, cache: Path, pulled: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add("a/b", FILES)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(0, 0, 20_000_000))
    with pytest.raises(OutputError) as caught:
        pulled()
    needed = SIZE + 50_000_000
    assert caught.value.message == (
        f"the disk is full: a/b needs {needed / 1e6:.1f} MB more in {cache}, which has 20.0 MB: "
        f"{(needed - 20_000_000) / 1e6:.1f} MB are missing"
    )
    again = "make room and run the same command again, or use another disk"
    assert caught.value.hint == f"{again}: export HF_HUB_CACHE=FOLDER"
    assert (caught.value.exit_code, [one.name for one in hub.requests]) == (1, [""])
    assert nothing_looks_whole(cache, commit)


def test_a_disk_that_fills_up_meanwhile_leaves_nothing_that_looks_whole(
    hub: LoopbackHub, cache: Path, pulled: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add("a/b", FILES)

    def write_all(out: Any, data: bytes, part: Path) -> None:
        if out.tell() >= 100_000:
            raise DiskFullError("full")
        out.write(data)

    from moss_cli.models.fetch import DiskFullError

    monkeypatch.setattr("moss_cli.models.fetch._write_all", write_all)
    usage = namedtuple("usage", "total used free")
    frees = iter([10**12, 0])
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(0, 0, next(frees)))
    with pytest.raises(OutputError, match=r"the disk is full: a/b needs \d+ kB more in .*: \d+ kB are missing"):
        pulled()
    assert nothing_looks_whole(cache, commit)


def test_an_error_of_the_disk_is_not_taken_for_one_of_the_network(
    hub: LoopbackHub, cache: Path, pulled: Reports
) -> None:
    hub.add("a/b", FILES)
    root(cache).mkdir(parents=True)
    (root(cache) / "blobs").write_text("a file")
    reason = os.strerror(errno.EEXIST).lower()
    with pytest.raises(OutputError, match=rf"{root(cache)}/blobs cannot be written: {reason}"):
        pulled()


def test_a_hub_that_falls_silent_is_asked_again(
    hub: LoopbackHub, pulled: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.add("a/b", FILES)
    hub.trouble("model-1.safetensors", slow_s=1.0)
    assert contents(pulled().folder) == WANTED
    assert hub.url.removeprefix("http://") in pulled.notes[0] and pulled.notes[0].endswith(
        "timed out; trying again in 1 s"
    )


def test_what_is_left_of_a_file_with_other_bytes_is_given_up(hub: LoopbackHub, cache: Path, pulled: Reports) -> None:
    hub.add("a/b", FILES)
    part = root(cache) / "blobs" / f"{sha256(WEIGHTS)}.incomplete"
    for rest in (b"x" * 1000, b"x" * len(WEIGHTS), b"x" * (len(WEIGHTS) + 1)):
        shutil.rmtree(cache, ignore_errors=True)
        part.parent.mkdir(parents=True)
        part.write_bytes(rest)
        assert contents(pulled().folder) == WANTED
        assert not part.exists()
    assert pulled.told[-1] == ("downloading", SIZE, SIZE)


def test_proxies_are_honoured(hub: LoopbackHub, pulled: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    close_session()
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://hub.invalid")
    commit = hub.add("a/b", FILES)
    try:
        assert pulled().folder.name == commit
    finally:
        close_session()
    assert {one.host for one in hub.came("") + hub.came("config.json")} == {"hub.invalid"}


def test_a_damaged_file_of_ones_own_that_a_link_leads_to_stays(
    hub: LoopbackHub, tmp_path: Path, pulled: Reports
) -> None:
    hub.add("a/b", FILES)
    folder = pulled().folder
    own = tmp_path / "own.txt"
    own.write_bytes(b"mine")
    (folder / "merges.txt").unlink()
    (folder / "merges.txt").symlink_to(own)
    assert contents(pulled().folder) == WANTED
    assert own.read_bytes() == b"mine"


def test_on_a_disk_without_links_the_files_themselves_have_the_names(
    hub: LoopbackHub, cache: Path, pulled: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    def symlink(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    commit = hub.add("a/b", FILES)
    monkeypatch.setattr("os.symlink", symlink)
    folder = pulled().folder
    assert contents(folder) == WANTED
    assert not [path for path in folder.iterdir() if path.is_symlink()]
    assert (pulled(revision=commit).n_fetched, cached("a/b", commit)) == (0, folder)
    (folder / "config.json").write_bytes(bytes(len(WANTED["config.json"])))
    assert pulled().n_fetched == len(WANTED["config.json"])
    assert contents(folder) == WANTED


@pytest.mark.parametrize(
    "answer",
    [b"<html>log in</html>", b"[]", b"{}", b'{"id": "a/b", "sha": "../..", "siblings": []}', WITHOUT_HASH],
)
def test_what_is_no_hub_is_not_taken_for_one(
    hub: LoopbackHub, cache: Path, pulled: Reports, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("a/b", FILES)
    hub.trouble("", content=answer)
    with pytest.raises(ModelError) as caught:
        pulled()
    assert caught.value.message.endswith("does not answer as a hub does")
    assert caught.value.hint == "check HF_ENDPOINT, and whether the network wants a login"
    assert not cache.exists()


def test_two_pulls_at_once_fetch_each_file_once(hub: LoopbackHub, cache: Path) -> None:
    hub.add("a/b", FILES)
    hub.trouble("model-1.safetensors", slow_s=0.02)
    results: list[Pulled] = []
    threads = [threading.Thread(target=lambda: results.append(pull("a/b", None))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [contents(one.folder) for one in results] == [WANTED, WANTED]
    assert hub.n_sent("model-1.safetensors") == len(WEIGHTS)
