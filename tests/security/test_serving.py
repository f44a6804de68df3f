"""`serve` answers nobody without a good token, and nothing that a request holds leads out of the storage."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.clock import SystemClock
from recording_worker.errors import ConfigError
from recording_worker.serving.parameters import ParameterError, block_range, session_query
from recording_worker.serving.tokens import Refusal, Tokens, read_secrets
from tests.batch_files import block, line, write_batch_file
from tests.serving import OLD_SECRET, SECRET, Asked, token
from tests.serving_attacks import GONE, Stored, attacks, check, check_the_right_request, write_storage

TOKENS = Tokens([SECRET, OLD_SECRET], SystemClock())
ANY_TEXT = st.text(max_size=60) | st.sampled_from(["..", "/", "30d", "\0", "%00", "blocks/30d/", "1e9", "NaN", "-0"])


def unsigned(algorithm: str) -> str:
    claims = {"team_id": 1, "op": "read", "aud": "posthog:recording_api", "exp": time.time() + 60}
    parts = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": algorithm}, claims)
    )
    return ".".join([*parts, ""])


@pytest.mark.parametrize(
    ("make", "refusal"),
    [
        (lambda: f"Bearer {token()}", None),
        (lambda: f"bearer {token(secret=OLD_SECRET)}", None),
        (lambda: f"Bearer {token(exp=time.time() - 10)}", None),  # clocks may differ by 30 s
        (lambda: "", Refusal.UNAUTHORIZED),
        (lambda: "Bearer", Refusal.UNAUTHORIZED),
        (lambda: f"Basic {token()}", Refusal.UNAUTHORIZED),
        (lambda: token(), Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {unsigned('none')}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {unsigned('None')}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {unsigned('HS256')}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {token(algorithm='HS512', secret=SECRET * 2)}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {token(secret='a-secret-that-nobody-gave-to-anyone')}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {token(exp=time.time() - 31)}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {token(exp=None)}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {token(exp=time.time() + 4000)}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {token(nbf=time.time() + 60)}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {token(aud=None)}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {token(aud='posthog:other')}", Refusal.UNAUTHORIZED),
        (lambda: f"Bearer {token(2)}", Refusal.OTHER_TEAM),
        (lambda: f"Bearer {token('1')}", Refusal.OTHER_TEAM),
        (lambda: f"Bearer {token(True)}", Refusal.OTHER_TEAM),
        (lambda: f"Bearer {token(None)}", Refusal.OTHER_TEAM),
        (lambda: f"Bearer {token(op='delete')}", Refusal.OTHER_OPERATION),
        (lambda: f"Bearer {token(op=None)}", Refusal.OTHER_OPERATION),
    ],
)
def test_who_may_read(make: Callable[[], str], refusal: Refusal | None) -> None:
    """Tokens are made when the test runs, because they end soon."""
    assert TOKENS.refusal(make(), "1") == refusal


@given(st.text(max_size=80), st.text(max_size=5))
def test_no_text_is_a_token(text: str, team: str) -> None:
    assert TOKENS.refusal(f"Bearer {text}", team) is Refusal.UNAUTHORIZED


@given(st.integers(0, 2), st.integers(0, 400), st.integers(0, 255))
def test_no_changed_token_is_a_token(part: int, at: int, value: int) -> None:
    parts = [base64.urlsafe_b64decode(text + "==") for text in token().split(".")]
    changed = bytearray(parts[part])
    at %= len(changed)
    if changed[at] == value:
        return
    changed[at] = value
    parts[part] = bytes(changed)
    text = ".".join(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts)
    assert TOKENS.refusal(f"Bearer {text}", "1") is Refusal.UNAUTHORIZED


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds no secret"),
        (" ,\n", "holds no secret"),
        (f"{SECRET},short", "less than 32 bytes"),
        (b"\xff", "UTF-8"),
    ],
)
def test_secrets_that_are_no_use(tmp_path: Path, content: str | bytes, problem: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=problem) as raised:
        read_secrets(file)
    assert SECRET not in str(raised.value)


def test_secrets_are_separated_by_commas_or_lines(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}, {OLD_SECRET}\n{SECRET}\r\n")
    assert read_secrets(tmp_path / "secret") == [SECRET, OLD_SECRET, SECRET]


@given(
    st.dictionaries(st.sampled_from(["key", "start_byte", "end_byte", "decompress"]), st.lists(ANY_TEXT, max_size=2))
)
def test_any_query_for_a_block_is_read_or_refused(query: dict[str, list[str]]) -> None:
    try:
        wanted = block_range(query)
    except ParameterError:
        return
    assert 0 <= wanted.start <= wanted.end < 2**63 - 1
    assert wanted.key


@given(
    st.dictionaries(
        st.sampled_from(["since", "until", "limit", "cursor", "session", "user"]), st.lists(ANY_TEXT, max_size=2)
    )
)
def test_any_query_for_sessions_is_read_or_refused(query: dict[str, list[str]]) -> None:
    try:
        wanted = session_query(query)
    except ParameterError:
        return
    assert 1 <= wanted.limit <= 1000


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    outside = tmp_path_factory.mktemp("outside")
    folder = outside / "storage"
    write_batch_file(folder, block([(1, [line(1)])]))
    write_batch_file(outside / "secret", block([(1, [line(2)])]))  # a batch file that is not below the storage
    asked = Asked(folder).start()
    yield asked
    asked.upkeep.close()


def keys_outside(asked: Asked) -> list[str]:
    root = Path(str(asked.place))
    (path,) = (root.parent / "secret").glob("blocks/*/*")
    inside = f"secret/blocks/30d/{path.name}"
    return [
        f"../{inside}",
        f"blocks/../../{inside}",
        f"blocks/30d/../../../{inside}",
        f"%2e%2e/{inside}",
        f"..\\{inside}",
        f"{root}/../{inside}",
        f"file://{path}",
        str(path),
        f"/{inside}",
        f"./../{inside}",
        f"..;/{inside}",
        f"blocks/link/30d/{path.name}",
    ]


@pytest.mark.parametrize("number", range(12))
def test_no_key_leads_out_of_the_storage(asked: Asked, number: int) -> None:
    root = Path(str(asked.place))
    link = root / "blocks" / "link"
    if not link.is_symlink():
        link.symlink_to(root.parent / "secret" / "blocks")
    keys = keys_outside(asked)
    assert len(keys) == 12
    query = f"key={quote(keys[number], safe='')}&start_byte=0&end_byte=1"
    assert asked.get("/api/projects/1/recordings/session-1/block", query).status in (400, 404, 500)
    text = asked.get("/api/projects/1/recordings/session-1/blocks")
    assert len(text.json["blocks"]) == 1


@given(path=st.lists(ANY_TEXT, max_size=6).map("/".join), query=ANY_TEXT, header=ANY_TEXT)
def test_any_request_gets_an_answer(asked: Asked, path: str, query: str, header: str) -> None:
    sent = quote(query, safe="=&%/")
    for given_path in (f"/{path}", f"/api/projects/{path}", f"/api/projects/1/recordings/{path}/block"):
        answer: Any = asked.get(given_path, sent, f"Bearer {token()}")
        assert answer.status in (200, 307, 400, 401, 403, 404)
        assert asked.get(given_path, sent, quote(header)).status in (200, 307, 401, 404)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Asked, list[Stored]]]:
    folder = tmp_path_factory.mktemp("attacked") / "storage"
    stored = write_storage(folder)
    asked = Asked(folder).start()
    asked.catalogue.forget({(1, GONE): 1_800_000_000})  # as the metadata topic says it
    yield asked, stored
    check_the_right_request(asked, stored)
    asked.upkeep.close()


@given(st.data())
def test_no_request_gets_what_it_may_not(attacked: tuple[Asked, list[Stored]], data: st.DataObject) -> None:
    asked, stored = attacked
    check(asked, data.draw(attacks(stored)))
