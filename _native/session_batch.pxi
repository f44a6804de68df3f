# Session batches. Included by bindings.pyx.

Recorded = namedtuple("Recorded", "events ended")
PartitionFigures = namedtuple(
    "PartitionFigures",
    "sessions bytes index_bytes messages events line_bytes console_logs_stored console_logs_left_out "
    "discarded_messages discarded_events",
)

cdef figures_of(CppPartitionFigures figures):
    return PartitionFigures(
        figures.sessions,
        figures.bytes,
        figures.index_bytes,
        figures.messages,
        figures.events,
        figures.line_bytes,
        figures.console.stored,
        figures.console.left_out,
        figures.discarded_messages,
        figures.discarded_events,
    )


@final
cdef class SessionBatch:
    """What gathers by partition and session until a flush. One thread at a time may use it."""

    cdef unique_ptr[CppSessionBatch] batch

    def __cinit__(self, max_events_per_session=None, max_console_logs_per_session=None):
        cdef SessionLimits limits
        limits.max_events = SIZE_MAX if max_events_per_session is None else max_events_per_session
        limits.max_console_logs = SIZE_MAX if max_console_logs_per_session is None else max_console_logs_per_session
        self.batch.reset(new CppSessionBatch(limits))

    def record(
        self,
        DecodedBatch decoded not None,
        const int64_t[::1] partitions not None,
        const int64_t[::1] offsets not None,
        uint8_t[::1] dispositions not None,
        uint8_t[::1] reasons not None,
        const int32_t[::1] team_codes not None,
        const int64_t[::1] team_ids not None,
        const uint8_t[::1] captures_console not None,
        const uint8_t[::1] retentions not None,
    ):
        """Add the rows that are not ended to their sessions, with the GIL released."""
        cdef SourceRows rows
        cdef CppRecorded recorded
        cdef size_t invalid
        rows.count = decoded.columns.rows.size()
        lengths = {
            partitions.shape[0],
            offsets.shape[0],
            dispositions.shape[0],
            reasons.shape[0],
            team_codes.shape[0],
            retentions.shape[0],
        }
        if lengths != {rows.count}:
            raise ValueError(f"all columns must have one entry a row: {rows.count} rows, lengths {sorted(lengths)}")
        if team_ids.shape[0] != captures_console.shape[0]:
            raise ValueError(f"{team_ids.shape[0]} team ids, but {captures_console.shape[0]} entries in captures_console")
        if rows.count == 0:
            return Recorded(0, [])
        rows.partitions, rows.offsets = &partitions[0], &offsets[0]
        rows.dispositions, rows.reasons = &dispositions[0], &reasons[0]
        rows.team_codes, rows.retentions = &team_codes[0], &retentions[0]
        rows.teams = team_ids.shape[0]
        if rows.teams:
            rows.team_ids, rows.captures_console = &team_ids[0], &captures_console[0]
        with nogil:
            invalid = rows.first_invalid(decoded.columns)
            if invalid == rows.count:
                recorded = self.batch.get().record(decoded.columns, rows)
        if invalid < rows.count:
            raise ValueError(f"row {invalid} is not ended, but has no lines or no team")
        return Recorded(recorded.events, list(recorded.ended))

    def partition(self, int64_t number):
        """Return what is known of a partition."""
        return figures_of(self.batch.get().partition(number))

    def total(self):
        """Return the sum over all partitions."""
        return figures_of(self.batch.get().total())

    def discard(self, int64_t number):
        """Drop a partition. Return how many sessions it had."""
        return self.batch.get().discard(number)

    def take(self):
        """Empty the batch, and return a file for each retention period."""
        cdef vector[unique_ptr[CppFileBlocks]] files
        cdef FileBlocks file
        cdef size_t i
        cdef list found = []
        with nogil:
            files = files_of(self.batch.get().take())
        for i in range(files.size()):
            file = FileBlocks.__new__(FileBlocks)
            file.file = move(files[i])
            found.append(file)
        return found
