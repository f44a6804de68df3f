"""The command `recording-worker`, also as `python -m recording_worker`.

Each worker process runs the file of the command once more, but not `main`. So nothing is imported for it here.
"""

import gc

# What is imported lives as long as the process. To look for garbage after each 700 new objects, as Python does, would
# be a tenth of the start.
gc.set_threshold(20_000)


def main() -> None:
    """Run the command and exit."""
    from recording_worker.cli import main as run

    run()


if __name__ == "__main__":
    main()
