# Training of zstd dictionaries. Included by bindings.pyx.


def train_dictionary(samples, size_t size, int level=3):
    """Return a zstd dictionary of what the samples have in common, with the GIL released."""
    cdef list held = list(samples)  # keeps the samples alive while the GIL is released
    cdef vector[Span] spans
    cdef vector[uint8_t] trained
    cdef bytes sample
    for sample in held:
        if sample is None:
            raise TypeError("a sample is bytes, not None")
        spans.push_back(bytes_span(sample))
    with nogil:
        trained = cpp_train_dictionary(spans, size, level)
    if trained.empty():
        raise ValueError("the samples have too little in common, or the size is too small")
    return PyBytes_FromStringAndSize(<const char*> trained.data(), trained.size())
