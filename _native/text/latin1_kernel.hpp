// The loop of unescape_latin1, 64 bytes at a time. Included once for each instruction set, like unescape_kernel.hpp,
// in a namespace whose `Simd64` has these too:
//   at_least(c), matches(bits, c)   give one bit a byte; the second compares only the given bits of a byte
//   latin1(before, hex, letters)    gives the values of the bytes, whose neighbours on the left are `before`:
//                                   of the second hexadecimal digit of an escape, if its bit is set in `hex`;
//                                   of the letter of an escape such as \n, if its bit is set in `letters`;
//                                   of the second byte of a character above U+007F; and else the byte itself

// Moves bits up by `by` positions. The bits of the 64 bytes before come in at the bottom.
static inline uint64_t moved(uint64_t before, uint64_t bits, int by) { return bits << by | before >> (64 - by); }

static uint8_t* unescape_latin1(Cursor& in, uint8_t* out) {
  uint64_t escape_carry = 0, hex_before = 0;
  uint8_t tail[65];
  for (const uint8_t* at = in.at;; at += 64) {
    const uint8_t* from = at;
    const size_t left = static_cast<size_t>(in.end - at);
    if (left < 64) {
      // Zeros are characters like any other. The closing quote comes before them.
      std::memset(tail, 0, sizeof tail);
      std::memcpy(tail, at - 1, left + 1);
      from = tail + 1;
    }
    const Simd64 bytes(from);
    const uint64_t quotes = bytes.equal_to('"');
    const uint64_t backslashes = bytes.equal_to('\\');
    uint64_t escaped;
    const uint64_t starts = escape_starts(backslashes, escape_carry, escaped);
    const uint64_t closing = quotes & ~escaped;
    const uint64_t before_end = closing ? (closing & -closing) - 1 : ~uint64_t{0};

    // Of the six bytes of \u00e9, the last is kept.
    const uint64_t u = escaped & bytes.equal_to('u');
    const uint64_t zeros = moved(hex_before, u, 1) | moved(hex_before, u, 2);
    const uint64_t first_digits = moved(hex_before, u, 3), second_digits = moved(hex_before, u, 4);
    hex_before = u;
    const uint64_t letters = escaped & bytes.at_least('a') & ~u;
    const uint64_t leads = bytes.matches(0xFE, 0xC2);
    const uint64_t above = (bytes.at_least(0xC0) & ~leads) | (zeros & ~bytes.equal_to('0'));
    if (above & before_end) return nullptr;

    const uint64_t kept = ~(starts | leads | u | zeros | first_digits) & before_end;
    bytes.latin1(Simd64(from - 1), second_digits, letters).store_kept(kept, out);
    out += __builtin_popcountll(kept);
    if (closing) {
      in.at = at + __builtin_ctzll(closing) + 1;
      return out;
    }
    if (left <= 64) return nullptr;  // no closing quote: the string is not valid
  }
}
