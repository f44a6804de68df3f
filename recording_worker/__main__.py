"""`python -m recording_worker`: the same as the command `recording-worker`."""

from recording_worker.cli import main

if __name__ == "__main__":
    main()
