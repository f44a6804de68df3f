// The loops of unescape.hpp over blocks of 64 bytes. Included once for each instruction set, in a
// namespace that has a `Block`:
//   Block(at)                      reads 64 bytes
//   equal_to(c), controls(), escapable(), hex_digits()   one bit a byte, lowest first
//   store(out), store_kept(keep, out)   writes all bytes, or those whose bit is set, close together;
//                                       both may write 64 bytes

// Which backslashes begin an escape: in each run of backslashes the first, the third, and so on.
// `carry` is 1 where the first byte of the block is escaped by the block before, and becomes that for
// the next block. Gives the escaped bytes in `escaped`.
static inline uint64_t escape_starts(uint64_t backslashes, uint64_t& carry, uint64_t& escaped) {
  constexpr uint64_t odd = 0xAAAAAAAAAAAAAAAA;
  // Subtracting the backslashes from their positions moved up by one makes the borrow run through
  // each run, so that its parity comes out against the odd bits.
  const uint64_t candidates = backslashes & ~carry;
  const uint64_t parity = (((candidates << 1) | odd) - candidates) ^ odd;
  escaped = parity ^ (backslashes | carry);
  const uint64_t starts = parity & backslashes;
  carry = starts >> 63;
  return starts;
}

static Unescaped unescape(Span in, uint8_t* out) {
  const Unescaped invalid{nullptr, 0, false, false};
  const uint8_t* at = in.begin;
  uint8_t* to = out;
  uint64_t kept_backslashes = 0;
  bool line_breaks = false;
  uint8_t tail[64];
  for (;;) {
    const uint8_t* from = at;
    const size_t left = static_cast<size_t>(in.end - at);
    if (left < 64) {
      // Zeros are control characters: the block stops there at the latest.
      std::memset(tail, 0, sizeof tail);
      std::memcpy(tail, at, left);
      from = tail;
    }
    const Block block(from);
    const uint64_t quotes = block.equal_to('"');
    const uint64_t backslashes = block.equal_to('\\');
    const uint64_t controls = block.controls();
    if (backslashes == 0) {
      block.store(to);
      const uint64_t stop = quotes | controls;
      if (stop == 0) {
        at += 64;
        to += 64;
        continue;
      }
      const int length = __builtin_ctzll(stop);
      if (controls >> length & 1) return invalid;
      return {at + length, static_cast<size_t>(to + length - out), kept_backslashes != 0, line_breaks};
    }

    uint64_t escaped, carry = 0;
    const uint64_t starts = escape_starts(backslashes, carry, escaped);
    // Of \" \\ and \/ it is enough to leave out the backslash.
    uint64_t others = escaped & ~(quotes | backslashes);
    if (others) others &= ~block.equal_to('/');
    const uint64_t closing = quotes & ~escaped;
    const uint64_t cut = starts & (uint64_t{1} << 63);  // an escape that the next block begins with
    const uint64_t stop = closing | others >> 1 | controls | cut;
    if (stop == 0) {
      kept_backslashes |= escaped & backslashes;
      block.store_kept(~starts, to);
      to += 64 - __builtin_popcountll(starts);
      at += 64;
      continue;
    }
    const int length = __builtin_ctzll(stop);
    const uint64_t before = (uint64_t{1} << length) - 1;
    kept_backslashes |= escaped & backslashes & before;
    block.store_kept(~starts & before, to);
    to += __builtin_popcountll(~starts & before);
    at += length;
    if (closing >> length & 1) return {at, static_cast<size_t>(to - out), kept_backslashes != 0, line_breaks};
    if (cut >> length & 1) continue;
    if (!(others >> 1 >> length & 1)) return invalid;

    Cursor escape{at, in.end};
    while (escape.take_if('\\')) {
      const int32_t code = take_escape(escape);
      if (code < 0) return invalid;
      kept_backslashes |= code == '\\';
      line_breaks |= code == '\n' || code == '\r';
      to = write_utf8(static_cast<uint32_t>(code), to);
    }
    at = escape.at;
  }
}

static bool escapes_valid(Span text) {
  uint64_t carry = 0;      // the next block's first byte is escaped
  uint64_t hex_carry = 0;  // bytes of the next block that have to be hexadecimal digits
  uint64_t wrong = 0;
  for (const uint8_t* at = text.begin; at < text.end; at += 64) {
    const Block block(at);
    const uint64_t backslashes = block.equal_to('\\');
    if ((backslashes | carry | hex_carry) == 0) continue;
    uint64_t escaped;
    escape_starts(backslashes, carry, escaped);
    wrong |= escaped & ~block.escapable();
    const uint64_t u = escaped & block.equal_to('u');
    if ((u | hex_carry) == 0) continue;
    const uint64_t hex = u << 1 | u << 2 | u << 3 | u << 4 | hex_carry;
    wrong |= hex & ~block.hex_digits();
    hex_carry = u >> 63 | u >> 62 | u >> 61 | u >> 60;
  }
  return (wrong | carry | hex_carry) == 0;
}
