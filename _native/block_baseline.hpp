// Block for any machine: SSE2, NEON, or plain code. See unescape_kernel.hpp.

struct Block {
  const uint8_t* from;

  explicit Block(const uint8_t* at) : from(at) {}

#if defined(__SSE2__)
  template <class Test>
  uint64_t mask(Test test) const {
    uint64_t bits = 0;
    for (int i = 0; i < 4; ++i) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16 * i));
      bits |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(test(bytes)))) << 16 * i;
    }
    return bits;
  }
  uint64_t equal_to(char c) const {
    return mask([c](__m128i bytes) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)); });
  }
  uint64_t controls() const {
    return mask([](__m128i bytes) { return _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes); });
  }
#elif defined(__aarch64__)
  template <class Test>
  uint64_t mask(Test test) const {
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t weight = vld1q_u8(weights);
    uint8x16_t bits[4];
    for (int i = 0; i < 4; ++i) bits[i] = vandq_u8(test(vld1q_u8(from + 16 * i)), weight);
    const uint8x16_t sums = vpaddq_u8(vpaddq_u8(bits[0], bits[1]), vpaddq_u8(bits[2], bits[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
  }
  uint64_t equal_to(char c) const {
    return mask([c](uint8x16_t bytes) { return vceqq_u8(bytes, vdupq_n_u8(static_cast<uint8_t>(c))); });
  }
  uint64_t controls() const {
    return mask([](uint8x16_t bytes) { return vcltq_u8(bytes, vdupq_n_u8(0x20)); });
  }
#else
  template <class Test>
  uint64_t mask(Test test) const {
    uint64_t bits = 0;
    for (int i = 0; i < 64; ++i) bits |= static_cast<uint64_t>(test(from[i])) << i;
    return bits;
  }
  uint64_t equal_to(char c) const {
    return mask([c](uint8_t byte) { return byte == static_cast<uint8_t>(c); });
  }
  uint64_t controls() const {
    return mask([](uint8_t byte) { return byte < 0x20; });
  }
#endif

  struct Classes {
    const uint8_t* from;
    template <class Test>
    uint64_t mask(Test test) const {
      uint64_t bits = 0;
      for (int i = 0; i < 64; ++i) bits |= static_cast<uint64_t>(test(from[i])) << i;
      return bits;
    }
    uint64_t escapable() const {
      return mask([](uint8_t c) { return c != 0 && std::strchr("\"\\/bfnrtu", c) != nullptr; });
    }
    uint64_t hex_digits() const {
      return mask([](uint8_t c) { return hex_digit(c) >= 0; });
    }
  };
  Classes classes() const { return {from}; }

  void store(uint8_t* out) const { std::memcpy(out, from, 64); }

  // Copies what stands between the bytes left out.
  void store_kept(uint64_t keep, uint8_t* out) const {
    int position = 0;
    for (uint64_t left_out = ~keep; left_out != 0; left_out &= left_out - 1) {
      const int next = __builtin_ctzll(left_out);
      while (position < next) *out++ = from[position++];
      ++position;
    }
    while (position < 64) *out++ = from[position++];
  }
};
