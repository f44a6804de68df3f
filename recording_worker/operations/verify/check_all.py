"""All checks of `verify` together, over what was read from Kafka. They need no Kafka themselves."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from recording_worker.operations.verify.check_accounts import Committed, Horizon, account_findings, add_carried
from recording_worker.operations.verify.check_files import FileCheck
from recording_worker.operations.verify.check_posthog import posthog_findings
from recording_worker.operations.verify.finding import Finding
from recording_worker.operations.verify.ledger import Ledger
from recording_worker.reading.decryption import Decryption
from recording_worker.storage.locate import Locator


@dataclass(slots=True)
class VerifyReport:
    """What a run of `verify` has found."""

    files: int
    blocks: int
    messages: int
    """Messages whose events are in the blocks."""
    events: int
    size: int
    """Bytes of the lines, uncompressed."""
    partitions: int = 0
    """Source partitions with accounts, counted for each group separately."""
    accounts: int = 0
    recorded: int = 0
    """The accounts' numbers: messages recorded, dropped, redirected and sent to the DLQ, and offsets skipped."""
    dropped: int = 0
    redirected: int = 0
    dlq: int = 0
    skipped: int = 0
    written_by_others: int = 0
    """Metadata records of other programs, on which only PostHog's rules were checked."""
    groups: list[str] = field(default_factory=list)
    """The consumer groups with accounts."""
    notes: list[str] = field(default_factory=list)
    """What could not be checked, and why."""
    findings: list[Finding] = field(default_factory=list)
    nothing_verified: str = ""
    """Why there was nothing to verify; empty if there was something."""

    def to_dict(self) -> dict[str, object]:
        """For JSON: the figures, the notes and, as `damages`, the findings."""
        figures = asdict(self)
        del figures["nothing_verified"], figures["findings"]
        return figures | {"damages": [finding.to_dict() for finding in self.findings]}


def check_all(
    ledger: Ledger,
    locator: Locator,
    horizon: Horizon,
    after: Committed,
    report: Callable[[float, int], None] = lambda _blocks, _messages: None,
    *,
    decryption: Decryption | None = None,
    posthog_prefix: str | None = None,
) -> VerifyReport:
    """Check all that was read into the ledger, and every block it names.

    `after` is what was committed after the metadata was read. `report` is called with how many blocks and messages
    were checked since its last call. If there is a `posthog_prefix`, what was added for PostHog's rules is checked too:
    keys have to begin with it. Encrypted blocks are read with `decryption`.
    """
    add_carried(ledger, horizon)
    found = _counted(ledger)
    check = FileCheck(ledger, locator, horizon, decryption or Decryption())
    for file, blocks in ledger.files():
        found.findings += check.findings(file, blocks)
        report(len(blocks), sum(block.message_count for block in blocks))
    found.findings += account_findings(ledger, horizon, after, check.unreferenced)
    if posthog_prefix is not None:
        found.findings += posthog_findings(ledger, posthog_prefix, horizon.metadata_ms)
        found.written_by_others = ledger.written_by_others()
    if batches := ledger.batches_without_account():
        found.notes.append(f"{batches} batches have no account: it was lost, or an earlier version wrote them")
    else:
        found.notes += _unaccounted(ledger, horizon)
    if check.deleted:
        found.notes.append(f"{check.deleted} blocks are of deleted sessions: nothing can read them any more")
    if check.expired:
        found.notes.append(f"{check.expired} files are gone, as their retention period is over")
    return found


def _unaccounted(ledger: Ledger, horizon: Horizon) -> Iterator[str]:
    """A note on each topic with committed offsets and no account, if all metadata is still there."""
    if horizon.metadata_ms:
        return
    for group, topic in horizon.before.keys() - ledger.groups():
        if any(at.offset > 0 for at in horizon.before[group, topic].values()):
            yield f"group {group} has committed offsets of {topic}, but no account: is their metadata elsewhere?"


def _counted(ledger: Ledger) -> VerifyReport:
    """A report with the figures of the ledger."""
    totals = ledger.totals()
    report = VerifyReport(totals.files, totals.blocks, totals.messages, totals.events, totals.size)
    report.groups = sorted({group for group, _ in ledger.groups()})
    for group, topic in ledger.groups():
        for partition in ledger.partitions(group, topic):
            report.partitions += 1
            for record in ledger.chain(group, topic, partition):
                report.accounts += 1
                report.recorded += record.account.recorded
                report.dropped += record.account.dropped
                report.redirected += record.account.redirected
                report.dlq += record.account.dlq
                report.skipped += record.account.skipped
    return report
