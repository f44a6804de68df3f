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
    """Reads `lib_versions`; adds a warning for rows sent by a client that is too old.

    Warnings are debounced by major and minor version, which a sender can't make up without end. PostHog's consumer
    debounces them by the whole text (lib-version-monitor.ts).
    """

    name = "track_lib_version"

    def run(self, batch: MessageBatch) -> None:
        distinct = batch.lib_versions.distinct
        too_old = [_too_old(lib_version) for lib_version in distinct]
        if not any(too_old):
            return
        for row, code in enumerate(batch.lib_versions.codes):
            version = too_old[code]
            if version and not batch.dispositions[row]:
                major, minor = version
                details: dict[str, object] = {
                    "libVersion": distinct[code],
                    "parsedVersion": {"major": major, "minor": minor},
                }
                batch.warnings.append(IngestionWarning(row, WARNING_TYPE, details, debounce_key=f"{major}.{minor}"))


def _too_old(lib_version: str | None) -> tuple[int, int] | None:
    """Return major and minor of a version that is too old; None of any other text."""
    parsed = _parse(lib_version) if lib_version and len(lib_version) <= _LONGEST else None
    return parsed if parsed and parsed[0] == 1 and parsed[1] < OLDEST_MINOR else None


@lru_cache(maxsize=1_000)
def _parse(lib_version: str) -> tuple[int, int] | None:
    """Return major and minor of a version of three parts ("1.74.2-beta"), or None if it is something else."""
    parts = lib_version.split(".")
    if len(parts) != 3 or not (_is_number(parts[0]) and _is_number(parts[1])):
        return None
    return int(parts[0]), int(parts[1])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
