"""DynamoKeys: keys of sessions as PostHog keeps them, in a DynamoDB table, encrypted by KMS.

PostHog writes and reads the same items: nodejs/src/session-replay/shared/keystore/dynamodb-keystore.ts.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from botocore.exceptions import ClientError
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay

from recording_worker.errors import StoreError
from recording_worker.formats.secretbox import KEY_BYTES
from recording_worker.formats.session_keys import Session
from recording_worker.keys.aws import asked, aws_client
from recording_worker.keys.store import PROBE_NAME, RETRY_WAIT, TOMBSTONE_SECONDS, SessionKey, stored_name

_AT_ONCE = 16
"""Requests to KMS, and for new items, at a time."""
_ITEMS_PER_READ = 100
"""What one BatchGetItem may ask for."""

Item = dict[str, dict[str, Any]]
Work = TypeVar("Work")
Done = TypeVar("Done")


class DynamoKeys:
    """Retries throttled requests as botocore does, with jitter. Reads are consistent."""

    def __init__(
        self, table: str, alias: str, *, region: str | None, endpoint: str | None, retry_for: float = 5.0
    ) -> None:
        """`alias`: the alias of KMS's key. `endpoint`: of DynamoDB and KMS alike; None for AWS. Raises ConfigError."""
        self._table = table
        self._alias = alias
        self._until_all = Retrying(retry=retry_if_result(bool), wait=RETRY_WAIT, stop=stop_after_delay(retry_for))
        self._items = aws_client("dynamodb", region, endpoint, connections=_AT_ONCE)
        self._kms = aws_client("kms", region, endpoint, connections=_AT_ONCE)
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="keys")

    def read(self, sessions: Collection[Session]) -> dict[Session, SessionKey]:
        names = {stored_name(session): session for session in sessions}
        wanted, items = list(names), list[Item]()
        for start in range(0, len(wanted), _ITEMS_PER_READ):
            items += self._read_items(wanted[start : start + _ITEMS_PER_READ])
        return {names[name]: known for name, known in self._all(self._known, items)}

    def create(self, expires: Mapping[Session, int], now: int) -> dict[Session, SessionKey]:
        """See KeyStore. Each new session takes one request to KMS and one to DynamoDB."""
        names = {stored_name(session): session for session in expires}
        made = self._all(lambda name: self._create(name, expires[names[name]], now), names)
        found = {names[name]: known for name, known in made if known is not None}
        return found | self.read([names[name] for name, known in made if known is None])

    def destroy(self, session: Session, by: str, now: int) -> SessionKey:
        """See KeyStore. The item changes in one conditional request, so that no other worker comes in between."""
        name = stored_name(session)
        while True:
            if self._change(name, by, now):
                self._keep_until(name, now + TOMBSTONE_SECONDS)
            else:
                self._put(
                    {
                        **_name(name),
                        "session_state": {"S": "deleted"},
                        "deleted_at": {"N": str(now)},
                        "deleted_by": {"S": by},
                        "expires_at": {"N": str(now + TOMBSTONE_SECONDS)},
                    }
                )
            found = self.read([session]).get(session)
            if found is not None and found.is_deleted:
                return found  # otherwise another worker made the key between the two requests

    def probe(self) -> None:
        asked(lambda: self._items.get_item(TableName=self._table, Key=_name((0, "probe"))))

    def try_out(self) -> None:
        """See KeyStore. The put has a condition that is never met."""
        name = (0, PROBE_NAME)
        made = self._generate(name)
        asked(
            lambda: self._kms.decrypt(
                CiphertextBlob=made["CiphertextBlob"], KeyId=self._alias, EncryptionContext=_context(name)
            )
        )
        self.read([name])
        item = {**_name(name), "session_state": {"S": "deleted"}}
        self._put(item, "attribute_exists(session_id) AND attribute_not_exists(session_id)")

    def create_table(self) -> None:
        """See KeyStore. Items expire at `expires_at`, also if an earlier try was stopped before it said so.

        The master key of KMS has to be there.
        """

        def create() -> None:
            with suppress(self._items.exceptions.ResourceInUseException):  # it is there
                self._items.create_table(
                    TableName=self._table,
                    KeySchema=[
                        {"AttributeName": "session_id", "KeyType": "HASH"},
                        {"AttributeName": "team_id", "KeyType": "RANGE"},
                    ],
                    AttributeDefinitions=[
                        {"AttributeName": "session_id", "AttributeType": "S"},
                        {"AttributeName": "team_id", "AttributeType": "N"},
                    ],
                    BillingMode="PAY_PER_REQUEST",
                )
            self._items.get_waiter("table_exists").wait(TableName=self._table, WaiterConfig={"Delay": 1})
            expiry = self._items.describe_time_to_live(TableName=self._table)["TimeToLiveDescription"]
            if expiry["TimeToLiveStatus"] == "DISABLED":
                self._items.update_time_to_live(
                    TableName=self._table,
                    TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"},
                )

        asked(create)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._items.close()
        self._kms.close()

    def _create(self, session: Session, expires: int, now: int) -> tuple[Session, SessionKey | None]:
        """Make a key and store it. Return None in its place if the session is known already."""
        made = self._generate(session)
        item = {
            **_name(session),
            "encrypted_key": {"B": made["CiphertextBlob"]},
            "session_state": {"S": "ciphertext"},
            "created_at": {"N": str(now)},
            "expires_at": {"N": str(expires)},
        }
        return session, SessionKey(made["Plaintext"]) if self._put(item) else None

    def _generate(self, session: Session) -> Any:
        return asked(
            lambda: self._kms.generate_data_key(
                KeyId=self._alias, NumberOfBytes=KEY_BYTES, EncryptionContext=_context(session)
            )
        )

    def _known(self, item: Item) -> tuple[Session, SessionKey]:
        session = int(item["team_id"]["N"]), item["session_id"]["S"]
        state = item.get("session_state", {}).get("S", "cleartext")
        if state == "deleted":
            by = item.get("deleted_by", {}).get("S", "")
            return session, SessionKey(None, int(item.get("deleted_at", {}).get("N", 0)), by)
        if state == "cleartext":  # PostHog's consumer writes such items for teams without encryption
            return session, SessionKey(None)
        if state != "ciphertext" or "encrypted_key" not in item:
            raise StoreError(f"the item of session {session[1]} of team {session[0]} has no key: state {state!r}")
        opened = asked(
            lambda: self._kms.decrypt(
                CiphertextBlob=item["encrypted_key"]["B"], KeyId=self._alias, EncryptionContext=_context(session)
            )
        )
        return session, SessionKey(opened["Plaintext"])

    def _read_items(self, sessions: Collection[Session]) -> list[Item]:
        """Read up to _ITEMS_PER_READ items. DynamoDB may leave some for a later request when it throttles."""
        found: list[Item] = []
        left: Any = {self._table: {"Keys": [_name(each) for each in sessions], "ConsistentRead": True}}

        def read() -> bool:
            """Read what is left. Return whether some of it is still left."""
            nonlocal left
            reply = asked(lambda: self._items.batch_get_item(RequestItems=left))
            found.extend(reply["Responses"].get(self._table, []))
            left = reply.get("UnprocessedKeys")
            return bool(left)

        try:
            self._until_all(read)
        except RetryError:
            raise StoreError("DynamoDB throttles: it leaves out items of a read") from None
        return found

    def _change(self, session: Session, by: str, now: int) -> bool:
        """Take the key out of an item. Return whether there is an item. It may be deleted already."""
        changes = "SET session_state = :deleted, deleted_at = :at, deleted_by = :by REMOVE encrypted_key"
        given = {":deleted": {"S": "deleted"}, ":at": {"N": str(now)}, ":by": {"S": by}}
        return self._unless_refused(
            lambda: self._items.update_item(
                TableName=self._table,
                Key=_name(session),
                UpdateExpression=changes,
                ConditionExpression="attribute_exists(session_id) AND session_state <> :deleted",
                ExpressionAttributeValues=given,
            )
        )

    def _keep_until(self, session: Session, until: int) -> None:
        """Let an item expire at this time, seconds since 1970, if it would expire before."""
        self._unless_refused(
            lambda: self._items.update_item(
                TableName=self._table,
                Key=_name(session),
                UpdateExpression="SET expires_at = :until",
                ConditionExpression="attribute_exists(session_id) AND expires_at < :until",
                ExpressionAttributeValues={":until": {"N": str(until)}},
            )
        )

    def _put(self, item: Item, condition: str = "attribute_not_exists(session_id)") -> bool:
        """Store an item. Return False if the condition is not met: if the session has one."""
        return self._unless_refused(
            lambda: self._items.put_item(TableName=self._table, Item=item, ConditionExpression=condition)
        )

    def _all(self, do: Callable[[Work], Done], work: Iterable[Work]) -> list[Done]:
        """Do each piece of work on a few threads. Raises what the first failed one raises."""
        return list(self._threads.map(do, work))

    @staticmethod
    def _unless_refused(write: Callable[[], Any]) -> bool:
        """Make a write that has a condition. Return False if the item does not meet it."""

        def attempt() -> bool:
            try:
                write()
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                    return False
                raise
            return True

        return bool(asked(attempt))


def _name(session: Session) -> Item:
    team_id, session_id = session
    return {"session_id": {"S": session_id}, "team_id": {"N": str(team_id)}}


def _context(session: Session) -> dict[str, str]:
    """KMS opens a key only for the session that it was made for."""
    team_id, session_id = session
    return {"session_id": session_id, "team_id": str(team_id)}
