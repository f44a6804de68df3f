"""Encrypted blocks, both ways between this worker and libsodium-wrappers in Node, which PostHog uses."""

import base64
import json
import os
import subprocess
from pathlib import Path

from benchmarks.contenders.node import prepare_node
from recording_worker.formats.secretbox import seal, unseal

SCRIPT = Path(__file__).with_name("secretbox.mjs")


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_each_opens_what_the_other_has_sealed() -> None:
    key, contents = os.urandom(32), [b"", b"x", os.urandom(100_000)]
    node, script = prepare_node()
    request = {
        "key": text(key),
        "stored": [text(bytes(seal(content, key))) for content in contents],
        "contents": [text(content) for content in contents],
    }
    done = subprocess.run(
        [node, str(SCRIPT), str(script.parent)],
        input=json.dumps(request),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [base64.b64decode(each) for each in answer["opened"]] == contents
    assert [unseal(base64.b64decode(each), key) for each in answer["sealed"]] == contents
