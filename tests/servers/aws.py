"""DynamoDB and KMS of moto, in this process, with PostHog's table and master key."""

import secrets
import threading
from typing import Any

import boto3
import pytest
from werkzeug.serving import make_server

from tests.servers.ports import free_ports
from tests.servers.s3 import KEY, SECRET

REGION = "us-east-1"


class KeysOfAws:
    """A server on its own port, which can be killed and started again; it keeps what it has."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("werkzeug.serving.WSGIRequestHandler.log_request", lambda *_: None)
        self.runs = False
        self._one_at_a_time = threading.Lock()
        self.start()
        self.items, self.kms = self._client("dynamodb"), self._client("kms")

    def start(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

        application = DomainDispatcherApplication(create_backend_app)

        def answer(environ: Any, start_response: Any) -> Any:
            # moto looks at the condition of a write, and then writes: for DynamoDB that is one step
            with self._one_at_a_time:
                return application(environ, start_response)

        self._server = make_server("127.0.0.1", self.port, answer, threaded=True, request_handler=MotoRequestHandler)
        threading.Thread(target=self._server.serve_forever, name="moto keys", daemon=True).start()
        self.runs = True

    def kill(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.runs = False

    def close(self) -> None:
        if self.runs:
            self.kill()
        self._patch.undo()

    def new_table(self) -> tuple[str, str]:
        """Make a table and a master key. Return the table's name and the alias of the key.

        The table is as PostHog has it, and not made by the code under test.
        """
        name = f"keys-{secrets.token_hex(4)}"
        self.items.create_table(
            TableName=name,
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
        alias = f"alias/{name}"
        self.create_master_key(alias)
        return name, alias

    def create_master_key(self, alias: str) -> None:
        """Make a key of KMS, under this alias."""
        self.kms.create_alias(AliasName=alias, TargetKeyId=self.kms.create_key()["KeyMetadata"]["KeyId"])

    def item(self, table: str, team_id: int, session_id: str) -> dict[str, dict[str, Any]] | None:
        name = {"session_id": {"S": session_id}, "team_id": {"N": str(team_id)}}
        found: dict[str, dict[str, Any]] | None = self.items.get_item(TableName=table, Key=name).get("Item")
        return found

    def _client(self, service: str) -> Any:
        session = boto3.session.Session(KEY, SECRET, region_name=REGION)
        return session.client(service, endpoint_url=self.endpoint)
