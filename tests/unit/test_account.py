import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats.accounts import (
    ACCOUNT_HEADER,
    Account,
    AccountRecord,
    account_header,
    carried_account,
    read_accounts,
)
from recording_worker.messages import Record

counts = st.integers(0, 10**9)
accounts = st.builds(Account, counts, counts, counts, counts, counts, counts, counts)


@given(accounts)
def test_what_was_carried_is_found_again(account: Account) -> None:
    assert carried_account(account.to_text(), account.next) == account


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
    ],
)
def test_what_another_tool_committed_is_no_account(text: str) -> None:
    assert carried_account(text, 9) is None


def test_accounts_that_follow_each_other_add_up() -> None:
    first = Account(10, 20, recorded=5, dropped=1, redirected=2, dlq=1, skipped=1)
    later = Account(22, 30, recorded=4, dropped=3, redirected=5, dlq=2, skipped=7)
    assert first.followed_by(later) == Account(10, 30, recorded=9, dropped=4, redirected=7, dlq=3, skipped=8)


def test_the_header_of_a_batch_is_read_again() -> None:
    accounts = {3: Account(1, 4, recorded=2, dlq=1), 5: Account(7, 9, skipped=2)}
    header = account_header("recordings", "recorders", accounts)
    found = read_accounts(Record("metadata", 0, 7, 1_000, [("other", b"x"), header], b"{}"), "batch")
    assert list(found) == [
        AccountRecord("recorders", "recordings", number, account, "batch", 1_000)
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
    assert json.loads(value) == {"topic": "recordings", "group": "recorders", "partitions": {"3": told}}
