"""Fixtures of real servers. If one is not available, the test fails: nothing is skipped."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.servers.aws import KeysOfAws
from tests.servers.certificates import Authority
from tests.servers.kafka import KafkaServer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import Bucket, MotoServer, RcloneServer, S3Server, use_credentials

_NUMBERS = itertools.count()

S3_SERVERS = ("moto", "rclone")

NewTopic = Callable[..., str]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues the certificates of the servers, and of clients that they let in."""
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[KafkaServer]:
    """A broker for all tests, so each uses names of its own; who wants to hurt one starts one."""
    with KafkaServer(tmp_path_factory.mktemp("kafka"), authority=authority) as server:
        yield server


@pytest.fixture
def new_topic(kafka: KafkaServer) -> NewTopic:
    """Creates a topic that no other test has: `new_topic(partitions=1, **config)` → its name."""

    def create(partitions: int = 1, **config: str | int) -> str:
        name = f"topic-{next(_NUMBERS)}"
        kafka.create_topic(name, partitions, **config)
        return name

    return create


@pytest.fixture
def group() -> str:
    """A consumer group that no other test has."""
    return f"group-{next(_NUMBERS)}"


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    server = MotoServer()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def _keys_of_aws() -> Iterator[KeysOfAws]:
    server = KeysOfAws()
    yield server
    server.close()


@pytest.fixture
def keys_of_aws(_keys_of_aws: KeysOfAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeysOfAws]:
    """DynamoDB and KMS, and credentials for them. A test may kill it: the next one finds it running."""
    use_credentials(monkeypatch)
    yield _keys_of_aws
    if not _keys_of_aws.runs:
        _keys_of_aws.start()


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    server = RcloneServer(tmp_path_factory.mktemp("rclone"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=S3_SERVERS)
def s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Each S3 server in turn, and the credentials for it."""
    use_credentials(monkeypatch)
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    return s3.new_bucket()


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres(_postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """PostgreSQL with an empty table of teams. A test may stop it: the next one finds it running."""
    _postgres_server.create_teams()
    yield _postgres_server
    if not _postgres_server.runs:
        _postgres_server.start()


@pytest.fixture(scope="session")
def _redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(_redis_server: RedisServer) -> Iterator[RedisServer]:
    """Redis with nothing in it. A test may stop or pause it: the next one finds it running."""
    with _redis_server.client() as client:
        client.flushall()
    yield _redis_server
    if _redis_server.runs:
        _redis_server.resume()
    else:
        _redis_server.start()
