"""Batch files are read back from S3 by ranges."""

import json
import os
import re
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import pytest
import uuid_utils

from recording_worker.errors import ConfigError, WorkerError
from recording_worker.formats.batch_file import BatchFileError, BlockEntry, FileMissingError, file_key
from recording_worker.formats.block import is_erased
from recording_worker.formats.dictionary import dictionary_key
from recording_worker.operations.deletion.erase import erase
from recording_worker.reading.batch_files import TAIL_BYTES, read_blocks
from recording_worker.reading.session_events import session_lines
from recording_worker.storage.locate import Locator
from recording_worker.storage.s3.file import S3Files
from recording_worker.storage.s3.inventory import S3Inventory
from recording_worker.storage.s3.location import S3Location
from recording_worker.storage.s3.retry import RetryPolicy
from tests.batch_files import batch_file, block, line, make_dictionary, undamaged
from tests.builders import NOW_MS
from tests.servers.faulty_proxy import Fault, FaultyProxy
from tests.servers.s3 import Bucket, quick_retries


def put(bucket: Bucket, key: str, content: bytes) -> str:
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=content)
    return f"{bucket.url}/{key}"


def put_batch_file(bucket: Bucket, blocks: Sequence[tuple[BlockEntry, bytes]], prefix: str = "blocks") -> str:
    return put(bucket, file_key(prefix, "30d", NOW_MS, str(uuid_utils.uuid7())), batch_file(blocks))


def places(bucket: Bucket) -> Locator:
    return Locator(bucket.settings())


def names(bucket: Bucket, path: str) -> list[str]:
    return [file.name for file in places(bucket).find([path])]


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 5000])
def test_ranges(bucket: Bucket, size: int) -> None:
    content = os.urandom(size)
    file = places(bucket).open(put(bucket, "object", content))
    assert file.read_tail(100) == (content[-100:], size)
    for start, length in [(0, 10), (0, 100), (50, 50), (size // 2, size), (size - 1, 1), (size, 1), (7, 0)]:
        if start >= 0:
            assert file.read(start, length) == content[start : start + length]


def test_errors_name_the_file_that_can_not_be_read(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = places(bucket).open(f"{bucket.url}/some/key")
    with pytest.raises(FileMissingError, match=rf"^{bucket.url}/some/key: there is no such object \(NoSuchKey"):
        missing.read(0, 10)
    with pytest.raises(BatchFileError, match="there is no such bucket"):
        Locator(bucket.settings(storage="s3://there-is-none")).open("s3://there-is-none/key").read_tail(10)
    with pytest.raises(BatchFileError, match="not below the storage of the settings"):
        places(bucket).open("s3://there-is-none/key")
    with pytest.raises(BatchFileError, match="does not name a file below"):
        places(bucket).open(f"{bucket.url}/../there-is-none/key")
    with pytest.raises(ConfigError, match=r"^s3://there-is-none/: there is no such bucket"):
        names(bucket, "s3://there-is-none/")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(BatchFileError, match="no credentials: set AWS_ACCESS_KEY_ID"):
        places(bucket).open(f"{bucket.url}/some/key").read(0, 10)


def test_files_are_found_as_in_folders(bucket: Bucket) -> None:
    content = [block([(1, [line(1)])])]
    first, second = sorted(put_batch_file(bucket, content) for _ in range(2))
    elsewhere = put_batch_file(bucket, content, "blocks-of-another")
    hidden = put_batch_file(bucket, content, "blocks/.hidden")
    notes = put(bucket, "blocks/30d/notes.txt", b"not a batch file")
    assert names(bucket, f"{bucket.url}/blocks") == [first, second]
    assert names(bucket, f"{bucket.url}/blocks/30d/") == [first, second]
    assert names(bucket, bucket.url) == [elsewhere, first, second]
    assert [names(bucket, path) for path in (first, hidden, notes)] == [[first], [hidden], [notes]]
    for path in ("block", "blocks/30", "nothing/there"):
        with pytest.raises(ConfigError, match=f"{path}: there is nothing of this name"):
            names(bucket, f"{bucket.url}/{path}")


def test_more_objects_than_a_page_holds(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    put_all = sorted(put_batch_file(bucket, [block([(1, [line(1)])])]) for _ in range(7))
    found = places(bucket)
    list_page = found._s3._client.list_objects_v2
    pages: list[object] = []

    def list_small_page(**arguments: object) -> object:
        pages.append(list_page(**arguments, MaxKeys=3))
        return pages[-1]

    monkeypatch.setattr(found._s3._client, "list_objects_v2", list_small_page)
    assert [file.name for file in found.find([f"{bucket.url}/blocks"])] == put_all
    assert len(pages) == 3


def run(bucket: Bucket, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "recording_worker", *map(str, arguments)]
    return subprocess.run(
        [*command, "--s3-endpoint", bucket.server.endpoint], capture_output=True, text=True, check=False
    )


def test_the_commands(bucket: Bucket, tmp_path: Path) -> None:
    first = put_batch_file(bucket, [block([(1, [line(1), line(3)])]), block([(2, [line(9)])], "other")])
    second = put_batch_file(bucket, [block([(3, [line(2)])])])
    listed = run(bucket, "blocks", f"{bucket.url}/blocks", "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert {json.loads(text)["file"] for text in listed.stdout.splitlines()} == {first, second}
    sessions = [json.loads(text) for text in run(bucket, "sessions", bucket.url, "--json").stdout.splitlines()]
    assert {at["session_id"]: (at["blocks"], at["events"]) for at in sessions} == {"session-1": (2, 3), "other": (1, 1)}
    exported = run(bucket, "export", bucket.url, "--session", "session-1")
    assert (exported.returncode, exported.stderr) == (0, "")
    assert exported.stdout.encode().splitlines() == [line(1), line(2), line(3)]
    played = run(bucket, "play", bucket.url, "--session", "session-1", "--html", tmp_path / "page.html")
    assert (played.returncode, played.stderr) == (0, "")
    assert '"events": 3, ' in (tmp_path / "page.html").read_text()
    refused = run(bucket, "blocks", "s3://there-is-none")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("recording-worker: error: s3://there-is-none: there is no such bucket")


def test_the_dictionary_is_found_from_the_file(bucket: Bucket) -> None:
    dictionary = make_dictionary()
    content = batch_file([block([(1, [line(1), line(3)])])], dictionary)
    for prefix in ("some/blocks", ""):
        url = put(bucket, file_key(prefix, "30d", NOW_MS, str(uuid_utils.uuid7())), content)
        stored = put(bucket, dictionary_key(prefix, dictionary.id), dictionary.content)
        assert run(bucket, "export", url, "--session", "session-1").stdout.encode().splitlines() == [line(1), line(3)]
        assert names(bucket, f"{bucket.url}/{prefix}".rstrip("/"))[-1] == url
        bucket.client.delete_object(Bucket=bucket.name, Key=stored.removeprefix(f"{bucket.url}/"))
        gone = run(bucket, "export", url, "--session", "session-1")
        assert (gone.returncode, gone.stdout) == (1, "")
        assert gone.stderr.startswith(
            f"recording-worker: error: {url}: its blocks need dictionary {dictionary.id}:"
            f" it is not there ({stored}: there is no such object"
        )
        bucket.client.delete_object(Bucket=bucket.name, Key=url.removeprefix(f"{bucket.url}/"))


def through(proxy: FaultyProxy, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command whose requests go through the proxy."""
    command = [sys.executable, "-m", "recording_worker", *map(str, arguments), "--s3-endpoint", proxy.endpoint]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_of_a_large_file_only_the_index_and_the_blocks_of_a_session_are_fetched(bucket: Bucket) -> None:
    """100 MB, 400 sessions of 40 messages: all answers together have just the bytes needed, and headers."""
    blocks, ids = [], [os.urandom(200).hex() for _ in range(400)]  # hardly to be compressed in the index
    for number in range(400):
        texts = [
            json.dumps(["w", {"timestamp": at, "data": b64encode(os.urandom(6_300)).decode()}]).encode()
            for at in range(1, 41)
        ]
        messages = [(number * 100 + at, [text]) for at, text in enumerate(texts)]
        blocks.append(block(messages, ids[number]))
    content = batch_file(blocks)
    index = len(content) - max(entry.start + entry.length for entry, _ in blocks)
    assert len(content) > 100_000_000
    assert index > TAIL_BYTES
    put(bucket, file_key("blocks", "30d", NOW_MS, str(uuid_utils.uuid7())), content)
    proxy = FaultyProxy(bucket.server.port, seed=0, writes=0, others=0)
    exported = through(proxy, "export", f"{bucket.url}/blocks", "--session", ids[77])
    proxy.close()
    assert (exported.returncode, exported.stderr) == (0, "")
    entry, lines = blocks[77]
    assert exported.stdout.encode() == lines
    assert 0 <= proxy.answered - (index + entry.length) < 16_384


def test_a_listing_fetches_the_ends_of_files_only(bucket: Bucket) -> None:
    for number in range(3):
        content = json.dumps(["w", {"timestamp": 1, "data": b64encode(os.urandom(600_000)).decode()}]).encode()
        put_batch_file(bucket, [block([(number, [content])], f"session-{number}")])
    for command in ("blocks", "sessions"):
        proxy = FaultyProxy(bucket.server.port, seed=0, writes=0, others=0)
        listed = through(proxy, command, bucket.url, "--json")
        proxy.close()
        assert len(listed.stdout.splitlines()) == 3
        assert proxy.answered < 3 * TAIL_BYTES + 10_000


def test_reading_goes_on_through_faults(bucket: Bucket) -> None:
    blocks = [block([(number, [line(number)])]) for number in range(1, 61)]
    for first in range(0, 60, 6):
        put_batch_file(bucket, blocks[first : first + 6])
    proxy = FaultyProxy(bucket.server.port, seed=3, writes=0, others=0.33)
    files = S3Files(bucket.settings(s3_endpoint=proxy.endpoint, s3_read_timeout=0.3), quick_retries(60))
    found = [read for read in read_blocks(files.find(bucket.url)) if isinstance(read, list)]
    lines = list(session_lines([block for of_file in found for block in of_file], undamaged))
    proxy.close()
    assert lines == [line(number) for number in range(1, 61)]
    assert {fault for _, fault in proxy.done} == set(Fault) - {Fault.DENIED}


def test_what_a_command_logs_does_not_mix_with_its_output(bucket: Bucket) -> None:
    put_batch_file(bucket, [block([(1, [line(1)])])])
    proxy = FaultyProxy(bucket.server.port, seed=3, writes=0, others=0.5)
    for fault in set(Fault) - {Fault.SLOW_DOWN}:
        proxy.never(fault)
    exported = through(proxy, "export", bucket.url, "--session", "session-1")
    proxy.close()
    assert exported.stdout.encode().splitlines() == [line(1)]
    logged = exported.stderr.splitlines()
    # lines that are alike are folded into one that says how many they were
    repeated = [re.search(r"repeated=(\d+)", text) for text in logged]
    assert sum(int(found[1]) if found else 1 for found in repeated) == proxy.done.total() > 0
    assert all("S3 request failed, trying again" in text and "code=SlowDown" in text for text in logged)


def test_a_bucket_may_be_empty(bucket: Bucket) -> None:
    assert names(bucket, bucket.url) == names(bucket, f"{bucket.url}/") == []
    with pytest.raises(ConfigError, match=r"/blocks: there is nothing of this name"):
        names(bucket, f"{bucket.url}/blocks")


def test_a_server_that_is_away_ends_the_command_and_not_file_by_file(bucket: Bucket) -> None:
    url = put_batch_file(bucket, [block([(1, [line(1)])])])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        # if it tried as long as for a file, this test would run into its time-out
        files = S3Files(bucket.settings(s3_endpoint=endpoint), RetryPolicy(600, first_answer_for=0.2))
        with pytest.raises(ConfigError, match="can't reach the server"):
            list(files.find(bucket.url))
        away = Locator(bucket.settings(s3_endpoint=endpoint, s3_retry_for=0.2)).open(url)
        with pytest.raises(WorkerError, match=f"^{url}: can't reach the server") as problem:
            list(read_blocks([away] * 100))
        assert not isinstance(problem.value, BatchFileError)


def test_a_server_without_tls_is_said_at_once(bucket: Bucket) -> None:
    settings = bucket.settings(s3_endpoint=bucket.server.endpoint.replace("http", "https"), s3_retry_for=600)
    with pytest.raises(ConfigError, match="the server speaks http, not https"):
        list(Locator(settings).find([bucket.url]))  # it does not try again: that would take until the time-out


def test_blocks_are_erased_in_an_object_that_keeps_its_metadata(bucket: Bucket) -> None:
    blocks = [block([(number, [line(NOW_MS, text=os.urandom(99).hex())])], f"s{number}") for number in range(3)]
    url = put_batch_file(bucket, blocks)
    key = url.removeprefix(f"{bucket.url}/")
    content = bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=content, Metadata={"batch-id": "b"})
    metadata = bucket.client.head_object(Bucket=bucket.name, Key=key)["Metadata"]
    file, before = places(bucket).open(url), [entry for entry, _ in blocks]
    inventory = S3Inventory(S3Location.parse(bucket.url), bucket.settings())
    erase(file, {before[1].start: (1, "s1"), before[2].start: (1, "another")}, inventory)
    replaced = bucket.client.get_object(Bucket=bucket.name, Key=key)
    assert replaced["Metadata"] == metadata
    now, end = replaced["Body"].read(), before[1].start + before[1].length
    assert now[: before[1].start] == content[: before[1].start]
    assert is_erased(now[before[1].start : end])
    assert now[end : end + before[2].length] == content[end : end + before[2].length]
    [found] = read_blocks([file])
    assert not isinstance(found, BatchFileError)
    assert [each.entry.encryption for each in found] == [None, "erased", None]
    with pytest.raises(WorkerError, match="can't replace"):
        erase(places(bucket).open(f"{bucket.url}/30d/none"), {}, inventory)
