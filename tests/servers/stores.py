"""`make stores`: PostgreSQL with an empty table of teams, Redis, and moto's DynamoDB and KMS, until Ctrl-C."""

import signal
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import click

from tests.servers.aws import KeysOfAws
from tests.servers.child import ServerError
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import KEY, SECRET


@click.command()
@click.option("--postgres-port", default=5433, show_default=True, help="Port of PostgreSQL.")
@click.option("--redis-port", default=6380, show_default=True, help="Port of Redis.")
def main(postgres_port: int, redis_port: int) -> None:
    """Run PostgreSQL, Redis, DynamoDB and KMS until Ctrl-C; nothing of them is kept."""
    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="stores-"))
        try:
            postgres = running.enter_context(PostgresServer(postgres_port))
            redis = running.enter_context(RedisServer(Path(folder), redis_port))
            postgres.create_teams()
            aws = running.enter_context(closing(KeysOfAws()))
            aws.create_master_key("alias/session-replay-master-key")
        except ServerError as problem:
            raise click.ClickException(str(problem)) from problem
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        print("PostgreSQL, Redis, DynamoDB and KMS run; Ctrl-C ends them. In other terminals:")
        print(f"  export POSTGRES={postgres.url} REDIS={redis.url} DYNAMODB={aws.endpoint}")
        print(f"  export AWS_ACCESS_KEY_ID={KEY} AWS_SECRET_ACCESS_KEY={SECRET}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
