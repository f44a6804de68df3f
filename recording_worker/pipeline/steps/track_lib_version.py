"""track_lib_version: warns teams whose pages load an old client."""

from functools import lru_cache

from recording_worker.pipeline.batch import IngestionWarning, MessageBatch
from recording_worker.pipeline.step import Step

WARNING_TYPE = "replay_lib_version_too_old"
OLDEST_MINOR = 75
"""Clients 1.x below this minor version are too old."""
_LONGEST = 100
"""Characters. A longer text is not a version: the memory for versions must be limited."""


class TrackLibVersion(Step):
    """Reads `lib_versions`; adds a warning, debounced by version, for rows sent by a client that is too old."""

    name = "track_lib_version"

    def run(self, batch: MessageBatch) -> None:
        for row in batch.ok_rows():
            lib_version = batch.lib_versions[row]
            parsed = _parse(lib_version) if lib_version and len(lib_version) <= _LONGEST else None
            if parsed is not None and parsed[0] == 1 and parsed[1] < OLDEST_MINOR:
                details: dict[str, object] = {
                    "libVersion": lib_version,
                    "parsedVersion": {"major": parsed[0], "minor": parsed[1]},
                }
                batch.warnings.append(IngestionWarning(row, WARNING_TYPE, details, debounce_key=lib_version or ""))


@lru_cache(maxsize=1_000)
def _parse(lib_version: str) -> tuple[int, int] | None:
    """Return major and minor of a version of three parts ("1.74.2-beta"), or None if it is something else."""
    parts = lib_version.split(".")
    if len(parts) != 3 or not (_is_number(parts[0]) and _is_number(parts[1])):
        return None
    return int(parts[0]), int(parts[1])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
