"""Anyone who can write to the storage decides what is in it: links, pipes and odd names don't lead readers anywhere."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import TRAILER, BatchFileError, FileMissingError
from recording_worker.messages import Record
from recording_worker.operations.sweep import Committed, judge
from recording_worker.operations.verify.finding import FindingKind
from recording_worker.settings.model import Settings
from recording_worker.storage.local.file import LocalFile, find_files
from recording_worker.storage.local.inventory import LocalInventory
from recording_worker.storage.locate import Locator
from tests.batch_files import block, line, make_dictionary, store_dictionary, write_batch_file
from tests.builders import NOW_MS
from tests.history import TOPIC, History, Part
from tests.unit.command import run

NAME = "0000-1-01890a5d-ac96-774b-bcce-b302099a8057"
OTHER = "0000-2-01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A storage with one good file, and a secret one outside of it."""
    folder = tmp_path / "storage"
    write_batch_file(folder, block([(1, [line(1)])]))
    write_batch_file(tmp_path / "secret", block([(2, [line(2)])], "secret"))
    return folder


def secret(storage: Path) -> Path:
    [path] = (storage.parent / "secret").rglob("*-*-*")
    return path


def put_link(storage: Path) -> str:
    (storage / "blocks" / "30d" / NAME).symlink_to(secret(storage))
    return "there is a symbolic link, which is not followed"


def put_dangling_link(storage: Path) -> str:
    (storage / "blocks" / "30d" / NAME).symlink_to("/nowhere")
    return "there is a symbolic link, which is not followed"


def put_loop(storage: Path) -> str:
    (storage / "blocks" / "30d" / NAME).symlink_to(NAME)
    return "there is a symbolic link, which is not followed"


def put_pipe(storage: Path) -> str:
    os.mkfifo(storage / "blocks" / "30d" / NAME)
    return "not a regular file"


def put_device(storage: Path) -> str:
    try:
        os.mknod(storage / "blocks" / "30d" / NAME, 0o20600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    return "not a regular file"


@pytest.mark.parametrize("put", [put_link, put_dangling_link, put_loop, put_pipe, put_device])
@pytest.mark.parametrize("command", ["blocks", "sessions", "export", "dictionary"])
def test_a_trap_is_named_and_the_rest_is_read(storage: Path, put: Callable[[Path], str], command: str) -> None:
    why = put(storage)
    arguments = {
        "blocks": ["blocks", storage, "--json"],
        "sessions": ["sessions", storage, "--json"],
        "export": ["export", storage, "--session", "session-1"],
        "dictionary": ["dictionary", "train", storage, "--out", storage.parent / "dictionary"],
    }
    done = run(*arguments[command])
    assert done.code == 1
    if command == "dictionary":
        assert done.err.startswith("recording-worker: error: too little to train from: 1 block of 1 session")
    else:
        assert len(done.out.splitlines()) == 1
        assert done.err == f"recording-worker: error: {storage}/blocks/30d/{NAME}: {why}\n"


@pytest.mark.parametrize("put", [put_link, put_pipe])
def test_a_trap_that_is_given_itself_is_named(storage: Path, put: Callable[[Path], str]) -> None:
    path = storage / "blocks" / "30d" / NAME
    why = put(storage)
    assert run("blocks", path) == (
        1,
        "0 files, 0 blocks, 0 sessions, 0 events, 0 bytes of lines, 0 bytes stored\n",
        f"recording-worker: error: {path}: {why}\n",
    )


def test_a_folder_that_is_given_may_be_a_link(storage: Path) -> None:
    (storage.parent / "mount").symlink_to(storage)
    assert run("blocks", storage.parent / "mount", "--json").code == 0


def test_no_link_to_a_folder_is_followed(storage: Path) -> None:
    (storage / "elsewhere").symlink_to(secret(storage).parent)
    assert [json.loads(text)["session_id"] for text in run("blocks", storage, "--json").out.splitlines()] == [
        "session-1"
    ]
    found = LocalFile(storage / "elsewhere" / secret(storage).name, storage)
    with pytest.raises(BatchFileError, match="there is a symbolic link, which is not followed"):
        found.read_tail(10)


def test_a_folder_with_a_thousand_folders_in_each_other_is_listed(storage: Path) -> None:
    deep = os.open(storage, os.O_RDONLY)
    for _ in range(1050):
        os.mkdir("d", dir_fd=deep)
        inner = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(deep)
    try:
        assert len(run("blocks", storage, "--json").out.splitlines()) == 1
    finally:
        subprocess.run(["rm", "-r", storage / "d"], check=True)  # too deep for pytest


def test_a_file_ends_where_it_ends_whatever_is_asked_for(storage: Path) -> None:
    [file] = find_files([str(storage)])
    content = file.path.read_bytes()
    assert file.read(0, 1 << 40) == content
    assert file.read(5, 1 << 62) == content[5:]
    assert file.read(1 << 62, 1 << 62) == b""
    assert file.read_tail(1 << 40) == (content, len(content))


def test_a_sparse_file_of_a_terabyte_is_not_taken_into_memory(storage: Path) -> None:
    [good] = find_files([str(storage)])
    content = good.path.read_bytes()
    sparse = good.path.with_name(NAME)
    with sparse.open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 40)
        file.write(content[content.index(b"\x57\x2a\x4d\x18") : -TRAILER.size - 1] + b"?" + content[-TRAILER.size :])
    done = run("blocks", sparse)
    assert done.code == 1
    assert "the index is damaged: its checksum does not match" in done.err


def test_a_dictionary_is_not_read_through_a_link(storage: Path) -> None:
    dictionary = make_dictionary()
    write_batch_file(storage, block([(3, [line(3)])], "with-dictionary"), dictionary=dictionary)
    stored = store_dictionary(storage, dictionary)
    assert run("export", storage, "--session", "with-dictionary").code == 0
    stored.rename(storage.parent / "moved")
    stored.symlink_to(storage.parent / "moved")
    done = run("export", storage, "--session", "with-dictionary")
    assert done.code == 1
    assert "there is a symbolic link, which is not followed" in done.err
    stored.unlink()
    os.mkfifo(stored)
    assert "not a regular file" in run("export", storage, "--session", "with-dictionary").err


def test_sweep_does_not_judge_a_pipe_and_removes_nothing_elsewhere(storage: Path) -> None:
    os.mkfifo(storage / "blocks" / "30d" / NAME)
    inventory = LocalInventory(storage)
    files = {file.name.rpartition("/")[2]: file for file in inventory.files()}
    result = judge(files.values(), Committed(topics={TOPIC}), older_than_ms=2**60, horizon_ms=0)
    assert [(file.name, reason) for file, reason in result.not_judged if file.name.endswith(NAME)] == [
        (f"{storage}/blocks/30d/{NAME}", "its index can't be read")
    ]
    # the folder becomes a link to another one between the listing and the removal
    (storage / "blocks" / "30d").rename(storage.parent / "was")
    (storage / "blocks" / "30d").symlink_to(storage.parent / "was")
    with pytest.raises(Exception, match="can't remove"):
        inventory.remove(files[NAME])
    assert (storage.parent / "was" / NAME).exists()


def test_a_name_with_a_time_of_many_digits_is_no_batch_file(storage: Path) -> None:
    name = f"0000-{'9' * 100}-01890a5d-ac96-774b-bcce-b302099a8057"
    (storage / "blocks" / "30d" / name).write_bytes(b"")
    assert len(list(LocalInventory(storage).files())) == len(list(find_files([str(storage)]))) == 1


OUTSIDE = [
    "file:///etc/passwd",
    "file:///dev/zero",
    "file://{root}/../secret/blocks/30d/x",
    "file://{root}/blocks/%2e%2e/%2E%2E/secret/x",
    "file://{root}/blocks%2f..%2f..%2fsecret/x",
    "file://{root}/blocks//30d/x",
    "file://{root}/blocks/./30d/x",
    "file://{root}/a%00b",
    "file://{root}",
    "file://{root}-of-another/blocks/30d/x",
    "file://host{root}/blocks/30d/x",
    "s3://bucket/blocks/30d/x",
    "s3://",
    "http://169.254.169.254/latest",
    "blackhole:blocks/30d/x",
    "\x1b]0;title\x07",
]


@pytest.mark.parametrize("url", OUTSIDE)
def test_a_url_that_leads_out_of_the_storage_is_not_opened(storage: Path, url: str) -> None:
    with pytest.raises(BatchFileError, match="not read: it "):
        Locator(Settings(storage_dir=storage)).open(url.format(root=storage))


@pytest.mark.parametrize(
    "url",
    [
        "s3://other/blocks/x",
        "s3://bucket/a/../../other",
        "s3://bucket/ab/x",
        "s3://bucket/a//x",
        "file:///etc/passwd",
        "s3://bucket/a",
    ],
)
def test_a_url_that_leads_out_of_a_bucket_or_its_prefix_is_not_opened(url: str) -> None:
    with pytest.raises(BatchFileError, match="not read: it "):
        Locator(Settings(storage="s3://bucket/a")).open(url)


def test_a_copy_is_not_left_by_its_urls(storage: Path) -> None:
    places = Locator(Settings(), {"file:///was": str(storage)})
    assert places.open("file:///was/blocks/30d/x") == LocalFile(storage / "blocks" / "30d" / "x", storage)
    for rest in ("/../secret/x", "/%2e%2e/secret/x", "/blocks/../../secret/x", "x/blocks"):
        with pytest.raises(BatchFileError, match="not read: it "):
            places.open(f"file:///was{rest}")


def test_verify_names_a_url_that_leads_elsewhere_and_goes_on(tmp_path: Path) -> None:
    history = History(tmp_path / "storage")
    history.batch({0: Part({0: "a"})})
    good = history.metadata[0]
    pipe = history.files[0].with_name(NAME)
    os.mkfifo(pipe)
    link = history.files[0].with_name(OTHER)
    link.symlink_to(history.files[0])
    for number, url in enumerate(("file:///dev/zero", "s3://bucket/key", "s3://?", pipe.as_uri(), link.as_uri())):
        value = json.loads(good.value or b"") | {
            "block_url": f"{url}?range=bytes=0-9",
            "uuid": f"uuid-{number}",
            "batch_id": f"batch-{number}",
        }
        history.metadata.append(Record("metadata", 1, number, NOW_MS, [], json.dumps(value).encode()))
    report = history.verify()
    assert [finding.kind for finding in report.findings if finding.kind is not FindingKind.METADATA_UNREADABLE] == (
        [FindingKind.FILE_UNREADABLE] * 4
    )
    assert report.blocks == 5
    texts = " ".join(finding.text for finding in report.findings)
    for why in ("not a regular file", "symbolic link", "not below the storage"):
        assert why in texts


def test_verify_needs_to_know_the_storage() -> None:
    done = run("verify", "--bootstrap-servers", "127.0.0.1:1")
    assert done.code == 2
    assert "no storage: say where batch files are with --storage-dir DIR" in done.err


def test_a_file_url_with_an_odd_path_is_an_error(storage: Path) -> None:
    for url in (f"file://{storage}/a%00b", f"file://host{storage}"):
        with pytest.raises(ConfigError):
            list(Locator(Settings()).find([url]))


def test_a_file_that_is_gone_is_missing(storage: Path) -> None:
    for path in (storage / "gone", storage / "no" / "such" / "folder"):
        with pytest.raises(FileMissingError):
            LocalFile(path, storage).read(0, 1)
