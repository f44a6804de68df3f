"""Where a run's files go."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.end_to_end.machine import pinned
from tests.servers.s3 import KEY, SECRET, RcloneServer

LOCAL = "local"
_BUCKET = "recordings"


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage, and the variables that a process needs to use it."""

    url: str
    """`local`, for a folder of the run, or what the product's setting `storage` takes."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        return self.url == LOCAL


class _PinnedS3(RcloneServer):
    def __init__(self, folder: Path, cores: Sequence[int]) -> None:
        super().__init__(folder)
        self._cores = cores

    def command(self) -> list[str]:
        return [*pinned(self._cores), *super().command()]


@contextmanager
def s3_storage(cores: Sequence[int]) -> Iterator[Storage]:
    """Run an S3 server with a bucket on these cores. It keeps its objects in a folder."""
    with tempfile.TemporaryDirectory(prefix="end-to-end-s3-") as temporary:
        folder = Path(temporary) / "s3"
        (folder / _BUCKET).mkdir(parents=True)
        with _PinnedS3(folder, cores) as server:
            yield Storage(
                f"s3://{_BUCKET}",
                {
                    "AWS_ACCESS_KEY_ID": KEY,
                    "AWS_SECRET_ACCESS_KEY": SECRET,
                    "AWS_EC2_METADATA_DISABLED": "true",
                    "RECORDING_WORKER_S3_ENDPOINT": server.endpoint,
                },
            )


def environment_of(storage: Storage) -> dict[str, str]:
    """Return the variables of a process: this one's without settings of the product, and the storage's."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("RECORDING_WORKER_")}
    return own | dict(storage.environment)
