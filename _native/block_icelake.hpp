// Block for AVX-512 with VBMI2. See unescape_kernel.hpp.

struct Block {
  __m512i bytes;

  explicit Block(const uint8_t* at) : bytes(_mm512_loadu_si512(at)) {}

  inline uint64_t equal_to(char c) const { return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(c)); }
  inline uint64_t controls() const { return _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)); }

  // As _mm512_broadcast_i32x4, about which GCC 12 warns.
  static inline __m512i every_lane(__m128i lane) { return _mm512_maskz_broadcast_i32x4(0xFFFF, lane); }

  // A byte is in the set where the entries of its two halves have a bit in common: 2x is " /, 5x is \,
  // 6x is b f n, 7x is r t u.
  inline uint64_t escapable() const {
    const __m512i by_low = every_lane(_mm_setr_epi8(0, 0, 1 | 4 | 8, 0, 8, 8, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1));
    const __m512i by_high = every_lane(_mm_setr_epi8(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m512i nibble = _mm512_set1_epi8(15);
    return _mm512_test_epi8_mask(_mm512_shuffle_epi8(by_low, _mm512_and_si512(bytes, nibble)),
                                 _mm512_shuffle_epi8(by_high, _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble)));
  }
  inline uint64_t hex_digits() const {
    const __m512i letters = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
    return _mm512_cmple_epu8_mask(_mm512_sub_epi8(bytes, _mm512_set1_epi8('0')), _mm512_set1_epi8(9)) |
           _mm512_cmple_epu8_mask(_mm512_sub_epi8(letters, _mm512_set1_epi8('a')), _mm512_set1_epi8(5));
  }

  inline void store(uint8_t* out) const { _mm512_storeu_si512(out, bytes); }
  // In a register first: compressing straight to memory is slow on some machines.
  inline void store_kept(uint64_t keep, uint8_t* out) const {
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(keep, bytes));
  }
};
