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
        too_old = [_too_old(lib_version) for lib_version in batch.lib_versions.distinct]
        if not any(too_old):
            return
        for row, version in enumerate(batch.lib_versions.codes):
            details = too_old[version]
            if details and not batch.dispositions[row]:
                key = str(details["libVersion"])
                batch.warnings.append(IngestionWarning(row, WARNING_TYPE, details, debounce_key=key))


def _too_old(lib_version: str | None) -> dict[str, object] | None:
    """Return what to tell about a version that is too old; None about any other text."""
    parsed = _parse(lib_version) if lib_version and len(lib_version) <= _LONGEST else None
    if parsed is None or parsed[0] != 1 or parsed[1] >= OLDEST_MINOR:
        return None
    return {"libVersion": lib_version, "parsedVersion": {"major": parsed[0], "minor": parsed[1]}}


@lru_cache(maxsize=1_000)
def _parse(lib_version: str) -> tuple[int, int] | None:
    """Return major and minor of a version of three parts ("1.74.2-beta"), or None if it is something else."""
    parts = lib_version.split(".")
    if len(parts) != 3 or not (_is_number(parts[0]) and _is_number(parts[1])):
        return None
    return int(parts[0]), int(parts[1])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
