"""Three encrypted sessions to delete, with their metadata, on real servers."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Producer

from recording_worker.formats.session_keys import cached_key_name
from recording_worker.keys.postgres import TABLE
from recording_worker.storage.local.file import find_files
from tests.integration import command
from tests.integration.committed import METADATA, committed_records
from tests.integration.test_encryption import SESSIONS, Recordings
from tests.servers.kafka import KafkaServer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.unit.command import Done, run


class Stage:
    """Three encrypted sessions, with their metadata on a topic of its own, and Redis as PostHog's reader fills it."""

    def __init__(
        self,
        recordings: Recordings,
        kafka: KafkaServer,
        redis: RedisServer,
        new_topic: Callable[..., str],
        folder: Path,
    ) -> None:
        self.recordings, self.kafka, self.redis = recordings, kafka, redis
        self.source, self.metadata = new_topic(2, retention_ms=86_400_000, segment_ms=3_600_000), new_topic(1)
        self.config = folder / "tools.toml"
        self.write(bootstrap_servers=kafka.bootstrap_servers)
        lines = (recordings.out / "topics" / f"{METADATA}.jsonl").read_text().splitlines()
        self.values = [json.loads(line)["value"] for line in lines]
        self.send(self.values)
        self.team_id = recordings.team_id
        self.cache(*SESSIONS)

    def write(self, **settings: str) -> None:
        names = {
            "topic": self.source,
            "metadata_topic": self.metadata,
            "dlq_topic": "not-there",
            "storage_dir": str(self.recordings.out / "blocks"),
            "keys_redis": self.redis.url,
            **settings,
        }
        self.config.write_text("".join(f'{name} = "{value}"\n' for name, value in names.items()))

    def send(self, values: Sequence[object]) -> None:
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap_servers})
        for value in values:
            producer.produce(self.metadata, json.dumps(value).encode(), key=b"x")
        assert producer.flush(30) == 0

    def cache(self, *session_ids: str) -> None:
        with self.redis.client() as client:
            for session_id in session_ids:
                client.set(cached_key_name((self.team_id, session_id)), "a key")

    def cached(self) -> set[str]:
        with self.redis.client() as client:
            return {name.rpartition(":")[2] for name in client.keys("@posthog/replay/recording-key:*")}

    def delete(self, *arguments: str | Path, by: str = "ann@example.com") -> Done:
        return run("delete", "--config", self.config, *self.recordings.key_settings, "--by", by, *arguments)

    def delete_session(self, session_id: str, *arguments: str | Path, **given: str) -> Done:
        return self.delete("--team", str(self.team_id), "--session", session_id, "--yes", "--json", *arguments, **given)

    def has_key(self, session_id: str) -> bool:
        session = self.team_id, session_id
        return self.recordings.store.read([session])[session].key is not None

    def marks(self) -> list[dict[str, Any]]:
        """The records that say that a session is deleted."""
        found = [
            json.loads(record.value()) for record in committed_records(self.kafka.bootstrap_servers, self.metadata)
        ]
        return [value for value in found if value["is_deleted"]]


class Ingested:
    """The same recordings for all tests: what a test changes is put back."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.recordings = Recordings(folder, server, "zstd")
        self.recordings.ingest(self.recordings.out)
        self._url = server.url
        with psycopg.connect(self._url) as connection:
            self._rows = connection.execute("SELECT * FROM session_recording_keys").fetchall()
        self._blocks = self.recordings.out / "blocks"
        shutil.copytree(self._blocks, folder / "saved")
        self._saved = folder / "saved"
        clear = folder / "clear"
        assert command.run("ingest", self.recordings.file, "--out", clear, "--any-token").code == 0
        (file,) = find_files([str(clear / "blocks")])
        self.clear = Path(file.name)
        """A file with the same sessions in the clear."""

    def put_clear_file(self) -> Path:
        """Store the file that is in the clear with the others. Return where it is then."""
        moved = self._blocks / "30d" / self.clear.name
        shutil.copyfile(self.clear, moved)
        return moved

    def restore(self) -> None:
        shutil.rmtree(self._blocks)
        shutil.copytree(self._saved, self._blocks)
        with psycopg.connect(self._url) as connection:
            connection.execute("DROP TABLE IF EXISTS session_recording_keys")
            connection.execute(TABLE)
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO session_recording_keys VALUES (%s, %s, %s, %s, %s, %s, %s)", self._rows)
