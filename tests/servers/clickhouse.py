"""ClickHouse (chdb) in a process of its own, with the tables of deploy/clickhouse.

chdb has the Kafka engine, which checks what a queue is made with, but none of the background threads that read for
it. So each queue is made as the files say, and once more as a stand-in of the same columns, from which the views of
the files read.
"""

import json
import multiprocessing
import re
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

DEPLOY = Path(__file__).parents[2] / "deploy" / "clickhouse"
FILES = ("kafka.sql", "session_replay_events.sql", "log_entries.sql", "ingestion_warnings.sql")
QUEUES = ("kafka_session_replay_events", "kafka_log_entries", "kafka_ingestion_warnings")
_VIRTUAL = {
    "_topic": "String",
    "_partition": "UInt64",
    "_offset": "UInt64",
    "_timestamp": "Nullable(DateTime)",
    "_error": "String",
    "_raw_message": "String",
}
"""The Kafka engine's own columns that the views read."""
_NO_THREADS = "Shutdown was called"
"""What chdb says once a table of the Kafka engine is made, because it has no threads that would read it."""
_FIRST_ANSWER_SECONDS = 60
_READ_SECONDS = 60

Row = dict[str, Any]


class ClickHouseError(Exception):
    """What ClickHouse says."""


class ClickHouse:
    """Two databases: `queues` holds what the files make, word by word; `tables` has stand-ins for the queues."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        if not self._connection.poll(_FIRST_ANSWER_SECONDS):
            raise ClickHouseError("chdb does not start")
        self._connection.recv()
        for database in ("queues", "tables"):
            self.query(f"CREATE DATABASE {database}")
            self.query(f"USE {database}")
            for statement in self.statements():
                if "ENGINE = Kafka" in statement:
                    self._make_queue(statement, stand_in=database == "tables")
                else:
                    self.query(statement)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.kill()
        self._process.join()

    def query(self, sql: str, **parameters: object) -> list[Row]:
        """The rows of the answer. Raises ClickHouseError."""
        return [json.loads(line) for line in self.text(sql, **parameters).splitlines()]

    def text(self, sql: str, **parameters: object) -> str:
        """The answer as JSON lines. Raises ClickHouseError."""
        self._connection.send((sql, parameters))
        answer: str
        answer, error = self._connection.recv()
        if error is not None:
            raise ClickHouseError(error)
        return answer

    def query_file(self, name: str, **parameters: object) -> list[Row]:
        """The answer to a query of deploy/clickhouse/queries."""
        return self.query((DEPLOY / "queries" / f"{name}.sql").read_text(), **parameters)

    def statements(self) -> Iterator[str]:
        """The statements of the files, in order, without comments."""
        for name in FILES:
            text = re.sub(r"^\s*--.*\n", "", (DEPLOY / name).read_text(), flags=re.MULTILINE)
            yield from (statement for statement in text.split(";\n") if statement.strip())

    def pass_on(self, queue: str, rows: Sequence[Row]) -> None:
        """Pass rows, which all have the columns of the first, to the views of a queue."""
        columns = ", ".join(f"`{name}`" for name in rows[0])
        values = "\n".join(json.dumps(row) for row in rows)
        self.query(
            f"INSERT INTO {queue} ({columns}) SETTINGS insert_allow_materialized_columns = 1"
            f" FORMAT JSONEachRow {values}"
        )

    def read(self, queue: str, bootstrap_servers: str, topic: str, records: int) -> list[Row]:
        """`records` records of a topic as a queue reads them, with the columns of the Kafka engine."""
        self.query(f"ALTER NAMED COLLECTION recordings_kafka SET kafka_broker_list = '{bootstrap_servers}'")
        self.query("CREATE DATABASE IF NOT EXISTS reading")
        made = next(text for text in self.statements() if f"{queue}\n" in text and "ENGINE = Kafka" in text)
        made = re.sub(
            r"kafka_topic_list = '\w+'", f"kafka_topic_list = '{topic}'", made.replace(queue, f"reading.{queue}")
        )
        deadline = time.monotonic() + _READ_SECONDS
        while True:
            # a queue gives its records once, and nothing if it had no partition yet: then a new one is made
            self._make_queue(made, stand_in=False)
            rows = self.query(
                f"SELECT {', '.join(['*', *_VIRTUAL])} FROM reading.{queue}"
                " SETTINGS stream_like_engine_allow_direct_select = 1"
            )
            if len(rows) == records:
                return rows
            assert time.monotonic() < deadline, rows
            self.query(f"DROP TABLE reading.{queue} SYNC")

    def _make_queue(self, statement: str, *, stand_in: bool) -> None:
        if stand_in:
            virtual = "".join(
                f", {name} {kind} MATERIALIZED defaultValueOfTypeName('{kind}')" for name, kind in _VIRTUAL.items()
            )
            self.query(re.sub(r"\n\)\nENGINE = Kafka.*", f"{virtual}) ENGINE = Null", statement, flags=re.DOTALL))
            return
        try:
            self.query(statement)
        except ClickHouseError as error:
            if _NO_THREADS not in str(error):
                raise


def _serve(connection: Connection) -> None:
    from chdb.session import Session  # here: half a gigabyte that only this process is to load

    session = Session()  # type: ignore[no-untyped-call]
    connection.send(None)
    while True:
        try:
            sql, parameters = connection.recv()
        except EOFError:
            sys.exit()
        try:
            answer = session.query(sql, "JSONEachRow", params=parameters)  # type: ignore[no-untyped-call]
            connection.send((str(answer), None))
        except RuntimeError as error:
            connection.send(("", str(error)))
