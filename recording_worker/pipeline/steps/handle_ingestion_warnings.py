"""handle_ingestion_warnings: warns teams about what they sent, once per team, type and key in an interval."""

from collections import OrderedDict

import orjson

from recording_worker.clock import Clock
from recording_worker.formats.timestamps import utc_text
from recording_worker.lookups.teams.service import TeamService
from recording_worker.messages import OutputRecord
from recording_worker.pipeline.batch import IngestionWarning, MessageBatch
from recording_worker.pipeline.step import Step

SOURCE = "recording-worker"


class Debouncer:
    """Lets a key pass once per `seconds`. Remembers the `capacity` keys that passed last."""

    def __init__(self, seconds: float, capacity: int = 100_000) -> None:
        self._interval_ms = seconds * 1000
        self._capacity = capacity
        self._passed: OrderedDict[tuple[int, str, str], int] = OrderedDict()

    def passes(self, key: tuple[int, str, str], now_ms: int) -> bool:
        """Return whether the key may pass at `now_ms`. If it may, remember that."""
        last = self._passed.get(key)
        if last is not None and abs(now_ms - last) < self._interval_ms:
            return False
        self._passed[key] = now_ms
        self._passed.move_to_end(key)
        if len(self._passed) > self._capacity:
            self._passed.popitem(last=False)
        return True


class HandleIngestionWarnings(Step):
    """Reads `warnings`; sets `warned` and adds their records, which leave with the offsets of the session batch.

    A warning may come from a row that ended before its team was resolved, so this looks the team up by the token.
    Without a team there is nobody to warn. `clock` is None in offline runs: there the Kafka timestamp of each message
    counts as now.
    """

    name = "handle_ingestion_warnings"

    def __init__(self, topic: str, teams: TeamService, debounce_seconds: float, clock: Clock | None) -> None:
        self._topic = topic
        self._teams = teams
        self._debouncer = Debouncer(debounce_seconds)
        self._clock = clock

    def run(self, batch: MessageBatch) -> None:
        for warning in batch.warnings:
            if not batch.counts(warning.row):
                continue
            team = batch.team(warning.row) or self._teams.get(batch.tokens[warning.row] or "")
            if team is None:
                continue
            now_ms = batch.timestamps_ms[warning.row] if self._clock is None else self._clock.now_ms()
            if self._debouncer.passes((team.id, warning.type, warning.debounce_key), now_ms):
                batch.records.append((batch.partitions[warning.row], self._record(warning, team.id, now_ms)))
                batch.warned[batch.partitions[warning.row], warning.type] += 1

    def _record(self, warning: IngestionWarning, team_id: int, now_ms: int) -> OutputRecord:
        """Return the record that PostHog's ingestion_warnings table reads. `details` is JSON text."""
        value = {
            "team_id": team_id,
            "source": SOURCE,
            "type": warning.type,
            "details": orjson.dumps(warning.details).decode(),
            "timestamp": utc_text(now_ms),
        }
        return OutputRecord(self._topic, str(team_id).encode(), orjson.dumps(value), [], 0)
