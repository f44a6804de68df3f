// Simd64 for AVX-512 with VBMI2. See text/unescape_kernel.hpp.

struct Simd64 {
  __m512i bytes;

  explicit Simd64(const uint8_t* at) : bytes(_mm512_loadu_si512(at)) {}

  inline uint64_t equal_to(char c) const { return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(c)); }
  inline uint64_t controls() const { return _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)); }

  // The same as _mm512_broadcast_i32x4, for which GCC 12 gives a warning.
  static inline __m512i every_lane(__m128i lane) { return _mm512_maskz_broadcast_i32x4(0xFFFF, lane); }

  // Each half of a byte has an entry in a table. The byte belongs to the classes that both entries have. Bits 0 to 3
  // are for bytes that may follow a backslash, in the rows 2 (" /), 5 (\), 6 (b f n) and 7 (r t u). Bits 4 and 5 are
  // for hexadecimal digits, in the rows 3 (0 to 9), 4 and 6 (A to F). The shuffle gives zero for bytes above 0x7F.
  struct Classes {
    __m512i of;
    inline uint64_t escapable() const { return _mm512_test_epi8_mask(of, _mm512_set1_epi8(0x0F)); }
    inline uint64_t hex_digits() const { return _mm512_test_epi8_mask(of, _mm512_set1_epi8(0x30)); }
  };
  inline Classes classes() const {
    const __m512i column = every_lane(_mm_setr_epi8(16, 48, 61, 48, 56, 56, 52, 16, 16, 16, 0, 0, 2, 0, 4, 1));
    const __m512i row = every_lane(_mm_setr_epi8(0, 0, 1, 16, 32, 2, 36, 8, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m512i high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), _mm512_set1_epi8(15));
    return {_mm512_and_si512(_mm512_shuffle_epi8(column, bytes), _mm512_shuffle_epi8(row, high))};
  }

  inline void store(uint8_t* out) const { _mm512_storeu_si512(out, bytes); }
  // Compresses in a register first: compressing straight to memory is slow on some machines.
  inline void store_kept(uint64_t keep, uint8_t* out) const {
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(keep, bytes));
  }
};
