"""`make s3`: a local S3 server with a bucket, until Ctrl-C."""

import signal
import tempfile
from pathlib import Path

import click

from tests.servers.child import ServerError
from tests.servers.s3 import KEY, SECRET, RcloneServer

BUCKET = "recordings"


@click.command()
@click.option("--port", default=9000, show_default=True, help="Port that clients connect to.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep its data here, for next time.")
def main(port: int, folder: Path | None) -> None:
    """Run rclone's S3 server with a bucket until Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="s3-") as temporary:
        root = (folder or Path(temporary) / "s3").absolute()
        (root / BUCKET).mkdir(parents=True, exist_ok=True)
        server = RcloneServer(root, port)
        try:
            server.start()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            _say(server.endpoint)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
        except ServerError as problem:
            raise click.ClickException(str(problem)) from problem
        finally:
            server.kill()


def _say(endpoint: str) -> None:
    print(f"An S3 server with the bucket {BUCKET} listens on {endpoint}; Ctrl-C ends it. In other terminals:")
    print(f"  export AWS_ACCESS_KEY_ID={KEY} AWS_SECRET_ACCESS_KEY={SECRET}")
    print(f"  export RECORDING_WORKER_S3_ENDPOINT={endpoint}")
    print("  .venv/bin/recording-worker run --storage s3://recordings --any-token --max-timestamp-diff-days 99999")
    print("  .venv/bin/recording-worker sessions s3://recordings", flush=True)


if __name__ == "__main__":
    main()
