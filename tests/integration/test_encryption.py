"""Sessions that are encrypted, from the ingest command to the tools that read them, and what deletion does to them."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from nacl.secret import SecretBox
from pydantic import SecretStr

from recording_worker.formats.block import decompress_block
from recording_worker.keys.postgres import PostgresKeys
from recording_worker.reading.batch_files import read_index
from recording_worker.storage.local.file import find_files
from tests.builders import NOW_MS, event, headers, value
from tests.integration.command import Result, run
from tests.integration.test_key_stores import master_file
from tests.servers.postgres import PostgresServer

MARKER = "typed-into-a-page-7f3a"
SESSIONS = ("one", "two", "three")


class Recordings:
    """Three sessions of two messages each, ingested with a key store."""

    def __init__(self, folder: Path, server: PostgresServer, codec: str) -> None:
        server.execute("DROP TABLE IF EXISTS session_recording_keys")
        master = master_file(folder, b"m" * 32)
        self.store = PostgresKeys(SecretStr(server.url), master)
        self.store.create_table()
        self.key_settings = (
            "--key-store",
            "postgres",
            "--keys-postgres",
            server.url,
            "--keys-master-file",
            str(master),
        )
        self.codec = codec
        self.file = folder / "messages.jsonl"
        lines = [
            {
                "partition_key": session_id,
                "timestamp_ms": NOW_MS,
                "headers": [[key, text.decode()] for key, text in headers(session_id=session_id, distinct_id=MARKER)],
                "value_b64": base64.b64encode(
                    value(
                        [event(text=MARKER), event(type=4, href=f"https://x/{MARKER}")],
                        session_id=session_id,
                        distinct_id=MARKER,
                    )
                ).decode(),
            }
            for session_id in SESSIONS * 2
        ]
        self.file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.out = folder / "out"

    def ingest(self, out: Path) -> dict[str, Any]:
        done = run(
            "ingest", self.file, "--out", out, "--any-token", "--json", "--codec", self.codec, *self.key_settings
        )
        assert done.code == 0, done.err
        summary: dict[str, Any] = json.loads(done.out)
        return summary

    @property
    def team_id(self) -> int:
        (file,) = find_files([str(self.out / "blocks")])
        return read_index(file).blocks[0].team_id

    def export(self, session_id: str) -> Result:
        return run("export", self.out / "blocks", "--session", session_id, *self.key_settings)


@pytest.fixture
def codec() -> str:
    return "zstd"


@pytest.fixture
def recordings(codec: str, postgres: PostgresServer, tmp_path: Path) -> Iterator[Recordings]:
    made = Recordings(tmp_path, postgres, codec)
    made.ingest(made.out)
    yield made
    made.store.close()


@pytest.mark.parametrize("codec", ["zstd", "snappy"])
def test_a_session_is_encrypted_in_its_file_and_read_with_its_key(recordings: Recordings) -> None:
    (file,) = find_files([str(recordings.out / "blocks")])
    content = Path(file.name).read_bytes()
    index = read_index(file)
    assert MARKER not in repr(index)
    assert [entry.encryption for entry in index.blocks] == ["secretbox"] * 3
    for entry in index.blocks:
        key = recordings.store.read([(entry.team_id, entry.session_id)])[entry.team_id, entry.session_id].key
        assert key is not None
        stored = content[entry.start : entry.start + entry.length]
        opened = SecretBox(key).decrypt(stored)  # what the block's URL leads to is all that PostHog's reader needs
        assert MARKER.encode() in decompress_block(opened, recordings.codec, entry.size)
    if recordings.codec == "zstd":
        with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as reader:
            assert reader.read() == b"", "zstd passes over all of the file"
    exported = recordings.export("one")
    assert (exported.code, exported.out.count(MARKER)) == (0, 4)


def test_without_a_key_store_an_encrypted_session_is_not_read(recordings: Recordings) -> None:
    refused = run("export", recordings.out / "blocks", "--session", "one")
    assert refused.code == 1
    assert " can't be decrypted: it is encrypted: say where its key is (--key-store)" in refused.err
    assert "damaged" not in refused.err
    listed = run("sessions", recordings.out / "blocks", "--json")
    assert listed.out.count('"session_id"') == 3, "the index is in the clear"


def test_a_deleted_session_reads_as_deleted_and_is_not_recorded_again(recordings: Recordings, tmp_path: Path) -> None:
    recordings.store.destroy((recordings.team_id, "two"), "ann", NOW_MS // 1000)
    refused = recordings.export("two")
    assert (refused.code, refused.out) == (1, "")
    assert re.search(r"session two of team [0-9]+ was deleted on .* UTC by ann", refused.error)
    assert recordings.export("one").code == 0
    listed = run("sessions", recordings.out / "blocks", "--json", *recordings.key_settings).out.splitlines()
    deleted = {session["session_id"]: session["deleted_at"] for session in map(json.loads, listed)}
    assert deleted == {"one": None, "two": NOW_MS // 1000, "three": None}
    table = run("sessions", recordings.out / "blocks", "--session", "two", *recordings.key_settings).out
    assert " deleted " in table
    again = recordings.ingest(tmp_path / "again")
    assert again["dropped"] == {"session_deleted": 2}
    assert again["ok"] == 4
    assert not any(b"two" in path.read_bytes() for path in (tmp_path / "again" / "blocks").rglob("*-*"))


def test_a_block_that_was_changed_is_damaged(recordings: Recordings) -> None:
    (file,) = find_files([str(recordings.out / "blocks")])
    path, index = Path(file.name), read_index(file)
    content = bytearray(path.read_bytes())
    content[index.blocks[0].start + 30] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    refused = recordings.export(index.blocks[0].session_id)
    assert refused.code == 1
    assert "is damaged: its session's key does not open it" in refused.err


def test_nothing_is_stored_if_the_key_store_is_away(
    recordings: Recordings, postgres: PostgresServer, tmp_path: Path
) -> None:
    postgres.stop()
    away = run("ingest", recordings.file, "--out", tmp_path / "no", "--any-token", *recordings.key_settings)
    assert away.code == 1
    assert "the key store can't be used" in away.error
    assert not (tmp_path / "no").exists()
    read = recordings.export("one")
    assert (read.code, read.out) == (1, "")
    assert "damaged" not in read.err
