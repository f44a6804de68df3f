#One session of a session batch.Included by bindings.pyx.

BlockSummary = namedtuple(
    "BlockSummary",
    "distinct_id size event_count message_count first_offset last_offset first_timestamp last_timestamp"
    " first_url urls click_count keypress_count mouse_activity_count has_full_snapshot first_full_snapshot_position"
    " first_full_snapshot_timestamp snapshot_source snapshot_library snapshot_mode active_milliseconds"
    " out_of_order_count gap_count",
)


cdef str mode_name(SnapshotMode mode):
    if mode == SnapshotMode.unknown:
        return None
    return "screenshot" if mode == SnapshotMode.screenshot else "wireframe"


@final
cdef class SessionBlock:
    """One session's lines in a session batch, and counters over them."""

    cdef shared_ptr[CppSessionBlock] held
    cdef CppSessionBlock* block

    def __cinit__(self):
        self.hold(make_shared[CppSessionBlock]())

    cdef void hold(self, shared_ptr[CppSessionBlock] block) noexcept:
        self.held = block
        self.block = block.get()

    def record(self, DecodedBatch decoded not None, Py_ssize_t row, int64_t offset):
        """Add the row's lines; `offset` is their message's source offset. Return their size. Copies no bytes."""
        cdef const Row* found = decoded.row(row)
        if not found.ok:
            raise ValueError(f"row {row} did not end as ok")
        self.block.record(decoded.columns, found[0], offset)
        return found.lines.end - found.lines.begin

    @property
    def size(self):
        return self.block.size

    @property
    def event_count(self):
        return self.block.event_count

    @property
    def message_count(self):
        return self.block.messages.size()

    def summary(self):
        """Return the block's figures. Reads all events: call it once, when the block is complete."""
        cdef CppTimeline timeline = self.block.timeline()
        cdef bint playable = self.block.counters.full_snapshot.time > 0
        urls = [cpp_str(self.block.urls[i]) for i in range(self.block.urls.size())]
        return BlockSummary(
            distinct_id=cpp_str(self.block.distinct_id),
            size=self.block.size,
            event_count=self.block.event_count,
            message_count=self.block.messages.size(),
            first_offset=self.block.first_offset,
            last_offset=self.block.last_offset,
            first_timestamp=self.block.first_time,
            last_timestamp=self.block.last_time,
            first_url=urls[0] if urls else None,
            urls=urls,
            click_count=self.block.counters.clicks,
            keypress_count=self.block.counters.keypresses,
            mouse_activity_count=self.block.counters.mouse_activities,
            has_full_snapshot=playable,
            first_full_snapshot_position=self.block.counters.full_snapshot.event if playable else None,
            first_full_snapshot_timestamp=self.block.counters.full_snapshot.time if playable else None,
            snapshot_source="web" if self.block.source.empty() else cpp_str(self.block.source),
            snapshot_library=None if self.block.library.empty() else cpp_str(self.block.library),
            snapshot_mode=mode_name(self.block.mode),
            active_milliseconds=timeline.active_milliseconds,
            out_of_order_count=timeline.out_of_order,
            gap_count=timeline.gaps,
        )

    def lines(self):
        """Return a copy of all lines."""
        cdef string copy
        cdef size_t i
        cdef Span slice
        for i in range(self.block.slices().size()):
            slice = self.block.slices()[i]
            copy.append(<const char*> slice.begin, slice.size())
        return <bytes> copy

    def messages(self):
        """Return (source offset, line count) of each message, in the order recorded."""
        return [(self.block.messages[i].first, self.block.messages[i].second) for i in range(self.block.messages.size())]
