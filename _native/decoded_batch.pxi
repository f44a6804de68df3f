# What one decode call found. Included by bindings.pyx.


@final
cdef class ConsoleLog:
    """One console event of a message."""

    cdef readonly str level
    cdef readonly str message
    cdef readonly double timestamp

    def __repr__(self):
        return f"ConsoleLog(level={self.level!r}, message={self.message!r}, timestamp={self.timestamp!r})"


cdef str level_name(LogLevel level):
    if level == LogLevel.warn:
        return "warn"
    return "error" if level == LogLevel.error else "info"


@final
cdef class DecodedBatch:
    """What one decode call found. Rows have the same numbers as in the call."""

    cdef Columns columns
    cdef readonly list ended_rows

    cdef const Row* row(self, Py_ssize_t row) except NULL:
        if row < 0 or <size_t> row >= self.columns.rows.size():
            raise IndexError(f"row {row} of {self.columns.rows.size()}")
        return &self.columns.rows[row]

    @property
    def rows(self):
        return self.columns.rows.size()

    @property
    def stopped_at_large(self):
        return self.columns.stopped_at_large

    @property
    def encodings(self):
        return {name: self.columns.encodings[i] for i, name in enumerate(ENCODINGS)}

    @property
    def total_bytes(self):
        return self.columns.bytes()

    @property
    def uncompressed_bytes(self):
        return self.columns.uncompressed_bytes

    @property
    def invalid_items(self):
        return self.columns.invalid_items

    @property
    def far_items(self):
        return self.columns.far_items

    @property
    def far_rows(self):
        cdef vector[FarRow]* far = &self.columns.far_rows
        cdef size_t i
        return [(far[0][i].row, far[0][i].first_time, far[0][i].last_time) for i in range(far.size())]

    @property
    def clock_shifts(self):
        return self.columns.clock_shifts

    @property
    def invalid_utf8(self):
        return self.columns.invalid_utf8

    @property
    def unpacked_events(self):
        return self.columns.unpacked_events

    @property
    def unpack_failures(self):
        return self.columns.unpack_failures

    @property
    def session_ids(self):
        cdef TextColumn column = TextColumn.__new__(TextColumn)
        cdef Span none, text
        cdef size_t row
        none.begin = none.end = NULL
        for row in range(self.columns.rows.size()):
            text = self.columns.text(self.columns.rows[row].session_id)
            column.column.texts.push_back(text if self.columns.rows[row].ok else none)
        column.keep = [self]
        return column

    def session_id(self, Py_ssize_t row):
        return span_str(self.columns.text(self.row(row).session_id))

    def distinct_id(self, Py_ssize_t row):
        return span_str(self.columns.text(self.row(row).distinct_id))

    def event_count(self, Py_ssize_t row):
        cdef Range events = self.row(row).events
        return events.end - events.begin

    def line_bytes(self, Py_ssize_t row):
        cdef Span lines = self.row(row).lines
        return lines.end - lines.begin

    def lines(self, Py_ssize_t row):
        cdef Span lines = self.row(row).lines
        return PyBytes_FromStringAndSize(<const char*> lines.begin, lines.end - lines.begin)

    def timestamps(self, Py_ssize_t row):
        cdef const Row* found = self.row(row)
        return found.first_time, found.last_time

    def console_logs(self, Py_ssize_t row):
        cdef Range logs = self.row(row).logs
        cdef const Log* log
        cdef ConsoleLog entry
        cdef size_t i
        entries = []
        for i in range(logs.begin, logs.end):
            log = &self.columns.logs[i]
            entry = ConsoleLog.__new__(ConsoleLog)
            entry.level = level_name(log.level)
            entry.message = span_str(self.columns.text(log.message))
            entry.timestamp = log.time
            entries.append(entry)
        return entries
