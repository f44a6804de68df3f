// The loops of unescape.hpp, 64 bytes at a time. Included once for each instruction set, in a namespace
// that has a `Simd64`:
//   Simd64(at)                     reads 64 bytes
//   equal_to(c), controls()        give one bit a byte, lowest first
//   classes().escapable(), classes().hex_digits()   give the same
//   store(out), store_kept(keep, out)   write all bytes, or the bytes whose bit is set, close together;
//                                       both may write 64 bytes

// Checks the escapes of the unescaped text, a stretch at a time while the text is in the cache.
class EscapeCheck {
 public:
  explicit EscapeCheck(const uint8_t* text) : at_(text) {}

  inline void follow(const uint8_t* end, bool backslashes) {
    constexpr ptrdiff_t stretch = 8 * 1024;
    if (__builtin_expect(end - at_ < stretch + 64, 1)) return;
    if (backslashes)
      add_until(at_ + stretch);
    else
      at_ += stretch;
  }

  // Checks the rest. 64 zero bytes must follow the text.
  bool finish(const uint8_t* end) {
    add_until(end);
    return (wrong_ | carry_ | hex_carry_) == 0;
  }

 private:
  // Not inlined: the two loops would compete for registers.
  __attribute__((noinline)) void add_until(const uint8_t* end) {
    EscapeCheck check = *this;
    for (; check.at_ < end; check.at_ += 64) check.add(check.at_);
    *this = check;
  }

  inline void add(const uint8_t* at) {
    const Simd64 bytes(at);
    const uint64_t backslashes = bytes.equal_to('\\');
    if ((backslashes | carry_ | hex_carry_) == 0) return;
    uint64_t escaped;
    escape_starts(backslashes, carry_, escaped);
    const Simd64::Classes classes = bytes.classes();
    wrong_ |= escaped & ~classes.escapable();
    const uint64_t u = escaped & bytes.equal_to('u');
    if ((u | hex_carry_) == 0) return;
    // Four bits behind each u. If two of them overlap, the first has a backslash among its digits, and is wrong anyway.
    const unsigned __int128 digits = static_cast<unsigned __int128>(u) * 0b11110;
    wrong_ |= (static_cast<uint64_t>(digits) | hex_carry_) & ~classes.hex_digits();
    hex_carry_ = static_cast<uint64_t>(digits >> 64);
  }

  const uint8_t* at_;
  uint64_t carry_ = 0;      // 1 if the next byte is escaped
  uint64_t hex_carry_ = 0;  // which of the next 64 bytes must be hexadecimal digits
  uint64_t wrong_ = 0;
};

static Unescaped unescape(Span in, uint8_t* out) {
  const Unescaped invalid{nullptr, 0, false, false};
  const uint8_t* at = in.begin;
  uint8_t* to = out;
  EscapeCheck check(out);
  uint64_t backslashes_kept = 0;
  bool line_breaks = false;
  const auto finish = [&](const uint8_t* quote) {
    std::memset(to, 0, 64);
    const bool valid = backslashes_kept == 0 || check.finish(to);
    return Unescaped{quote, static_cast<size_t>(to - out), valid, line_breaks};
  };
  uint8_t tail[64];
  for (;;) {
    check.follow(to, backslashes_kept != 0);
    const uint8_t* from = at;
    const size_t left = static_cast<size_t>(in.end - at);
    if (left < 64) {
      // Zeros are control characters: the loop stops there at the latest.
      std::memset(tail, 0, sizeof tail);
      std::memcpy(tail, at, left);
      from = tail;
    }
    const Simd64 bytes(from);
    const uint64_t quotes = bytes.equal_to('"');
    const uint64_t backslashes = bytes.equal_to('\\');
    const uint64_t controls = bytes.controls();
    uint64_t escaped, carry = 0;
    const uint64_t starts = escape_starts(backslashes, carry, escaped);
    // The loop must stop at a quote that is not escaped, at an escape of anything but a quote or backslash (for these
    // two, leaving out the first backslash is enough), at a control character, and at an escape that continues in the
    // next 64 bytes.
    const uint64_t unusual = (escaped ^ quotes) & ~backslashes;
    const uint64_t cut = starts & (uint64_t{1} << 63);
    if ((unusual | controls | cut) == 0) {
      backslashes_kept |= escaped & backslashes;
      bytes.store_kept(~starts, to);
      to += 64 - __builtin_popcountll(starts);
      at += 64;
      continue;
    }

    const uint64_t closing = quotes & ~escaped;
    const uint64_t others = (escaped & ~(quotes | backslashes | bytes.equal_to('/'))) >> 1;
    const uint64_t stop = closing | others | controls | cut;
    const int length = stop ? __builtin_ctzll(stop) : 64;
    const uint64_t before = stop ? (stop & -stop) - 1 : ~uint64_t{0};
    backslashes_kept |= escaped & backslashes & before;
    bytes.store_kept(~starts & before, to);
    to += __builtin_popcountll(~starts & before);
    at += length;
    if (stop == 0 || cut >> length & 1) continue;
    if (closing >> length & 1) return finish(at);
    if (!(others >> length & 1)) return invalid;

    Cursor escape{at, in.end};
    while (escape.take_if('\\')) {
      const int32_t code = take_escape(escape);
      if (code < 0) return invalid;
      backslashes_kept |= code == '\\';
      line_breaks |= code == '\n' || code == '\r';
      to = write_utf8(static_cast<uint32_t>(code), to);
    }
    at = escape.at;
  }
}

static bool escapes_valid(Span text) { return EscapeCheck(text.begin).finish(text.end); }
