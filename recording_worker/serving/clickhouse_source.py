"""ClickHouseSource: knows sessions, blocks and deletions by PostHog's table `session_replay_events` in ClickHouse.

The index of a block's file says how the block is stored. Indexes are read when they are first needed, and kept in a
catalogue. A file without an index has blocks of raw snappy, as PostHog's consumer writes them.
"""

import time
from typing import Any

from recording_worker.errors import ClickHouseError
from recording_worker.formats.batch_file import BatchFileError, parse_block_url
from recording_worker.formats.block import MAX_SNAPPY_RATIO
from recording_worker.lookups.clickhouse import ClickHouse, Row
from recording_worker.metrics import ServeMetrics
from recording_worker.reading.catalogue import Catalogue, ListedSession, SessionQuery, StoredBlock
from recording_worker.serving.parameters import ParameterError
from recording_worker.serving.place import Place
from recording_worker.serving.source import MAX_LISTED, BlockPlace, Deletion, look_at
from recording_worker.serving.upkeep import Task

KEPT_FILES = 10_000
"""Files whose indexes are kept."""
_CHECK_SECONDS = 10.0
_DAY_MS = 86_400_000
_LAST_MS = 4_102_444_800_000
"""The year 2100, which all of ClickHouse's types of time know."""

_NOT_EXPIRED = """dateDiff('day', min(min_first_timestamp), now('UTC'), 'UTC')
    < coalesce(max(retention_period_days), 30)"""
"""PostHog's rule (get_block_listing_query in posthog/session_recordings/queries/session_replay_events.py)."""
_SESSION = """SELECT
    max(is_deleted) AS deleted,
    toUnixTimestamp(maxIf(_timestamp, is_deleted = 1)) AS deleted_at,
    {not_expired} AS is_kept,
    {columns}
FROM {table}
WHERE team_id = {{team_id:Int64}} AND session_id = {{session_id:String}}
GROUP BY session_id"""
_IS_NAMED = "max(has(block_urls, {block_url:String})) AS is_named"
_BLOCKS = f"""arraySort(arrayDistinct(groupArrayArray({MAX_LISTED + 1})(arrayMap(
        at -> (toUnixTimestamp64Milli(block_first_timestamps[at]), toUnixTimestamp64Milli(block_last_timestamps[at]),
            block_urls[at]),
        arrayEnumerate(block_urls))))) AS blocks"""
_SESSIONS = """SELECT
    session_id,
    argMin(distinct_id, min_first_timestamp) AS first_distinct_id,
    toUnixTimestamp64Milli(min(min_first_timestamp)) AS first,
    toUnixTimestamp64Milli(max(max_last_timestamp)) AS last,
    sum(length(block_urls)) AS blocks,
    sum(event_count) AS events,
    sum(size) AS bytes
FROM {table}
WHERE team_id = {{team_id:Int64}} AND startsWith(session_id, {{prefix:String}})
    AND min_first_timestamp >= fromUnixTimestamp64Milli({{not_before:Int64}})
GROUP BY session_id
HAVING max(is_deleted) = 0 AND blocks > 0 AND {not_expired}
    AND first >= {{since:Float64}} AND first < {{until:Float64}}
    AND (toFloat64(first), session_id) < ({{before:Float64}}, {{before_id:String}})
    AND ({{any_user:UInt8}} OR first_distinct_id = {{user:String}})
ORDER BY first DESC, session_id DESC
LIMIT {{limit:UInt32}}"""


class ClickHouseSource:
    """See Source. It serves only blocks that ClickHouse names, and if a file has an index, only what that names too."""

    def __init__(
        self, clickhouse: ClickHouse, table: str, place: Place, catalogue: Catalogue, metrics: ServeMetrics
    ) -> None:
        self._clickhouse = clickhouse
        self._place = place
        self._catalogue = catalogue
        self._metrics = metrics
        self._is_named, self._blocks = (
            _SESSION.format(not_expired=_NOT_EXPIRED, table=table, columns=columns) for columns in (_IS_NAMED, _BLOCKS)
        )
        self._sessions = _SESSIONS.format(not_expired=_NOT_EXPIRED, table=table)
        self.tasks = [Task("asking ClickHouse", self._check)]

    def sessions(self, team_id: int, query: SessionQuery) -> list[ListedSession]:
        """See Source. Raises ParameterError if the query asks for what the table does not say."""
        if query.playable is not None:
            raise ParameterError("ClickHouse does not say which sessions are playable")
        before, before_id = query.before or (float("inf"), "")
        found = self._ask(
            self._sessions,
            team_id=team_id,
            prefix=query.prefix,
            # a session may have begun on the day before, and one that ends later has rows of later days
            not_before=int(min(max(query.since - _DAY_MS, 0), _LAST_MS)),
            since=query.since,
            until=query.until,
            before=before,
            before_id=before_id,
            any_user=int(query.distinct_id is None),
            user=query.distinct_id or "",
            limit=query.limit,
        )
        return [
            ListedSession(
                session_id=row["session_id"],
                distinct_id=row["first_distinct_id"],
                blocks=int(row["blocks"]),
                events=int(row["events"]),
                size=int(row["bytes"]),
                first_timestamp=float(row["first"]),
                last_timestamp=float(row["last"]),
                playable=None,
            )
            for row in found
        ]

    def blocks(self, team_id: int, session_id: str) -> list[BlockPlace] | Deletion:
        said = self._session(self._blocks, team_id, session_id)
        if said is None or isinstance(said, Deletion):
            return said or []
        return [place for found in said["blocks"] if (place := self._block_place(*found)) is not None]

    def _block_place(self, first: int, last: int, url: str) -> BlockPlace | None:
        """Return where a block is; None if it is not in this storage."""
        try:
            place = parse_block_url(url)
            file = self._place.locator.open(place.file)
        except (ValueError, BatchFileError):
            return None
        return BlockPlace(file.name, place.start, place.length, float(first), float(last))

    def find(self, team_id: int, session_id: str, file: str, start: int, length: int) -> StoredBlock | Deletion | None:
        url = f"{self._place.url_of(file)}?range=bytes={start}-{start + length - 1}"
        said = self._session(self._is_named, team_id, session_id, block_url=url)
        if isinstance(said, Deletion):
            return said
        if said is None or not said["is_named"] or not look_at(file, self._place, self._catalogue):
            return None
        if self._catalogue.has_index(file):
            return self._catalogue.block(team_id, session_id, file, start, length)
        return StoredBlock(
            file=file,
            codec="",
            dictionary=None,
            start=start,
            length=length,
            size=length * MAX_SNAPPY_RATIO,
            team_id=team_id,
            session_id=session_id,
            encryption=None,
            first_timestamp=0.0,
            last_timestamp=0.0,
        )

    def deletion(self, team_id: int, session_id: str) -> Deletion | None:
        said = self._session(self._is_named, team_id, session_id, block_url="")
        return said if isinstance(said, Deletion) else None

    def _session(self, query: str, team_id: int, session_id: str, **parameters: str) -> Row | Deletion | None:
        """Return what is said of a session; None if nothing is, or if it has expired."""
        rows = self._ask(query, team_id=team_id, session_id=session_id, **parameters)
        if not rows:
            return None
        if rows[0]["deleted"]:
            at = int(rows[0]["deleted_at"])
            if self._catalogue.deleted_at(team_id, session_id) is None:
                self._catalogue.forget({(team_id, session_id): at})
            return Deletion(at)
        return rows[0] if rows[0]["is_kept"] else None

    def _ask(self, query: str, **parameters: Any) -> list[Row]:
        began = time.monotonic()
        try:
            return self._clickhouse.ask(query, parameters)
        except ClickHouseError:
            self._metrics.serve_clickhouse_errors.inc()
            raise
        finally:
            self._metrics.serve_clickhouse_seconds.observe(time.monotonic() - began)

    def _check(self, task: Task) -> None:
        """Ask for a session that nobody has, and keep the catalogue small."""
        self._session(self._blocks, 0, "")
        self._catalogue.keep(KEPT_FILES)
        files, sessions = self._catalogue.counts()
        self._metrics.serve_files.set(files)
        self._metrics.serve_sessions.set(sessions)
        task.worked()
        task.closing.wait(_CHECK_SECONDS)
