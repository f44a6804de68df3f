"""`verify` finds in any history what a plain comparison of sets finds, and nothing in a complete history."""

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats.accounts import read_accounts
from recording_worker.messages import Record
from recording_worker.operations.verify.finding import FindingKind
from tests.builders import header_texts
from tests.history import History, Part, offsets

FATES = st.lists(st.sampled_from(["a", "b", "c", "drop", "dlq"]), min_size=1, max_size=12)
"""How the messages of a partition end, in order: in a session, or not."""
LOST = (FindingKind.MESSAGES_MISSING, FindingKind.METADATA_MISSING)


def _history(folder: Path, partitions: list[list[str]], cuts: list[int]) -> History:
    """The messages of all partitions, in batches of a given number of messages of each partition."""
    history, done, turn = History(folder), [0] * len(partitions), 0
    while any(at < len(fates) for at, fates in zip(done, partitions, strict=True)):
        parts = {}
        for number, fates in enumerate(partitions):
            begin, end = done[number], min(done[number] + cuts[turn % len(cuts)], len(fates))
            turn += 1
            if begin == end:
                continue
            ended = list(enumerate(fates))[begin:end]
            parts[number] = Part(
                recorded={offset: fate for offset, fate in ended if fate not in ("drop", "dlq")},
                dropped=sum(fate == "drop" for _, fate in ended),
                dlq=[offset for offset, fate in ended if fate == "dlq"],
                next=end,
            )
            done[number] = end
        history.batch(parts)
    return history


def _held(history: History) -> Counter[tuple[int, int]]:
    """Return (partition, offset) → the number of different blocks with that message that metadata leads to."""
    values = [json.loads(record.value or b"") for record in history.metadata]
    blocks = {value["block_url"]: value for value in values}
    return Counter((value["partition"], offset) for value in blocks.values() for offset, _ in value["messages"])


@given(
    partitions=st.lists(FATES, min_size=1, max_size=3),
    cuts=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    data=st.data(),
)
def test_it_finds_what_is_lost_and_doubled(partitions: list[list[str]], cuts: list[int], data: Any) -> None:
    with TemporaryDirectory() as folder:
        history = _history(Path(folder), partitions, cuts)
        whole = history.verify()
        assert whole.findings == []
        fates = Counter("recorded" if fate in "abc" else fate for fates in partitions for fate in fates)
        assert (whole.recorded, whole.dropped, whole.dlq) == (fates["recorded"], fates["drop"], fates["dlq"])
        assert whole.messages == fates["recorded"]
        recorded = {(number, offset) for number, offset in _held(history)}

        # metadata records gone and doubled, a message recorded again, DLQ records gone and doubled
        lost = _some(data, [record for record in history.metadata if _may_be_lost(record)])
        history.metadata = [record for record in history.metadata if record not in lost]
        copies = _some(data, history.metadata)
        history.metadata += [record._replace(offset=1000 + at) for at, record in enumerate(copies)]
        if recorded and data.draw(st.booleans()):
            _record_again(history, *data.draw(st.sampled_from(sorted(recorded))))
        dlq_gone = _some(data, history.dlq)
        history.dlq = [record for record in history.dlq if record not in dlq_gone]
        dlq_copies = _some(data, history.dlq)
        history.dlq += dlq_copies

        findings, held = history.verify().findings, _held(history)
        assert sum(finding.kind is FindingKind.METADATA_DOUBLED for finding in findings) == len(copies)
        assert offsets(findings, FindingKind.MESSAGE_DOUBLED) == {
            message for message, times in held.items() if times > 1
        }
        assert recorded - set(held) <= offsets(findings, *LOST)
        assert bool(lost) == any(finding.kind in LOST for finding in findings)
        assert set(map(_source, dlq_gone)) <= offsets(findings, FindingKind.DLQ_MISSING, *LOST)
        assert set(map(_source, dlq_copies)) == offsets(findings, FindingKind.DLQ_DOUBLED)


def _some(data: Any, records: list[Record]) -> list[Record]:
    chosen = data.draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    return [record for record, is_chosen in zip(records, chosen, strict=True) if is_chosen]


def _may_be_lost(record: Record) -> bool:
    """Not the first account of a partition: without it nobody knows that the partition began before the next one."""
    return all(account.account.start > 0 for account in read_accounts(record, "batch"))


def _record_again(history: History, partition: int, offset: int) -> None:
    """Another block with this message, as if its batch had no account."""
    committed = dict(history.committed)
    [extra] = history.batch({partition: Part(recorded={offset: "a"})})
    history.metadata[-1] = extra._replace(headers=[])
    history.committed = committed


def _source(record: Record) -> tuple[int, int]:
    headers = header_texts(record.headers)
    return int(headers["dlq-partition"]), int(headers["dlq-offset"])
