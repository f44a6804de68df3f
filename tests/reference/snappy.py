"""Decompress raw snappy by its format description, without a library, as any reader must be able to."""


def decompress(block: bytes) -> bytes:
    """Return the content of a raw snappy block. Raises ValueError if it is not one."""
    length, at = _varint(block)
    out = bytearray()
    while at < len(block):
        tag = block[at]
        kind, field = tag & 3, tag >> 2
        at += 1
        if kind == 0:  # a literal, its length in the tag or in up to four bytes behind it
            extra = max(0, field - 59)
            size = 1 + (int.from_bytes(block[at : at + extra], "little") if extra else field)
            at += extra
            out += block[at : at + size]
            at += size
        else:  # a copy of what came before, with an offset of 11, 16 or 32 bits
            extra = (1, 2, 4)[kind - 1]
            offset = int.from_bytes(block[at : at + extra], "little") + ((field >> 3 << 8) if kind == 1 else 0)
            size = (field & 7) + 4 if kind == 1 else field + 1
            at += extra
            if not 0 < offset <= len(out):
                raise ValueError(f"a copy from {offset} bytes before byte {len(out)}")
            for _ in range(size):  # it may overlap what it writes
                out.append(out[-offset])
    if len(out) != length or at != len(block):
        raise ValueError(f"{len(out)} bytes where the block says {length}")
    return bytes(out)


def _varint(block: bytes) -> tuple[int, int]:
    value = 0
    for at, byte in enumerate(block[:5]):
        value |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return value, at + 1
    raise ValueError("no length")
