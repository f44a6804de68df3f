"""Where the hosts of a round store files, and how that fails for one host: a folder, or an S3 server behind doors."""

import time
from pathlib import Path
from typing import Any, Protocol

from tests.faults.processes import has_connection
from tests.servers.faulty_proxy import WRITES, FaultyProxy, S3Request, error_answer, operation_of
from tests.servers.s3 import Bucket


class HostStorage(Protocol):
    """One host's storage. It fails if it is told to."""

    environment: dict[str, str]
    """What the host's processes need in their environment."""

    def settings(self) -> dict[str, Any]:
        """The worker's settings for it."""

    def set_order(self, order: str) -> None:
        """`fail`, `full`, `hang`, or nothing for storage that works."""

    @property
    def hits(self) -> int:
        """How many writes have failed or hung."""

    def hanging(self, workers: list[int]) -> list[int]:
        """Which of these workers hang in a write."""

    def close(self) -> None:
        """Let all go on that hangs."""


class FolderStorage:
    """A folder, and a file by which `tests.faults.host` is told how it fails."""

    def __init__(self, folder: Path, control: Path) -> None:
        self._folder = folder
        self._control = control
        self._control.touch()
        self.environment = {"FAULTY_STORAGE": str(control)}

    def settings(self) -> dict[str, Any]:
        return {"storage_dir": str(self._folder)}

    def set_order(self, order: str) -> None:
        temporary = self._control.with_name(f".{self._control.name}")
        temporary.write_text(order)
        temporary.rename(self._control)

    @property
    def hits(self) -> int:
        hits = self._control.with_name(f"{self._control.name}.hits")
        return len(hits.read_bytes()) if hits.exists() else 0

    def hanging(self, workers: list[int]) -> list[int]:
        """Which of these workers hang in a write.

        The system gives the ids of those that were killed to other processes and threads, even to the tests' own.
        """
        found = [int(path.suffix[1:]) for path in self._control.parent.glob(f"{self._control.name}.hanging.*")]
        return [pid for pid in workers if pid in found]

    def close(self) -> None:
        self.set_order("")


class S3Storage(FolderStorage):
    """A bucket behind a door of the host's own: what fails is what the door answers."""

    def __init__(self, bucket: Bucket, control: Path) -> None:
        super().__init__(control.parent, control)  # its own processes find storage that works, whatever the door does
        self._bucket = bucket
        self._door = S3Door(bucket.server.port)

    def settings(self) -> dict[str, Any]:
        quick = {"s3_connect_timeout": 1.0, "s3_read_timeout": 20.0, "s3_retry_for": 2.0}
        return {"storage": self._bucket.url, "s3_endpoint": self._door.endpoint, "s3_region": "us-east-1", **quick}

    def set_order(self, order: str) -> None:
        self._door.order = order

    @property
    def hits(self) -> int:
        return self._door.hits

    def hanging(self, workers: list[int]) -> list[int]:
        return [
            pid
            for pid in workers
            if any(has_connection(pid, port, {self._door.port}) for port in self._door.hanging.copy())
        ]

    def close(self) -> None:
        self._door.order = ""
        self._door.close()


class S3Door(FaultyProxy):
    """Passes requests on. Those that write fail or hang as long as there is an order for it.

    A request that hung is carried out afterwards, even if its client has given it up.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port, 0, writes=0, others=0)
        self.order = ""
        self.hits = 0
        self.hanging: set[int] = set()
        """The clients' ports."""

    def forward(self, request: S3Request) -> None:
        order = self.order if operation_of(request.command, request.path) in WRITES else ""
        self.hits += bool(order)
        match order:
            case "fail":
                request.whole_request()
                request.wfile.write(error_answer(500, "InternalError", ""))
            case "full":
                request.whole_request()
                request.wfile.write(error_answer(507, "XMinioStorageFull", ""))
            case "hang":
                port = request.client_address[1]
                self.hanging.add(port)
                while self.order == "hang":
                    time.sleep(0.01)
                self.hanging.discard(port)
                super().forward(request)
            case _:
                super().forward(request)
