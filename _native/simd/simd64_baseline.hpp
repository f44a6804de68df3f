// Simd64 for any machine, of four times sixteen bytes. See text/unescape_kernel.hpp.

struct Simd64 {
  const uint8_t* from;

  explicit Simd64(const uint8_t* at) : from(at) {}

  template <class Test>
  static uint64_t where(const uint8_t* at, Test test) {
    using bytes16::load;
    return bytes16::bits(test(load(at)), test(load(at + 16)), test(load(at + 32)), test(load(at + 48)));
  }
  uint64_t equal_to(char c) const {
    return where(from, [c](bytes16::Bytes bytes) { return bytes16::equal(bytes, bytes16::all(c)); });
  }
  uint64_t controls() const {
    return where(from, [](bytes16::Bytes bytes) { return bytes16::at_most(bytes, bytes16::all(0x1F)); });
  }

  struct Classes {
    const uint8_t* from;
    uint64_t escapable() const {
      return where(from, [](bytes16::Bytes bytes) {
        bytes16::Bytes found = bytes16::equal(bytes, bytes16::all('"'));
        for (const char c : {'\\', '/', 'b', 'f', 'n', 'r', 't', 'u'})
          found = bytes16::either(found, bytes16::equal(bytes, bytes16::all(c)));
        return found;
      });
    }
    uint64_t hex_digits() const {
      return where(from, [](bytes16::Bytes bytes) {
        const bytes16::Bytes letters = bytes16::either(bytes, bytes16::all(0x20));
        return bytes16::either(bytes16::at_most(bytes16::minus(bytes, bytes16::all('0')), bytes16::all(9)),
                               bytes16::at_most(bytes16::minus(letters, bytes16::all('a')), bytes16::all(5)));
      });
    }
  };
  Classes classes() const { return {from}; }

  void store(uint8_t* out) const { std::memcpy(out, from, 64); }

#if defined(__aarch64__)
  uint64_t at_least(int c) const {
    return where(from, [c](uint8x16_t bytes) { return vcgeq_u8(bytes, bytes16::all(c)); });
  }
  uint64_t matches(int bits, int c) const {
    return where(
        from, [bits, c](uint8x16_t bytes) { return vceqq_u8(vandq_u8(bytes, bytes16::all(bits)), bytes16::all(c)); });
  }

  // Gives 0xFF for each of sixteen bits that is set.
  static uint8x16_t spread(uint64_t bits) {
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    const uint8x16_t bytes = vcombine_u8(vdup_n_u8(bits & 0xFF), vdup_n_u8(bits >> 8 & 0xFF));
    return vtstq_u8(bytes, bit);
  }
  static uint8x16_t nibbles(uint8x16_t digits) {
    const uint8x16_t nine = vandq_u8(vcgeq_u8(digits, vdupq_n_u8(0x40)), vdupq_n_u8(9));
    return vaddq_u8(vandq_u8(digits, vdupq_n_u8(15)), nine);
  }
  struct Latin1 {
    uint8_t values[64];
    void store_kept(uint64_t keep, uint8_t* out) const { Simd64(values).store_kept(keep, out); }
  };
  Latin1 latin1(Simd64 before, uint64_t hex, uint64_t letters) const {
    static constexpr uint8_t meanings[16] = {0, 8, 0, 12, 0, 0, 0, 10, 0, 13, 9};
    Latin1 latin1;
    for (int i = 0; i < 64; i += 16, hex >>= 16, letters >>= 16) {
      const uint8x16_t bytes = vld1q_u8(from + i), left = vld1q_u8(before.from + i);
      const uint8x16_t third = vceqq_u8(left, vdupq_n_u8(0xC3));
      const uint8x16_t joined = vorrq_u8(bytes, vandq_u8(third, vdupq_n_u8(0x40)));
      const uint8x16_t digits = vorrq_u8(vshlq_n_u8(nibbles(left), 4), nibbles(bytes));
      const uint8x16_t half = vandq_u8(vshrq_n_u8(bytes, 1), vdupq_n_u8(15));
      const uint8x16_t meant = vqtbl1q_u8(vld1q_u8(meanings), half);
      vst1q_u8(latin1.values + i, vbslq_u8(spread(letters), meant, vbslq_u8(spread(hex), digits, joined)));
    }
    return latin1;
  }

  void store_kept(uint64_t keep, uint8_t* out) const {
    for (int i = 0; i < 8; ++i, keep >>= 8) {
      vst1_u8(out, vtbl1_u8(vld1_u8(from + 8 * i), vcreate_u8(kept_order.of[keep & 0xFF])));
      out += __builtin_popcountll(keep & 0xFF);
    }
  }
#else
  // Copies the bytes between those left out, 16 at a time. Each copy may write too many; the next copy covers them.
  void store_kept(uint64_t keep, uint8_t* out) const {
    int position = 0;
    for (uint64_t left_out = ~keep;; left_out &= left_out - 1) {
      const int next = left_out ? __builtin_ctzll(left_out) : 64;
      for (; position < next && position <= 48; position += 16, out += 16) std::memcpy(out, from + position, 16);
      if (position > next) out -= position - next, position = next;
      while (position < next) *out++ = from[position++];
      if (next == 64) return;
      position = next + 1;
    }
  }
#endif
};
