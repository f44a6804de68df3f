import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats.accounts import (
    ACCOUNT_HEADER,
    Account,
    AccountRecord,
    Committed,
    account_header,
    read_accounts,
    read_committed,
)
from recording_worker.messages import Record

counts = st.integers(0, 10**9)
accounts = st.builds(Account, counts, counts, counts, counts, counts, counts, counts)


@given(st.none() | accounts, st.sampled_from(["", "wuvBMDZuQBuIazGEOBDRtA"]))
def test_what_was_committed_is_found_again(account: Account | None, topic_id: str) -> None:
    committed = Committed(topic_id, account)
    assert read_committed(committed.to_text(), account.next if account else 7) == committed


def test_what_earlier_versions_committed_is_read() -> None:
    """They committed the account alone, and no id."""
    text = '{"start": 1, "next": 9, "recorded": 0, "dropped": 2, "redirected": 0, "dlq": 0, "skipped": 0}'
    assert read_committed(text, 9) == Committed("", Account(1, 9, dropped=2))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "by hand",
        "[1]",
        '{"start": 1}',
        '{"start": 1, "next": 9, "more": 1}',
        '{"start": "1", "next": 9}',
        '{"start": 1.5, "next": 9}',
        '{"start": 1, "next": 8}',
        '{"start": -1, "next": 9}',
        '{"start": 1, "next": 9, "recorded": 9223372036854775808}',
        '{"start": NaN, "next": 9}',
        '{"topic_id": 7}',
        '{"topic_id": "a", "account": {"start": 1, "next": 8}}',
        '{"topic_id": "a", "more": 1}',
    ],
)
def test_what_another_tool_committed_says_nothing(text: str) -> None:
    assert read_committed(text, 9) == Committed()


def test_accounts_that_follow_each_other_add_up() -> None:
    first = Account(10, 20, recorded=5, dropped=1, redirected=2, dlq=1, skipped=1)
    later = Account(22, 30, recorded=4, dropped=3, redirected=5, dlq=2, skipped=7)
    assert first.followed_by(later) == Account(10, 30, recorded=9, dropped=4, redirected=7, dlq=3, skipped=8)


def test_the_header_of_a_batch_is_read_again() -> None:
    accounts = {3: Account(1, 4, recorded=2, dlq=1), 5: Account(7, 9, skipped=2)}
    header = account_header("recordings", "recorders", accounts, topic_id="id")
    found = read_accounts(Record("metadata", 0, 7, 1_000, [("other", b"x"), header], b"{}"), "batch")
    assert list(found) == [
        AccountRecord("recorders", "recordings", number, account, "batch", 1_000, "id")
        for number, account in accounts.items()
    ]
    assert list(read_accounts(Record("metadata", 0, 7, 1_000, [], b"{}"), "batch")) == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"topic": "t", "group": "g", "partitions": {"0": {"start": 1}}}',
        b'{"topic": "t", "group": "g", "partitions": {"-1": {"start": 1, "next": 2}}}',
        b'{"topic": "t", "group": "g", "partitions": {"0": {"start": [], "next": 2}}}',
        b'{"topic": "t", "group": "g", "partitions": {"0": {"start": 1, "next": 9223372036854775808}}}',
        b'{"topic": {}, "group": "g", "partitions": {"0": {"start": 1, "next": 2}}}',
    ],
)
def test_a_header_of_another_form_is_refused(text: bytes) -> None:
    record = Record("metadata", 0, 7, 1_000, [(ACCOUNT_HEADER, text)], b"{}")
    with pytest.raises(ValueError, match=ACCOUNT_HEADER):
        list(read_accounts(record, "batch"))


def test_a_batch_tells_of_all_its_partitions() -> None:
    name, value = account_header("recordings", "recorders", {3: Account(1, 4, recorded=2, dlq=1)})
    assert name == ACCOUNT_HEADER
    told = {"start": 1, "next": 4, "recorded": 2, "dropped": 0, "redirected": 0, "dlq": 1, "skipped": 0}
    assert json.loads(value) == {
        "topic": "recordings",
        "topic_id": "",
        "group": "recorders",
        "partitions": {"3": told},
    }


def test_a_header_of_an_earlier_version_is_read() -> None:
    text = b'{"topic": "t", "group": "g", "partitions": {"0": {"start": 1, "next": 2}}}'
    [found] = read_accounts(Record("metadata", 0, 7, 1_000, [(ACCOUNT_HEADER, text)], b"{}"), "batch")
    assert (found.topic_id, found.source) == ("", "t")
