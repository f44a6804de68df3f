#include "simd/crc32.hpp"

#include <libdeflate.h>

#if defined(__x86_64__)
#include <immintrin.h>

#include "simd/targets.hpp"
#endif

namespace recording {

#if defined(__x86_64__)
namespace {

// x to the power `exponent` modulo the polynomial of the CRC, with its bits in reverse. A carry-less product of two
// such numbers lacks one bit, which the shift adds.
constexpr long long power(int exponent) {
  uint32_t value = 0x80000000;
  for (; exponent; --exponent) value = value >> 1 ^ (value & 1 ? 0xEDB88320 : 0);
  return static_cast<long long>(value) << 1;
}

BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,vpclmulqdq,pclmul,avx2")

// Moves each 16 bytes of `from` by `bits` bits to the right, where `to` is, without a change of the CRC ("Fast CRC
// Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009).
template <int bits>
inline __m512i fold(__m512i from, __m512i to) {
  const __m512i powers = _mm512_maskz_broadcast_i32x4(0xFFFF, _mm_set_epi64x(power(bits - 32), power(bits + 32)));
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(from, powers, 0x00),
                                   _mm512_clmulepi64_epi128(from, powers, 0x11), to, 0x96);
}

constexpr size_t least_folded = 512;

// Of at least 512 bytes.
uint32_t folded_crc32(Span bytes) {
  const uint8_t* at = bytes.begin;
  const auto load = [&at](int index) { return _mm512_loadu_si512(at + 64 * index); };
  // The CRC begins with the first 32 bits inverted.
  __m512i folds[4] = {_mm512_xor_si512(load(0), _mm512_maskz_set1_epi32(1, -1)), load(1), load(2), load(3)};
  for (at += 256; bytes.end - at >= 256; at += 256)
    for (int i = 0; i < 4; ++i) folds[i] = fold<4 * 512>(folds[i], load(i));
  __m512i last = folds[0];
  for (int i = 1; i < 4; ++i) last = fold<512>(last, folds[i]);
  for (; bytes.end - at >= 64; at += 64) last = fold<512>(last, load(0));
  uint8_t rest[64 + 64];
  _mm512_storeu_si512(rest, last);
  const auto left = static_cast<size_t>(bytes.end - at);
  std::memcpy(rest + 64, at, left);
  // The inverse of the usual start: the first bytes are inverted already.
  return libdeflate_crc32(0xFFFFFFFF, rest, 64 + left);
}

END_TARGET

bool can_fold() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("pclmul");
}

}  // namespace

uint32_t crc32(Span bytes) {
  static const bool folds = can_fold();
  return folds && bytes.size() >= least_folded ? folded_crc32(bytes) : libdeflate_crc32(0, bytes.begin, bytes.size());
}

#else

uint32_t crc32(Span bytes) { return libdeflate_crc32(0, bytes.begin, bytes.size()); }

#endif

}  // namespace recording
