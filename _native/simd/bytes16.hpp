// Sixteen bytes at once: SSE2, NEON, or plain code. Comparisons give 0xFF or 0 for each byte.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace recording::bytes16 {

#if defined(__SSE2__)

using Bytes = __m128i;

inline Bytes load(const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
inline Bytes all(int c) { return _mm_set1_epi8(static_cast<char>(c)); }
inline Bytes either(Bytes a, Bytes b) { return _mm_or_si128(a, b); }
inline Bytes minus(Bytes a, Bytes b) { return _mm_sub_epi8(a, b); }
inline Bytes equal(Bytes a, Bytes b) { return _mm_cmpeq_epi8(a, b); }
inline Bytes at_most(Bytes a, Bytes b) { return _mm_cmpeq_epi8(_mm_min_epu8(a, b), a); }

// The results of four comparisons, one bit a byte.
inline uint64_t bits(Bytes a, Bytes b, Bytes c, Bytes d) {
  const auto mask = [](Bytes bytes) { return static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(bytes))); };
  return mask(a) | mask(b) << 16 | mask(c) << 32 | mask(d) << 48;
}

#elif defined(__aarch64__)

using Bytes = uint8x16_t;

inline Bytes load(const uint8_t* at) { return vld1q_u8(at); }
inline Bytes all(int c) { return vdupq_n_u8(static_cast<uint8_t>(c)); }
inline Bytes either(Bytes a, Bytes b) { return vorrq_u8(a, b); }
inline Bytes minus(Bytes a, Bytes b) { return vsubq_u8(a, b); }
inline Bytes equal(Bytes a, Bytes b) { return vceqq_u8(a, b); }
inline Bytes at_most(Bytes a, Bytes b) { return vcleq_u8(a, b); }

inline uint64_t bits(Bytes a, Bytes b, Bytes c, Bytes d) {
  const Bytes weights = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  // Adding neighbours three times leaves one byte for each eight bytes.
  const Bytes low = vpaddq_u8(vandq_u8(a, weights), vandq_u8(b, weights));
  const Bytes high = vpaddq_u8(vandq_u8(c, weights), vandq_u8(d, weights));
  const Bytes sums = vpaddq_u8(low, high);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

#else

struct Bytes {
  uint8_t of[16];
};

template <class Make>
inline Bytes make(Make make_byte) {
  Bytes bytes;
  for (int i = 0; i < 16; ++i) bytes.of[i] = static_cast<uint8_t>(make_byte(i));
  return bytes;
}

inline Bytes load(const uint8_t* at) {
  Bytes bytes;
  std::memcpy(bytes.of, at, sizeof bytes.of);
  return bytes;
}
inline Bytes all(int c) {
  return make([c](int) { return c; });
}
inline Bytes either(Bytes a, Bytes b) {
  return make([&](int i) { return a.of[i] | b.of[i]; });
}
inline Bytes minus(Bytes a, Bytes b) {
  return make([&](int i) { return a.of[i] - b.of[i]; });
}
inline Bytes equal(Bytes a, Bytes b) {
  return make([&](int i) { return a.of[i] == b.of[i] ? 0xFF : 0; });
}
inline Bytes at_most(Bytes a, Bytes b) {
  return make([&](int i) { return a.of[i] <= b.of[i] ? 0xFF : 0; });
}

inline uint64_t bits(Bytes a, Bytes b, Bytes c, Bytes d) {
  uint64_t found = 0;
  for (int i = 0; i < 16; ++i)
    found |= static_cast<uint64_t>(a.of[i] & 1) << i | static_cast<uint64_t>(b.of[i] & 1) << (i + 16) |
             static_cast<uint64_t>(c.of[i] & 1) << (i + 32) | static_cast<uint64_t>(d.of[i] & 1) << (i + 48);
  return found;
}

#endif

}  // namespace recording::bytes16
