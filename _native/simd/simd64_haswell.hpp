// Simd64 for AVX2. See text/unescape_kernel.hpp.

struct Simd64 {
  __m256i low, high;

  explicit Simd64(const uint8_t* at)
      : low(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at))),
        high(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32))) {}
  Simd64(__m256i low, __m256i high) : low(low), high(high) {}

  static inline uint64_t bits(__m256i low, __m256i high) {
    return static_cast<uint32_t>(_mm256_movemask_epi8(low)) |
           static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(high))) << 32;
  }
  inline uint64_t equal_to(char c) const {
    const __m256i wanted = _mm256_set1_epi8(c);
    return bits(_mm256_cmpeq_epi8(low, wanted), _mm256_cmpeq_epi8(high, wanted));
  }
  static inline __m256i at_most(__m256i bytes, char most) {
    return _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(most)), bytes);
  }
  inline uint64_t controls() const { return bits(at_most(low, 0x1F), at_most(high, 0x1F)); }

  // Each half of a byte has an entry in a table. The byte belongs to the classes that both entries have. Bits 0 to 3
  // are for bytes that may follow a backslash, in the rows 2 (" /), 5 (\), 6 (b f n) and 7 (r t u). Bits 4 and 5 are
  // for hexadecimal digits, in the rows 3 (0 to 9), 4 and 6 (A to F). The shuffle gives zero for bytes above 0x7F.
  struct Classes {
    __m256i low, high;
    static inline __m256i has(__m256i of, char classes) {
      return _mm256_cmpgt_epi8(_mm256_and_si256(of, _mm256_set1_epi8(classes)), _mm256_setzero_si256());
    }
    inline uint64_t escapable() const { return bits(has(low, 0x0F), has(high, 0x0F)); }
    inline uint64_t hex_digits() const { return bits(has(low, 0x30), has(high, 0x30)); }
  };
  static inline __m256i classes_of(__m256i bytes) {
    const __m256i column =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(16, 48, 61, 48, 56, 56, 52, 16, 16, 16, 0, 0, 2, 0, 4, 1));
    const __m256i row = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 1, 16, 32, 2, 36, 8, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
    return _mm256_and_si256(_mm256_shuffle_epi8(column, bytes), _mm256_shuffle_epi8(row, high));
  }
  inline Classes classes() const { return {classes_of(low), classes_of(high)}; }

  inline uint64_t at_least(int c) const {
    const __m256i least = _mm256_set1_epi8(static_cast<char>(c));
    return bits(_mm256_cmpeq_epi8(_mm256_max_epu8(low, least), low),
                _mm256_cmpeq_epi8(_mm256_max_epu8(high, least), high));
  }
  inline uint64_t matches(int wanted_bits, int c) const {
    const __m256i mask = _mm256_set1_epi8(static_cast<char>(wanted_bits));
    return Simd64(_mm256_and_si256(low, mask), _mm256_and_si256(high, mask)).equal_to(static_cast<char>(c));
  }

  // Gives 0xFF for each bit that is set.
  static inline __m256i spread(uint32_t bits) {
    const __m256i place = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                           2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), place);
    return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
  }
  static inline __m256i nibbles(__m256i digits) {
    const __m256i letters = _mm256_cmpgt_epi8(digits, _mm256_set1_epi8(0x3F));
    return _mm256_add_epi8(_mm256_and_si256(digits, _mm256_set1_epi8(15)),
                           _mm256_and_si256(letters, _mm256_set1_epi8(9)));
  }
  static inline __m256i latin1(__m256i bytes, __m256i before, uint32_t hex, uint32_t letters) {
    const __m256i third = _mm256_cmpeq_epi8(before, _mm256_set1_epi8('\xC3'));
    const __m256i joined = _mm256_or_si256(bytes, _mm256_and_si256(third, _mm256_set1_epi8(0x40)));
    const __m256i digits = _mm256_or_si256(_mm256_slli_epi16(nibbles(before), 4), nibbles(bytes));
    const __m256i half = _mm256_and_si256(_mm256_srli_epi16(bytes, 1), _mm256_set1_epi8(15));
    const __m256i meanings =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 8, 0, 12, 0, 0, 0, 10, 0, 13, 9, 0, 0, 0, 0, 0));
    return _mm256_blendv_epi8(_mm256_blendv_epi8(joined, digits, spread(hex)), _mm256_shuffle_epi8(meanings, half),
                              spread(letters));
  }
  inline Simd64 latin1(Simd64 before, uint64_t hex, uint64_t letters) const {
    return {latin1(low, before.low, static_cast<uint32_t>(hex), static_cast<uint32_t>(letters)),
            latin1(high, before.high, static_cast<uint32_t>(hex >> 32), static_cast<uint32_t>(letters >> 32))};
  }

  inline void store(uint8_t* out) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32), high);
  }

  static inline uint8_t* store_eight(uint64_t bytes, uint32_t keep, uint8_t* out) {
    const __m128i order = _mm_cvtsi64_si128(static_cast<long long>(kept_order.of[keep]));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out),
                     _mm_shuffle_epi8(_mm_cvtsi64_si128(static_cast<long long>(bytes)), order));
    return out + __builtin_popcount(keep);
  }
  inline void store_kept(uint64_t keep, uint8_t* out) const {
    const __m256i halves[2] = {low, high};
    for (const __m256i half : halves) {
      for (const __m128i quarter : {_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)}) {
        out = store_eight(static_cast<uint64_t>(_mm_cvtsi128_si64(quarter)), keep & 0xFF, out);
        out = store_eight(static_cast<uint64_t>(_mm_extract_epi64(quarter, 1)), keep >> 8 & 0xFF, out);
        keep >>= 16;
      }
    }
  }
};
