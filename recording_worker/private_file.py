"""Files with recordings in them that a command writes for its user."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISREG


def write_private(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that only its owner may read, whole or not at all, in place of a regular file of this name.

    A symbolic link is not followed. Links, pipes and devices are not replaced. Raises OSError, and what
    `pieces` raises.
    """
    if os.path.lexists(path) and not S_ISREG(path.lstat().st_mode):
        raise OSError(0, "not a regular file; a link is not followed", str(path))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.writelines(pieces)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
