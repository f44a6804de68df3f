"""Everything is read back as PostHog's reader does it, in Node with the packages that it uses, and is what was sent."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.contenders.node import prepare_node
from tests.posthog.written import BLOCKED_SESSION, Line, Written, sent

READER = Path(__file__).with_name("read_back.mjs")


@pytest.fixture(scope="module")
def read_back(written: Written) -> dict[str, list[Line]]:
    """Session → its lines, from its blocks in the order in which PostHog lists them."""
    node, script = prepare_node()
    blocks = sorted(written.blocks, key=lambda block: str(block["first_timestamp"]))
    request = {"endpoint": written.endpoint, "urls": [block["block_url"] for block in blocks]}
    done = subprocess.run(
        [node, str(READER), str(script.parent)],
        input=json.dumps(request),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[Line]] = {}
    for block, lines in zip(blocks, done.stdout.removesuffix("\n").split("\n"), strict=True):
        found.setdefault(block["session_id"], []).extend(json.loads(lines))
    return found


def test_every_session_comes_back(read_back: dict[str, list[Line]]) -> None:
    assert read_back.keys() == sent().keys()
    assert BLOCKED_SESSION not in read_back


def test_every_event_is_what_was_sent(read_back: dict[str, list[Line]]) -> None:
    for session, lines in sent().items():
        assert len(read_back[session]) == len(lines)
        different = [at for at, pair in enumerate(zip(lines, read_back[session], strict=True)) if pair[0] != pair[1]]
        assert different == [], f"session {session}"
