// Simd64 for AVX-512 with VBMI2. See text/unescape_kernel.hpp.

struct Simd64 {
  __m512i bytes;

  explicit Simd64(const uint8_t* at) : bytes(_mm512_loadu_si512(at)) {}
  explicit Simd64(__m512i bytes) : bytes(bytes) {}

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

  // `at_least` and `matches` give one bit a byte, too.
  inline uint64_t at_least(int c) const {
    return _mm512_cmpge_epu8_mask(bytes, _mm512_set1_epi8(static_cast<char>(c)));
  }
  inline uint64_t matches(int bits, int c) const {
    return _mm512_cmpeq_epi8_mask(_mm512_and_si512(bytes, _mm512_set1_epi8(static_cast<char>(bits))),
                                  _mm512_set1_epi8(static_cast<char>(c)));
  }

  static inline __m512i nibbles(__m512i digits) {
    const __m512i low = _mm512_and_si512(digits, _mm512_set1_epi8(15));
    return _mm512_mask_add_epi8(low, _mm512_test_epi8_mask(digits, _mm512_set1_epi8(0x40)), low, _mm512_set1_epi8(9));
  }
  inline Simd64 latin1(Simd64 before, uint64_t hex, uint64_t letters) const {
    const __m512i joined =
        _mm512_or_si512(bytes, _mm512_maskz_mov_epi8(before.equal_to('\xC3'), _mm512_set1_epi8(0x40)));
    const __m512i digits = _mm512_or_si512(_mm512_slli_epi16(nibbles(before.bytes), 4), nibbles(bytes));
    const __m512i half = _mm512_and_si512(_mm512_srli_epi16(bytes, 1), _mm512_set1_epi8(15));
    const __m512i meanings = every_lane(_mm_setr_epi8(0, 8, 0, 12, 0, 0, 0, 10, 0, 13, 9, 0, 0, 0, 0, 0));
    return Simd64(_mm512_mask_shuffle_epi8(_mm512_mask_mov_epi8(joined, hex, digits), letters, meanings, half));
  }

  inline void store(uint8_t* out) const { _mm512_storeu_si512(out, bytes); }
  // Compresses in a register first: compressing straight to memory is slow on some machines.
  inline void store_kept(uint64_t keep, uint8_t* out) const {
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(keep, bytes));
  }
};
