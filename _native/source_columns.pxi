# The bytes and headers of source messages, as columns. Included by bindings.pyx.

from kafka_consumer cimport Header


cdef inline object bytes_or_none(Span span):
    return None if span.begin == NULL else PyBytes_FromStringAndSize(<const char*> span.begin, span.size())


cdef inline Span bytes_or_null(object value) except *:
    cdef Span span
    span.begin = span.end = NULL
    return span if value is None else bytes_span(<bytes?> value)


cdef inline object keep_for(size_t rows, object keep):
    """Return what these rows keep alive. A column without rows keeps nothing: it may follow the polls for ever."""
    return keep if rows else None


cdef inline object keep_both(size_t rows, object keep, size_t other_rows, object other_keep):
    if not rows or not other_rows:
        return keep_for(other_rows, other_keep) if not rows else keep
    return (keep, other_keep)


@final
cdef class ByteColumn:
    """Bytes or None per row."""

    cdef vector[Span] spans
    cdef object keep  # what owns the bytes

    def __cinit__(self, values=()):
        self.keep = tuple(values)
        for value in self.keep:
            self.spans.push_back(bytes_or_null(value))

    def __len__(self):
        return self.spans.size()

    def __getitem__(self, rows):
        cdef ByteColumn part
        if not isinstance(rows, slice):
            return bytes_or_none(self.spans[checked(rows, self.spans.size())])
        part = ByteColumn.__new__(ByteColumn)
        for row in range(*rows.indices(self.spans.size())):
            part.spans.push_back(self.spans[<size_t> row])
        part.keep = keep_for(part.spans.size(), self.keep)
        return part

    def __add__(self, ByteColumn other not None):
        cdef ByteColumn both = ByteColumn.__new__(ByteColumn)
        both.keep = keep_both(self.spans.size(), self.keep, other.spans.size(), other.keep)
        both.spans = self.spans
        both.spans.insert(both.spans.end(), other.spans.begin(), other.spans.end())
        return both

    def size(self, size_t row):
        """Return the number of bytes of a row; 0 for None."""
        return self.spans[checked(row, self.spans.size())].size()

    @property
    def total(self):
        cdef size_t row, total = 0
        for row in range(self.spans.size()):
            total += self.spans[row].size()
        return total

    @property
    def filled(self):
        cdef size_t row, filled = 0
        for row in range(self.spans.size()):
            filled += self.spans[row].begin != NULL
        return filled

    def count_sizes(self, const int64_t[::1] bounds not None):
        """Return how many rows that are not None are within each bound, and not within the one before."""
        cdef vector[size_t] counts = vector[size_t](bounds.shape[0] + 1, 0)
        cdef size_t row, size, place
        for row in range(self.spans.size()):
            if self.spans[row].begin == NULL:
                continue
            size, place = self.spans[row].size(), 0
            while place < <size_t> bounds.shape[0] and <int64_t> size > bounds[place]:
                place += 1
            counts[place] += 1
        return list(counts)


cdef size_t checked(Py_ssize_t row, size_t rows) except? <size_t> -1:
    if row < 0 or <size_t> row >= rows:
        raise IndexError(f"row {row} of {rows}")
    return <size_t> row


@final
cdef class HeaderColumn:
    """The headers of each row, in order: names and values."""

    cdef vector[Header] headers
    cdef vector[size_t] ends  # where the headers of each row end
    cdef object keep

    def __cinit__(self, rows=()):
        cdef list keep = [tuple(rows)]
        cdef Header header
        for headers in keep[0]:
            for name, value in headers:
                header.name, header.value = str_span(name, keep), bytes_or_null(value)
                self.headers.push_back(header)
            self.ends.push_back(self.headers.size())
        self.keep = keep

    def __len__(self):
        return self.ends.size()

    cdef size_t begin(self, size_t row) noexcept:
        return self.ends[row - 1] if row else 0

    def __getitem__(self, rows):
        cdef HeaderColumn part
        cdef size_t row, i
        if not isinstance(rows, slice):
            row = checked(rows, self.ends.size())
            return [
                (bytes_or_none(self.headers[i].name).decode(errors="replace"), bytes_or_none(self.headers[i].value))
                for i in range(self.begin(row), self.ends[row])
            ]
        part = HeaderColumn.__new__(HeaderColumn)
        for number in range(*rows.indices(self.ends.size())):
            row = <size_t> number
            for i in range(self.begin(row), self.ends[row]):
                part.headers.push_back(self.headers[i])
            part.ends.push_back(part.headers.size())
        part.keep = keep_for(part.ends.size(), self.keep)
        return part

    def __add__(self, HeaderColumn other not None):
        cdef HeaderColumn both = HeaderColumn.__new__(HeaderColumn)
        cdef size_t row
        both.keep = keep_both(self.ends.size(), self.keep, other.ends.size(), other.keep)
        both.headers, both.ends = self.headers, self.ends
        both.headers.insert(both.headers.end(), other.headers.begin(), other.headers.end())
        for row in range(other.ends.size()):
            both.ends.push_back(self.headers.size() + other.ends[row])
        return both

    def texts(self, tuple names not None):
        cdef size_t row, i, k, count = len(names)
        cdef list keep = [names, self.keep], made = []
        cdef vector[Span] wanted
        cdef vector[vector[Span]] texts
        cdef TextColumn column
        cdef Span name, text
        cdef bytes cleaned
        for given in names:
            wanted.push_back(str_span(given, keep))
        texts.resize(count)
        for i in range(count):
            texts[i].resize(self.ends.size())
        for row in range(self.ends.size()):
            for k in range(self.begin(row), self.ends[row]):
                name = self.headers[k].name
                for i in range(count):
                    if equal(name, wanted[i]):
                        break
                else:
                    if is_plain_text(name):
                        continue
                    key = clean_text(name).decode()
                    if key not in names:
                        continue
                    i = names.index(key)
                text = self.headers[k].value
                if text.begin == NULL:
                    continue
                if not is_plain_text(text):
                    cleaned = clean_text(text)
                    keep.append(cleaned)
                    text = bytes_span(cleaned)
                texts[i][row] = text
        for i in range(count):
            column = TextColumn.__new__(TextColumn)
            column.keep = keep
            column.column.texts.swap(texts[i])
            made.append(column)
        return made


cdef bytes clean_text(Span text):
    """Return the text without NUL, and with U+FFFD in place of invalid UTF-8."""
    raw = PyBytes_FromStringAndSize(<const char*> text.begin, text.size())
    return raw.decode(errors="replace").replace("\0", "").encode()
