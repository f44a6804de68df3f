// The loops of unescape.hpp, 64 bytes at a time. Included once for each instruction set, in a namespace
// that has a `Simd64`:
//   Simd64(at)                     reads 64 bytes
//   equal_to(c), controls()        one bit a byte, lowest first
//   classes().escapable(), classes().hex_digits()   likewise
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

// Looks at the escapes of the text that comes out, a stretch at a time while it is in the cache.
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

  // Looks at the rest. The text is followed by 64 zero bytes.
  bool finish(const uint8_t* end) {
    add_until(end);
    return (wrong_ | carry_ | hex_carry_) == 0;
  }

 private:
  // Not inlined: the two loops would take each other's registers.
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
    // Four bits behind each u. Where two overlap, the first has a backslash in its digits already.
    const unsigned __int128 digits = static_cast<unsigned __int128>(u) * 0b11110;
    wrong_ |= (static_cast<uint64_t>(digits) | hex_carry_) & ~classes.hex_digits();
    hex_carry_ = static_cast<uint64_t>(digits >> 64);
  }

  const uint8_t* at_;
  uint64_t carry_ = 0;      // the next block's first byte is escaped
  uint64_t hex_carry_ = 0;  // bytes of the next block that have to be hexadecimal digits
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
      // Zeros are control characters: the block stops there at the latest.
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
    // Where the loop has to stop: at a quote that is not escaped, behind a backslash that escapes
    // neither quote nor backslash (of these it is enough to leave out the backslash), at a control
    // character, and at an escape that goes on in the next block.
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
