"""Checks what was written against what PostHog's reader takes. The facts are from the repository PostHog/posthog."""

import re
from collections.abc import Iterator

from recording_worker.formats.block_metadata import read_listed
from recording_worker.formats.retention import RETENTIONS
from recording_worker.formats.timestamps import utc_text
from recording_worker.messages import Record
from recording_worker.operations.verify.finding import Finding, FindingKind
from recording_worker.operations.verify.ledger import Ledger
from recording_worker.settings.choices import Codec

_URL = re.compile(r"s3://[^/?#]+/(?P<key>[^/?#][^?#]*)\?range=bytes=(?P<first>[0-9]+)-(?P<last>[0-9]+)")
"""A block URL, as `_parse_block_url` of posthog/storage/recordings/block_storage.py and `parseBlockUrl` of
nodejs/src/session-replay/recording-api/recording-service.ts take it apart: nothing in the key is unescaped."""


def add_for_posthog(ledger: Ledger, record: Record) -> Finding | None:
    """Add a metadata record for PostHog's rules and, if this worker wrote it, for all other checks.

    Return what is wrong with the record by itself.
    """
    try:
        listed = read_listed(record)
    except ValueError:
        return ledger.add_metadata(record)
    ledger.add_listed(listed, record.place)
    return None if listed.codec is None else ledger.add_metadata(record)


def posthog_findings(ledger: Ledger, prefix: str, since_ms: int) -> Iterator[Finding]:
    """What PostHog's reader can't find or play of what was added for it.

    `prefix` is what every key begins with: SESSION_RECORDING_V2_S3_PREFIX of PostHog. All metadata since `since_ms`,
    in milliseconds since 1970, was read.
    """
    # validateS3Key of nodejs/src/session-replay/recording-api/recording-service.ts
    key_pattern = re.compile(rf"{re.escape(prefix.strip('/'))}/({'|'.join(RETENTIONS)})/[0-9]+-[0-9a-f]{{16}}")
    for team_id, session_id, url, codec in ledger.listed_blocks():
        for kind, text in _block_problems(url, codec, key_pattern):
            yield Finding(kind, text, file=url, session_id=session_id, team_id=team_id)
    # buildBlockList of the same file, and list_blocks of posthog/session_recordings/session_recording_v2_service.py
    for broken in ledger.broken_lists(utc_text(since_ms)):
        if broken.empty_url_place is not None:
            text = f"the record {broken.empty_url_place} has an empty block_url, which counts as a URL but as no block"
        else:
            text = f"the session begins at {broken.first}, and its first block at {broken.first_of_block}"
        yield Finding(
            FindingKind.POSTHOG_LIST,
            f"{text}: PostHog shows nothing of the session",
            file=broken.url,
            session_id=broken.session_id,
            team_id=broken.team_id,
        )


def _block_problems(url: str, codec: str | None, key_pattern: re.Pattern[str]) -> Iterator[tuple[FindingKind, str]]:
    found = _URL.fullmatch(url)
    if found is None or int(found["first"]) > int(found["last"]):
        yield FindingKind.POSTHOG_URL, "the URL is not s3://BUCKET/KEY?range=bytes=FIRST-LAST"
    elif not key_pattern.fullmatch(found["key"]):
        yield FindingKind.POSTHOG_KEY, f"the key {found['key']} is not {key_pattern.pattern}"
    if codec not in (None, Codec.SNAPPY):
        yield FindingKind.POSTHOG_CODEC, f"the block is compressed with {codec}, and PostHog reads snappy only"
