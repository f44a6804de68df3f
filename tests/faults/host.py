"""`python -m tests.faults.host run …`: the worker's command on storage that fails when it is told to.

The file named by FAULTY_STORAGE says how: `fail` (EIO), `full` (ENOSPC), `hang`; nothing where all is well. Files
are written halfway first, as a device would. Each write that is hit adds a byte to a file of the same name with
`.hits` added. Spawned processes import this module again, so the workers have it too.
"""

import errno
import os
import time
from pathlib import Path

from recording_worker.cli import main
from recording_worker.storage.local import backend as local

ERRORS = {"fail": errno.EIO, "full": errno.ENOSPC}

_control = Path(os.environ["FAULTY_STORAGE"])
_really_write = local._write_file


def _write_file(folder: int, name: str, content: memoryview, start: int = 0) -> int:
    if name.startswith(".check"):  # the worker's proof at its start that files can be written
        return _really_write(folder, name, content, start)
    order = _control.read_text()
    if order:
        with _control.with_name(f"{_control.name}.hits").open("ab") as hits:
            hits.write(b".")
    if order in ERRORS:
        _really_write(folder, name, content[: len(content) // 2], start)
        raise OSError(ERRORS[order], os.strerror(ERRORS[order]))
    if order == "hang":
        hanging = _control.with_name(f"{_control.name}.hanging.{os.getpid()}")
        hanging.touch()
        while _control.read_text() == "hang":
            time.sleep(0.01)
        hanging.unlink(missing_ok=True)
    return _really_write(folder, name, content, start)


local._write_file = _write_file

if __name__ == "__main__":
    main()
