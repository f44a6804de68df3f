# Columns with one entry per message of a poll. Included by bindings.pyx.

cdef str text_or_none(Span text):
    return None if text.begin == NULL else span_str(text)


cdef int check_rows(Py_ssize_t rows, tuple columns) except -1:
    """Raise ValueError if a column does not have this many rows."""
    lengths = {len(column) for column in columns}
    if lengths and lengths != {rows}:
        raise ValueError(f"all columns must have one entry a row: got lengths {sorted(lengths | {rows})}")
    return 0


@final
cdef class TextColumn:
    """A text or None per row, kept as UTF-8."""

    cdef CppTextColumn column
    cdef list keep  # what owns the bytes
    cdef object made_codes  # what codes and distinct have returned
    cdef list made_distinct

    def __cinit__(self, texts=()):
        self.keep = [tuple(texts)]
        for text in self.keep[0]:
            self.column.texts.push_back(str_span(text, self.keep))

    def __len__(self):
        return self.column.texts.size()

    def __getitem__(self, Py_ssize_t row):
        if row < 0 or <size_t> row >= self.column.texts.size():
            raise IndexError(f"row {row} of {self.column.texts.size()}")
        return text_or_none(self.column.texts[row])

    def __iter__(self):
        cdef size_t row
        for row in range(self.column.texts.size()):
            yield text_or_none(self.column.texts[row])

    @property
    def codes(self):
        if self.made_codes is None:
            self.made_codes = int32_array(self.column.codes())
        return self.made_codes

    @property
    def distinct(self):
        cdef const vector[Span]* distinct
        cdef size_t i
        if self.made_distinct is None:
            distinct = &self.column.distinct()
            self.made_distinct = [text_or_none(distinct[0][i]) for i in range(distinct.size())]
        return self.made_distinct

    def times(self):
        cdef vector[int64_t] times
        cdef size_t row
        times.reserve(self.column.texts.size())
        for row in range(self.column.texts.size()):
            times.push_back(parse_time(self.column.texts[row]))
        return int64_array(times)

    def truncate(self, size_t rows):
        if rows < self.column.texts.size():
            self.column.texts.resize(rows)
            self.column.reset()
            self.made_codes = self.made_distinct = None


cdef int32_array(const vector[int32_t]& numbers):
    return array("i", PyBytes_FromStringAndSize(<const char*> numbers.data(), numbers.size() * sizeof(int32_t)))


cdef int64_array(const vector[int64_t]& numbers):
    return array("q", PyBytes_FromStringAndSize(<const char*> numbers.data(), numbers.size() * sizeof(int64_t)))


def end_rows(
    bytearray dispositions not None, bytearray reasons not None, uint32_t[::1] causes, const int32_t[::1] codes, endings
):
    cdef Decisions decisions
    cdef vector[Ending] by_code
    cdef Ending ending
    check_rows(len(dispositions), (reasons, causes, codes))
    if not len(dispositions):
        return
    for code, (disposition, reason, cause) in endings.items():
        if code < 0 or code >= len(dispositions):
            raise ValueError(f"code {code} of {len(dispositions)} rows")
        ending.disposition, ending.reason, ending.cause = disposition, reason, cause
        if by_code.size() <= <size_t> code:
            by_code.resize(<size_t> code + 1)
        by_code[<size_t> code] = ending
    decisions.rows = len(dispositions)
    decisions.dispositions = <uint8_t*> PyByteArray_AsString(dispositions)
    decisions.reasons = <uint8_t*> PyByteArray_AsString(reasons)
    decisions.causes = &causes[0]
    cpp_end_rows(decisions, &codes[0], by_code)


def set_rows(bytearray column not None, const int32_t[::1] codes, values):
    cdef vector[int16_t] by_code
    cdef uint8_t number
    check_rows(len(column), (codes,))
    if not len(column):
        return
    for code, value in values.items():
        if code < 0 or code >= len(column):
            raise ValueError(f"code {code} of {len(column)} rows")
        number = value
        if by_code.size() <= <size_t> code:
            by_code.resize(<size_t> code + 1, -1)
        by_code[<size_t> code] = number
    cpp_set_rows(<uint8_t*> PyByteArray_AsString(column), len(column), &codes[0], by_code)


def group_rows(bytearray dispositions not None, const int32_t[::1] one, const int32_t[::1] other):
    cdef size_t rows = len(dispositions), i
    cdef Groups groups
    check_rows(rows, (one, other))
    if rows:
        groups = cpp_group_rows(<uint8_t*> PyByteArray_AsString(dispositions), rows, &one[0], &other[0])
    return int32_array(groups.codes), [groups.first[i] for i in range(groups.first.size())]


def count_outcomes(const int64_t[::1] partitions, bytearray dispositions not None, bytearray reasons not None):
    cdef size_t rows = len(dispositions), i
    cdef vector[Outcome] outcomes
    check_rows(rows, (partitions, reasons))
    if rows:
        outcomes = cpp_count_outcomes(
            &partitions[0],
            <uint8_t*> PyByteArray_AsString(dispositions),
            <uint8_t*> PyByteArray_AsString(reasons),
            rows,
        )
    return {
        (outcomes[i].partition, outcomes[i].disposition, outcomes[i].reason): outcomes[i].rows
        for i in range(outcomes.size())
    }


def offset_ranges(const int64_t[::1] partitions, const int64_t[::1] offsets):
    cdef size_t rows = len(partitions), i
    cdef vector[OffsetRange] ranges
    check_rows(rows, (offsets,))
    if rows:
        ranges = cpp_offset_ranges(&partitions[0], &offsets[0], rows)
    return {ranges[i].partition: (ranges[i].first, ranges[i].last + 1, ranges[i].rows) for i in range(ranges.size())}


def count_seconds(const int64_t[::1] partitions, const int64_t[::1] times_ms):
    cdef size_t rows = len(partitions), i
    cdef vector[SecondCount] counts
    check_rows(rows, (times_ms,))
    if rows:
        counts = cpp_count_seconds(&partitions[0], &times_ms[0], rows)
    return {(counts[i].partition, counts[i].second): counts[i].rows for i in range(counts.size())}
