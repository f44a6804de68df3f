"""The API of `serve`, over batch files in a folder."""

import asyncio
import threading
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import cramjam
import orjson
import pytest
import zstandard

from recording_worker.formats.batch_file import BlockEntry, file_key, index_frame
from recording_worker.formats.secretbox import seal
from recording_worker.formats.session_keys import Session
from recording_worker.keys.store import SessionKey
from recording_worker.reading.catalogue import Catalogue
from recording_worker.settings.choices import FileNames
from recording_worker.storage.local.file import find_files
from tests.batch_files import block, line, make_dictionary, store_dictionary, write_batch_file
from tests.builders import NOW_MS
from tests.memory_keys import MemoryKeys
from tests.serving import Asked, token

LINES = [line(NOW_MS + number, n=number) for number in range(50)]
TEXT = b"".join(text + b"\n" for text in LINES)
ODD = "../2:ü\n/blocks"
"""A session id that a client chose."""


def written(folder: Path) -> dict[str, tuple[str, BlockEntry]]:
    """Write files: sessions of two teams, one with a dictionary, one as snappy. Return session → key and entry."""
    dictionary = make_dictionary()
    store_dictionary(folder, dictionary)
    found = {}

    def write(*blocks: Any, **index: Any) -> None:
        path = write_batch_file(folder, *blocks, **index)
        for entry, _ in blocks:
            found[f"{entry.team_id}:{entry.session_id}"] = path.relative_to(folder).as_posix(), entry

    write(block([(1, LINES)], "zstd"), block([(2, LINES)], "zstd", team_id=2), block([(3, LINES)], ODD))
    write(block([(4, LINES)], "dictionary"), dictionary=dictionary)
    found["1:snappy"] = write_snappy_file(folder)
    return found


def write_snappy_file(folder: Path) -> tuple[str, BlockEntry]:
    """Write a file with a block of codec snappy, under one of PostHog's names. Return its key and the entry."""
    entry, lines = block([(5, LINES)], "snappy")
    stored = bytes(cramjam.snappy.compress_raw(lines))
    entry = replace(entry, length=len(stored))
    facts: dict[str, Any] = {"batch_id": "batch", "codec": "snappy", "retention": "1y", "created_ms": NOW_MS}
    key = file_key("blocks", "1y", NOW_MS, "batch", FileNames.POSTHOG)
    path = folder / key
    path.parent.mkdir(parents=True)
    path.write_bytes(stored + index_frame(**facts, blocks=orjson.dumps([entry])))
    return key, entry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def stored(folder: Path) -> dict[str, tuple[str, BlockEntry]]:
    return written(folder)


@pytest.fixture
def asked(folder: Path, stored: dict[str, tuple[str, BlockEntry]]) -> Iterator[Asked]:
    assert stored
    asked = Asked(folder).start()
    yield asked
    asked.upkeep.close()


def query_of(key: str, entry: BlockEntry, **others: object) -> str:
    wanted = {"key": key, "start_byte": entry.start, "end_byte": entry.start + entry.length - 1, **others}
    return urlencode({name: value for name, value in wanted.items() if value is not None})


def block_path(session: str, team_id: int = 1) -> str:
    return f"/api/projects/{team_id}/recordings/{session}/block"


@pytest.mark.parametrize("session", ["zstd", "dictionary", "snappy", ODD])
def test_a_block_comes_as_raw_snappy_or_as_lines(
    asked: Asked, stored: dict[str, tuple[str, BlockEntry]], session: str
) -> None:
    key, entry = stored[f"1:{session}"]
    [listed] = asked.get(f"/api/projects/1/recordings/{session}/blocks").json["blocks"]
    assert listed == {
        "key": key,
        "start_byte": entry.start,
        "end_byte": entry.start + entry.length - 1,
        "start_timestamp": "2026-11-18T11:06:40.000Z",
        "end_timestamp": "2026-11-18T11:06:40.049Z",
    }
    packed = asked.get(block_path(session), query_of(key, entry))
    assert (packed.status, packed.headers["content-type"]) == (200, "application/octet-stream")
    assert bytes(cramjam.snappy.decompress_raw(packed.body)) == TEXT
    for truth in ("true", "1"):
        lines = asked.get(block_path(session), query_of(key, entry, decompress=truth))
        assert (lines.status, lines.headers["content-type"], lines.body) == (200, "application/jsonl", TEXT)
    assert lines.headers["cache-control"] == "private, max-age=2592000, immutable"
    assert lines.headers["content-length"] == str(len(TEXT))
    head = asked.get(block_path(session), query_of(key, entry), method="HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(packed.body)), b"")
    assert asked.api._memory.used == 0


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"key": None}, 400, "Missing key query parameter"),
        ({"key": ""}, 400, "Invalid key query parameter"),
        ({"start_byte": None}, 400, "Missing start_byte query parameter"),
        ({"end_byte": None}, 400, "Missing end_byte query parameter"),
        ({"start_byte": "-1"}, 400, "Invalid start_byte query parameter"),
        ({"start_byte": "1e3"}, 400, "Invalid start_byte query parameter"),
        ({"start_byte": "٣"}, 400, "Invalid start_byte query parameter"),
        ({"end_byte": 2**63 - 1}, 400, "Invalid end_byte query parameter"),
        ({"end_byte": 2**63 - 2}, 404, "Block not found"),
        ({"start_byte": 5, "end_byte": 4}, 400, "start_byte must be less than or equal to end_byte"),
        ({"decompress": "yes"}, 400, "Invalid decompress query parameter"),
        ({"end_byte": 10}, 404, "Block not found"),
        ({"start_byte": 1}, 404, "Block not found"),
        ({"key": "../secret"}, 400, "Invalid key format: must be the key of a batch file"),
        ({"key": "/etc/passwd"}, 400, "Invalid key format: must be the key of a batch file"),
        ({"key": "blocks/../blocks/30d/NAME"}, 400, "Invalid key format: must be the key of a batch file"),
        ({"key": "blocks/30d/../../x/30d/NAME"}, 400, "Invalid key format: must be the key of a batch file"),
        ({"key": "blocks/30d/NAME\0"}, 400, "Invalid key format: must be the key of a batch file"),
        ({"key": "//blocks/30d/NAME"}, 400, "Invalid key format: must be the key of a batch file"),
        ({"key": "blocks/7d/NAME"}, 400, "Invalid key format: must be the key of a batch file"),
        ({"key": "other/30d/NAME"}, 404, "Block not found"),
    ],
)
def test_what_can_not_be_asked_for(
    asked: Asked, stored: dict[str, tuple[str, BlockEntry]], change: dict[str, Any], status: int, error: str
) -> None:
    key, entry = stored["1:zstd"]
    if "NAME" in str(change.get("key")):
        change = {"key": change["key"].replace("NAME", key.rpartition("/")[2])}
    answer = asked.get(block_path("zstd"), query_of(**{"key": key, "entry": entry, **change}))
    assert (answer.status, answer.json) == (status, {"error": error})
    assert answer.headers["cache-control"] == "no-store"


def test_a_parameter_that_is_given_twice_is_refused(asked: Asked, stored: dict[str, tuple[str, BlockEntry]]) -> None:
    query = query_of(*stored["1:zstd"])
    assert asked.get(block_path("zstd"), f"{query}&key=x").json == {"error": "Invalid key query parameter"}
    assert asked.get(block_path("zstd"), "&".join([query] * 20)).status == 400


def test_a_team_reads_only_its_own_sessions(asked: Asked, stored: dict[str, tuple[str, BlockEntry]]) -> None:
    """Even with the right key and range, and though both teams use the session id."""
    theirs = query_of(*stored["2:zstd"])
    assert asked.get(block_path("zstd"), theirs).status == 404
    assert asked.get(block_path("zstd", team_id=2), theirs).json == {
        "error": "Forbidden: token not scoped to this team"
    }
    assert asked.get(block_path("zstd", team_id=2), theirs, f"Bearer {token(2)}").status == 200
    listed = asked.get("/api/projects/1/sessions").json["sessions"]
    assert sorted(session["session_id"] for session in listed) == sorted([ODD, "dictionary", "snappy", "zstd"])


def test_a_deleted_session_is_gone(asked: Asked, stored: dict[str, tuple[str, BlockEntry]]) -> None:
    asked.catalogue.forget({(1, "zstd"): 1_800_000_000})
    answer = asked.get(block_path("zstd"), query_of(*stored["1:zstd"]))
    gone = {"error": "recording_deleted", "deleted_at": 1_800_000_000, "deleted_by": None}
    assert (answer.status, answer.json) == (410, gone)
    assert asked.get("/api/projects/1/recordings/zstd/blocks").json == {"blocks": []}
    assert "zstd" not in [each["session_id"] for each in asked.get("/api/projects/1/sessions").json["sessions"]]
    other = asked.get(block_path("zstd", team_id=2), query_of(*stored["2:zstd"]), f"Bearer {token(2)}")
    assert other.status == 200


def test_nothing_is_kept_of_a_deleted_session_also_if_more_of_it_comes(
    asked: Asked, folder: Path, stored: dict[str, tuple[str, BlockEntry]]
) -> None:
    assert "1:zstd" in stored
    asked.catalogue.forget({(1, "zstd"): 1_800_000_000})
    write_batch_file(folder, block([(9, LINES)], "zstd"))
    assert asked.catalogue.update(find_files([str(folder)])).added == 1
    kept = "SELECT team_id FROM {} WHERE session_id = 'zstd'"
    for table in ("blocks", "sessions"):
        assert asked.catalogue.connection.execute(kept.format(table)).fetchall() == [(2,)]


def test_a_session_that_is_deleted_while_it_is_read_is_not_sent(
    asked: Asked, stored: dict[str, tuple[str, BlockEntry]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = asked.blocks.read

    def delete_first(*arguments: Any, **options: Any) -> Any:
        asked.catalogue.forget({(1, "zstd"): 1})
        return read(*arguments, **options)

    monkeypatch.setattr(asked.blocks, "read", delete_first)
    assert asked.get(block_path("zstd"), query_of(*stored["1:zstd"])).status == 410
    assert asked.api._memory.used == 0


def test_a_new_file_is_found_by_its_key_before_the_next_listing(asked: Asked, folder: Path) -> None:
    path = write_batch_file(folder, given := block([(9, LINES)], "new"))
    assert asked.get("/api/projects/1/recordings/new/blocks").json == {"blocks": []}
    key = path.relative_to(folder).as_posix()
    assert asked.get(block_path("new"), query_of(key, given[0], decompress=1)).body == TEXT
    assert len(asked.get("/api/projects/1/recordings/new/blocks").json["blocks"]) == 1


def test_a_file_that_is_gone_is_not_found(
    asked: Asked, folder: Path, stored: dict[str, tuple[str, BlockEntry]]
) -> None:
    (folder / stored["1:zstd"][0]).unlink()
    assert asked.get(block_path("zstd"), query_of(*stored["1:zstd"])).status == 404
    assert asked.catalogue.update(find_files([str(folder)])).removed == 1
    assert asked.get("/api/projects/1/recordings/zstd/blocks").json == {"blocks": []}


@pytest.mark.parametrize("session", ["zstd", "snappy"])
def test_damage_is_an_error_that_names_nothing(
    asked: Asked, folder: Path, stored: dict[str, tuple[str, BlockEntry]], session: str
) -> None:
    key, entry = stored[f"1:{session}"]
    path = folder / key
    content = path.read_bytes()
    path.write_bytes(b"\xff" * entry.length + content[entry.length :])
    answer = asked.get(block_path(session), query_of(key, entry))
    assert (answer.status, answer.json) == (500, {"error": "Failed to read from the storage"})
    assert asked.api._memory.used == 0


def test_a_dictionary_that_was_away_is_looked_for_again(
    asked: Asked, folder: Path, stored: dict[str, tuple[str, BlockEntry]]
) -> None:
    (kept,) = (folder / "blocks" / "dictionaries").iterdir()
    content = kept.read_bytes()
    kept.unlink()
    query = query_of(*stored["1:dictionary"])
    assert asked.get(block_path("dictionary"), query).status == 500
    kept.write_bytes(content)
    assert asked.get(block_path("dictionary"), query).status == 200


def test_nothing_is_served_before_the_storage_is_listed(
    folder: Path, stored: dict[str, tuple[str, BlockEntry]]
) -> None:
    asked = Asked(folder)
    answer = asked.get(block_path("zstd"), query_of(*stored["1:zstd"]))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    ready = asked.get("/readyz")
    assert (ready.status, ready.body) == (503, b"listing the storage for the first time\n")
    assert asked.get("/healthz").body == b"ok\n"


def test_a_block_that_memory_does_not_hold_is_refused(folder: Path, stored: dict[str, tuple[str, BlockEntry]]) -> None:
    asked = Asked(folder, serve_memory_bytes=1000).start()
    assert asked.get(block_path("zstd"), query_of(*stored["1:zstd"])).status == 413
    asked.upkeep.close()


def test_more_requests_than_allowed_are_told_to_come_back(
    folder: Path, stored: dict[str, tuple[str, BlockEntry]]
) -> None:
    asked = Asked(folder, serve_requests=2).start()
    query = query_of(*stored["1:zstd"])

    async def at_once() -> list[int]:
        authorization = f"Bearer {token()}"
        answers = [asked.answer(block_path("zstd"), query, authorization) for _ in range(10)]
        return [answer.status for answer in await asyncio.gather(*answers)]

    statuses = asyncio.run(at_once())
    assert sorted(set(statuses)) == [200, 503]
    assert statuses.count(200) >= 2
    assert asked.get(block_path("zstd"), query).status == 200
    asked.upkeep.close()


def test_a_time_out_gives_memory_back_once_the_read_has_ended(
    folder: Path, stored: dict[str, tuple[str, BlockEntry]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(folder, serve_timeout=0.05).start()
    may_end = threading.Event()
    monkeypatch.setattr(asked.blocks, "read", lambda *_a, **_o: may_end.wait(30) and None)

    async def slow() -> None:
        answer = await asked.answer(block_path("zstd"), query_of(*stored["1:zstd"]), f"Bearer {token()}")
        assert (answer.status, answer.json) == (503, {"error": "This takes too long"})
        assert asked.api._memory.used > 0
        may_end.set()
        while asked.api._memory.used:
            await asyncio.sleep(0.001)

    asyncio.run(slow())
    asked.upkeep.close()


def test_sessions_are_listed_in_pages_and_filtered(tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    for number in range(7):
        entry, lines = block([(number, [line(NOW_MS + number // 2 * 1000)])], f"s{number}")
        shown = replace(entry, distinct_id=f"user-{number % 2}", has_full_snapshot=number == 3)
        write_batch_file(folder, (shown, lines))
    asked = Asked(folder).start()
    ids = asked.session_ids

    assert ids() == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]
    assert asked.session_ids_by_page(2) == ids()
    assert ids(user="user-1") == ["s5", "s3", "s1"]
    assert ids(playable="true") == ["s3"]
    assert ids(session="s4") == ["s4"]
    assert ids(session="s%") == []
    assert ids(since="2026-11-18T11:06:42Z") == ["s6", "s5", "s4"]
    assert ids(until="2026-11-18T11:06:41") == ["s1", "s0"]
    for wrong in ("limit=0", "limit=1001", "limit=x", "cursor=1.2.3:x", "cursor=nan:x", "since=soon", "playable=maybe"):
        assert asked.get("/api/projects/1/sessions", wrong).status == 400, wrong
    asked.upkeep.close()


def test_each_request_is_counted(asked: Asked, stored: dict[str, tuple[str, BlockEntry]]) -> None:
    asked.get(block_path("zstd"), query_of(*stored["1:zstd"]), "")
    asked.get("/nothing/here/block")
    asked.get(block_path("zstd"), query_of(*stored["1:zstd"], decompress=1))
    text = asked.get("/metrics").body.decode()
    assert 'recording_worker_serve_requests_total{route="block",status="401"} 1.0' in text
    assert 'recording_worker_serve_requests_total{route="other",status="404"} 1.0' in text
    assert 'recording_worker_serve_requests_total{route="block",status="200"} 1.0' in text
    assert "recording_worker_serve_sessions 5.0" in text
    assert "recording_worker_messages" not in text


@pytest.mark.usefixtures("stored")
def test_the_catalogue_is_kept_and_counts_a_file_once(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    first = Catalogue(path).update(find_files([str(folder)]))
    assert (first.added, first.removed, first.problems) == (3, 0, [])
    again = Catalogue(path)
    assert again.update(find_files([str(folder)]))[:2] == (0, 0)
    assert again.add([*find_files([str(folder)])]) == []
    assert again.counts() == (3, 5)
    assert path.stat().st_mode & 0o077 == 0


def test_any_spelling_of_a_path_is_answered(asked: Asked) -> None:
    for path in ("/api/projects/01/sessions", "/api/projects/+1/sessions", f"/api/projects/{quote('1 ')}/sessions"):
        assert asked.get(path).status == 403
    assert asked.get("/api/projects/0/sessions", authorization=f"Bearer {token(0)}").status == 400
    assert asked.get("/api/projects/1/recordings//block").status in (400, 404)
    assert asked.get("/api/projects/1/sessions", method="POST").status == 405


def test_an_encrypted_session_is_decrypted_until_its_key_is_destroyed(folder: Path) -> None:
    keys = MemoryKeys()
    key = keys.create({(1, "secret"): 2}, 1)[1, "secret"].key
    assert key is not None
    entry, lines = block([(1, LINES)], "secret")
    stored = seal(zstandard.ZstdCompressor(write_checksum=True).compress(lines), key)
    entry = replace(entry, length=len(stored), encryption="secretbox", distinct_id="")
    clear, clear_lines = block([(2, LINES)], "clear")
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(clear_lines)
    clear = replace(clear, start=len(stored), length=len(frame))
    key_of_file = file_key("blocks", "30d", NOW_MS, "0195f1a0-0000-7000-8000-000000000000")
    path = folder / key_of_file
    path.parent.mkdir(parents=True)
    facts: dict[str, Any] = {"batch_id": "batch", "codec": "zstd", "retention": "30d", "created_ms": NOW_MS}
    path.write_bytes(stored + frame + index_frame(**facts, blocks=orjson.dumps([entry, clear])))
    asked = Asked(folder, keys).start()

    def answers(session: str, of: BlockEntry) -> list[int]:
        return [asked.get(block_path(session), query_of(key_of_file, of, decompress=way)).status for way in (0, 1)]

    assert asked.get(block_path("secret"), query_of(key_of_file, entry, decompress=1)).body == TEXT
    packed = asked.get(block_path("secret"), query_of(key_of_file, entry)).body
    assert bytes(cramjam.snappy.decompress_raw(packed)) == TEXT
    assert answers("clear", clear) == [200, 200], "a session without a key is in the clear"
    keys.is_away = True
    assert answers("clear", clear) == [503, 503], "it may be deleted"
    keys.is_away = False
    keys.destroy((1, "clear"), "ann", 1_800_000_000)
    keys.destroy((1, "secret"), "ann", 1_800_000_000)
    assert answers("secret", entry) + answers("clear", clear) == [410] * 4
    gone = {"error": "recording_deleted", "deleted_at": 1_800_000_000, "deleted_by": "ann"}
    assert asked.get(block_path("secret"), query_of(key_of_file, entry)).json == gone
    assert asked.get("/api/projects/1/recordings/secret/blocks").json == {"blocks": []}
    assert asked.get("/api/projects/1/sessions").json == {"sessions": [], "next": None}
    without = Asked(folder).start()
    assert without.get(block_path("secret"), query_of(key_of_file, entry)).status == 500
    for one in (asked, without):
        one.upkeep.close()


def test_a_key_that_is_destroyed_while_its_block_is_read(
    folder: Path, stored: dict[str, tuple[str, BlockEntry]]
) -> None:
    class Destroying(MemoryKeys):
        """Destroys the key after a number of questions."""

        left = 100

        def read(self, sessions: Collection[Session]) -> dict[Session, SessionKey]:
            self.left -= 1
            if self.left == 0:
                self.destroy((1, "zstd"), "ann", 5)
            return super().read(sessions)

    keys = Destroying()
    asked = Asked(folder, keys).start()
    for left in (1, 2, 3):
        keys.left, keys.known = left, {}
        assert asked.get(block_path("zstd"), query_of(*stored["1:zstd"])).status == 410, left
        assert asked.api._memory.used == 0
    asked.upkeep.close()


def test_the_listing_names_who_began_the_session(tmp_path: Path) -> None:
    """SQLite may take a column from any row when several figures are a smallest or a largest."""
    early, lines = block([(1, [line(NOW_MS)])], "s")
    late, late_lines = block([(2, [line(NOW_MS + 9000)])], "s")
    late = replace(late, distinct_id="later", has_full_snapshot=True)
    folder = tmp_path / "storage"
    write_batch_file(folder, (late, late_lines))
    write_batch_file(folder, (replace(early, distinct_id="first"), lines))
    asked = Asked(folder).start()
    (listed,) = asked.get("/api/projects/1/sessions").json["sessions"]
    assert listed["distinct_id"] == "first"
    asked.upkeep.close()
