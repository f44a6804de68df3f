"""`make stores`: PostgreSQL with an empty table of teams, and Redis, until Ctrl-C."""

import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from tests.servers.child import ServerError
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer


@click.command()
@click.option("--postgres-port", default=5433, show_default=True, help="Port of PostgreSQL.")
@click.option("--redis-port", default=6380, show_default=True, help="Port of Redis.")
def main(postgres_port: int, redis_port: int) -> None:
    """Run PostgreSQL and Redis until Ctrl-C; nothing of them is kept."""
    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="stores-"))
        try:
            postgres = running.enter_context(PostgresServer(postgres_port))
            redis = running.enter_context(RedisServer(Path(folder), redis_port))
            postgres.create_teams()
        except ServerError as problem:
            raise click.ClickException(str(problem)) from problem
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        print("PostgreSQL and Redis run; Ctrl-C ends them. In other terminals:")
        print(f"  export POSTGRES={postgres.url} REDIS={redis.url}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
