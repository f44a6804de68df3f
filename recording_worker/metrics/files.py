"""AllocatedDict: a file of shared metrics that never ends its process, even if its folder is full."""

import errno
import os

import structlog
from prometheus_client.mmap_dict import MmapedDict

log = structlog.get_logger()

_FIRST_BYTES = 1 << 16
"""What prometheus_client makes a new file as long as."""
_ENTRY_BYTES = 64
"""More than an entry takes in addition to its name."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class AllocatedDict(MmapedDict):
    """A file of values that has its space before it is written to.

    prometheus_client makes its files longer, but does not allocate them. In a full folder the first write to a page
    that is not there then ends the process by SIGBUS. Here the values go on in memory if there is no space: what is
    counted from then on is not served, but nothing stops.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        try:
            with open(filename, "ab") as file:  # noqa: PTH123 - as the base class opens it
                os.posix_fallocate(file.fileno(), 0, max(_FIRST_BYTES, file.tell()))
        except OSError as error:
            if error.errno not in _FULL:
                raise
            os.unlink(filename)  # noqa: PTH108 - one that is empty can't be served
            filename = _in_memory(filename, error)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        capacity = self._capacity
        while self._used + len(key.encode()) + _ENTRY_BYTES > capacity:
            capacity *= 2
        if capacity > self._capacity:
            try:
                os.posix_fallocate(self._f.fileno(), 0, capacity)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                content = self._m[:]
                self._f = open(_in_memory(self._fname, error), "a+b")  # noqa: SIM115, PTH123 - closed by the base class
                self._f.write(content)
                self._f.flush()
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _in_memory(filename: str, error: OSError) -> str:
    """Return the path of a file in memory, which replaces this one."""
    log.error("no space for metrics: from now on they are not served", file=filename, error=str(error))
    return f"/proc/self/fd/{os.memfd_create('metrics')}"
