"""obtain_batch: finds the session batch that the events of this poll go to."""

from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step
from recording_worker.recording.session_batch import SessionBatchManager


class ObtainBatch(Step):
    """Sets `session_batch`, and gives it the sessions' keys. An empty poll does not begin a session batch."""

    name = "obtain_batch"

    def __init__(self, manager: SessionBatchManager) -> None:
        self._manager = manager

    def run(self, batch: MessageBatch) -> None:
        if len(batch):
            batch.session_batch = self._manager.current
            batch.session_batch.keys.update(batch.session_keys)
