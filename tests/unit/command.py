"""The command line, run in this process."""

import sys
from io import BytesIO, TextIOWrapper
from typing import NamedTuple
from unittest.mock import patch

import pytest

from recording_worker.cli import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


def run(*arguments: object) -> Done:
    """Run a command to its end."""
    out, err = (TextIOWrapper(BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    argv = ["recording-worker", *map(str, arguments)]
    with (
        patch.multiple(sys, argv=argv, stdout=out, stderr=err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    assert isinstance(ended.value.code, int)
    return Done(ended.value.code, *(stream.buffer.getvalue().decode() for stream in (out, err)))
