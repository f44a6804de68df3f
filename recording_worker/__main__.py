"""The command `recording-worker`, also as `python -m recording_worker`.

Each worker process runs the file of the command once more, but not `main`. So nothing is imported for it here.
"""


def main() -> None:
    """Run the command and exit."""
    from recording_worker.cli import main as run

    run()


if __name__ == "__main__":
    main()
