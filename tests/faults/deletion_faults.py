"""Deletion: a session is deleted while it is recorded, as an operator deletes it."""

import json
import subprocess
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

import redis
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from recording_worker.errors import StoreError
from recording_worker.formats.session_keys import cached_key_name
from tests.faults.arena import KEY_CHECK_SECONDS, Round
from tests.faults.deletions import Deletion, Session
from tests.faults.messages import some_session

_COMPLETE_SECONDS = 120.0
"""A deletion becomes complete within this time, whatever happens meanwhile. It is run again until then."""
_DELETING = Lock()
"""Only one deletion at a time: a second one would end the first."""

Answer = TypeVar("Answer")


def delete_session(at: Round) -> int:
    """A session is deleted at any moment of its recording. Half of the time `delete` is killed first, and run again."""
    if not _DELETING.acquire(blocking=False):
        raise TimeoutError("another session is being deleted")
    try:
        session = some_session(at.chance)
        with at.load.favouring(session[1]):
            return _delete(at, session)
    finally:
        _DELETING.release()


def _delete(at: Round, session: Session) -> int:
    assert at.keys is not None
    key_of, cache = at.keys.key_of, cached_key_name(session)
    at.hits(lambda: _patiently(lambda: key_of(*session)) is not None)
    time.sleep(at.chance.uniform(0, 2))
    key = _patiently(lambda: key_of(*session))
    if key is None:
        raise TimeoutError(f"session {session} was deleted before")
    with at.arena.redis.client() as reader:
        _patiently(lambda: reader.set(cache, "what PostHog's reader keeps of the key"))
        deletion = Deletion(session, key, at.committed_now())
        at.deletions.begin(deletion)
        certificate = _run_until_complete(at, session)
        deletion.done_at = time.time()
        assert not _patiently(lambda: reader.exists(cache)), f"{session}: its key is still in Redis"
    (certified,) = certificate["sessions"]
    assert certified["key"] in ("destroyed", "destroyed before"), certificate
    assert all(block["result"] == "unreadable" for block in certified["blocks"]), certificate
    time.sleep(KEY_CHECK_SECONDS + 1)  # messages of it are sent that no worker may record
    return 1


def _run_until_complete(at: Round, session: Session) -> dict[str, Any]:
    """Run `delete` again and again, as its operator would. Return its certificate, once that is complete."""
    seconds = at.chance.choice((at.chance.uniform(0.3, 3), _COMPLETE_SECONDS))
    deadline = time.monotonic() + _COMPLETE_SECONDS
    named = ["--team", str(session[0]), "--session", session[1]]
    while True:
        try:
            done = at.operator.run("delete", *named, "--by", "faults", "--yes", "--json", seconds=seconds)
        except subprocess.TimeoutExpired:  # and it was killed
            said = f"no answer in {seconds:.1f} s"
        else:
            if done.returncode == 0:
                certificate: dict[str, Any] = json.loads(done.stdout)
                return certificate
            said = f"exit code {done.returncode}: {done.stdout}{done.stderr}"
            assert done.returncode in (1, 3), said
        assert time.monotonic() < deadline, f"the deletion does not become complete: {said}"
        seconds = _COMPLETE_SECONDS


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask a server. Another fault may have it in hand."""
    away = retry_if_exception_type((StoreError, redis.ConnectionError))
    return Retrying(retry=away, stop=stop_after_delay(60), wait=wait_fixed(0.2), reraise=True)(ask)
