// Unescaping of a JSON string whose escapes are valid, 64 bytes at a time. Included by one file for each set of
// instructions; each of them chooses how a block is read and compacted, the rest is the same.
//
// Nearly every escape of an envelope is \" or \\, since what it holds is JSON again. So a block is copied with
// the backslashes that begin an escape left out, their places known from a bit mask, and hardly a branch to
// mispredict. Blocks with other escapes go byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace {

constexpr size_t kBlock = 64;
// How far past a block its copies may read.
constexpr size_t kSlack = 16;

// Bit i: byte i is a backslash; and: byte i is a character that an escape leaves as it is.
struct Masks {
  uint64_t backslash = 0;
  uint64_t plain = 0;
};

// What follows for each set of instructions: masks_of(block), and compact(block, left_out, out), which copies a
// block without the bytes whose bits are set in `left_out` and returns where the output goes on.

#if defined(__AVX512VBMI2__)

Masks masks_of(const uint8_t* in) {
  const __m512i block = _mm512_loadu_si512(in);
  const uint64_t backslash = _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8('\\'));
  return {backslash, backslash | _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8('"'))};
}

uint8_t* compact(const uint8_t* in, uint64_t left_out, uint8_t* out) {
  _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(~left_out, _mm512_loadu_si512(in)));
  return out + kBlock - _mm_popcnt_u64(left_out);
}

#elif defined(__BMI2__) && defined(__AVX2__)

Masks masks_of(const uint8_t* in) {
  Masks masks;
  for (unsigned i = 0; i < kBlock; i += 32) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i));
    const __m256i backslash = _mm256_cmpeq_epi8(half, _mm256_set1_epi8('\\'));
    const __m256i plain = _mm256_or_si256(backslash, _mm256_cmpeq_epi8(half, _mm256_set1_epi8('"')));
    masks.backslash |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(backslash))) << i;
    masks.plain |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(plain))) << i;
  }
  return masks;
}

uint8_t* compact(const uint8_t* in, uint64_t left_out, uint8_t* out) {
  for (unsigned i = 0; i < kBlock; i += 8) {
    const uint64_t left_out_here = left_out >> i & 0xFF;
    uint64_t bytes = 0;
    std::memcpy(&bytes, in + i, sizeof bytes);
    bytes = _pext_u64(bytes, ~(_pdep_u64(left_out_here, 0x0101010101010101) * 0xFF));
    std::memcpy(out, &bytes, sizeof bytes);
    out += 8 - _mm_popcnt_u64(left_out_here);
  }
  return out;
}

#else

#if defined(__x86_64__)
Masks masks_of(const uint8_t* in) {
  Masks masks;
  for (unsigned i = 0; i < kBlock; i += 16) {
    const __m128i chunk = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i));
    const __m128i backslash = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\\'));
    const __m128i plain = _mm_or_si128(backslash, _mm_cmpeq_epi8(chunk, _mm_set1_epi8('"')));
    masks.backslash |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(backslash))) << i;
    masks.plain |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(plain))) << i;
  }
  return masks;
}
#elif defined(__ARM_NEON)
uint64_t movemask(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d) {
  const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t low = vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits));
  const uint8x16_t high = vpaddq_u8(vandq_u8(c, bits), vandq_u8(d, bits));
  const uint8x16_t all = vpaddq_u8(low, high);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
}

Masks masks_of(const uint8_t* in) {
  uint8x16_t backslash[4];
  uint8x16_t plain[4];
  for (unsigned i = 0; i < 4; i++) {
    const uint8x16_t chunk = vld1q_u8(in + 16 * i);
    backslash[i] = vceqq_u8(chunk, vdupq_n_u8('\\'));
    plain[i] = vorrq_u8(backslash[i], vceqq_u8(chunk, vdupq_n_u8('"')));
  }
  return {movemask(backslash[0], backslash[1], backslash[2], backslash[3]),
          movemask(plain[0], plain[1], plain[2], plain[3])};
}
#else
Masks masks_of(const uint8_t* in) {
  Masks masks;
  for (unsigned i = 0; i < kBlock; i++) {
    masks.backslash |= static_cast<uint64_t>(in[i] == '\\') << i;
    masks.plain |= static_cast<uint64_t>(in[i] == '\\' || in[i] == '"') << i;
  }
  return masks;
}
#endif

constexpr size_t kLane = 16;

uint8_t* compact(const uint8_t* in, uint64_t left_out, uint8_t* out) {
  for (size_t lane = 0; lane < kBlock; lane += kLane) {
    auto bits = static_cast<uint32_t>(left_out >> lane) & 0xFFFF;
    std::memcpy(out, in + lane, kLane);
    // What follows a byte left out moves up by one. Most lanes have one or two of them, and to move what
    // follows none does no harm, so that the first two need no branch.
    const auto move_up = [&] {
      const auto place = static_cast<size_t>(__builtin_ctz(bits | 1U << kLane));
      std::memcpy(out + place, in + lane + place + 1, kLane);
      out -= bits != 0;
      bits &= bits - 1;
    };
    move_up();
    move_up();
    while (bits != 0) move_up();
    out += kLane;
  }
  return out;
}

#endif

// The characters of a block that a backslash before them escapes. `carry`: the last byte of the block before
// begins an escape; on return, the last of this one does.
uint64_t escaped(uint64_t backslash, uint64_t& carry) {
  constexpr uint64_t kEven = 0x5555555555555555;
  backslash &= ~carry;
  const uint64_t follows = backslash << 1 | carry;
  const uint64_t odd_starts = backslash & ~kEven & ~follows;
  uint64_t even_runs = 0;
  carry = __builtin_add_overflow(odd_starts, backslash, &even_runs) ? 1 : 0;
  return (kEven ^ even_runs << 1) & follows;
}

uint32_t hex4(const uint8_t* in) {
  uint32_t value = 0;
  for (int i = 0; i < 4; i++) value = value << 4 | ((in[i] & 0x0F) + (in[i] >> 6) * 9u);
  return value;
}

uint8_t* put_utf8(uint32_t code, uint8_t* out) {
  const auto tail = [code](unsigned shift) { return static_cast<uint8_t>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    *out++ = static_cast<uint8_t>(code);
  } else if (code < 0x800) {
    *out++ = static_cast<uint8_t>(0xC0 | code >> 6);
    *out++ = tail(0);
  } else if (code < 0x10000) {
    *out++ = static_cast<uint8_t>(0xE0 | code >> 12);
    *out++ = tail(6);
    *out++ = tail(0);
  } else {
    *out++ = static_cast<uint8_t>(0xF0 | code >> 18);
    *out++ = tail(12);
    *out++ = tail(6);
    *out++ = tail(0);
  }
  return out;
}

// The \uXXXX at `in`, with the second half of a surrogate pair; a lone half becomes U+FFFD.
void unescape_unicode(const uint8_t*& in, const uint8_t* end, uint8_t*& out) {
  uint32_t code = end - in >= 6 ? hex4(in + 2) : 0xFFFD;
  in += 6;
  if (code >= 0xD800 && code < 0xE000) {
    const bool pair = code < 0xDC00 && end - in >= 6 && in[0] == '\\' && in[1] == 'u';
    const uint32_t low = pair ? hex4(in + 2) : 0;
    const bool paired = low >= 0xDC00 && low < 0xE000;
    code = paired ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD;
    if (paired) in += 6;
  }
  out = put_utf8(code, out);
}

// Byte by byte until `in` has reached `until`; the last escape may go beyond it.
__attribute__((noinline)) void unescape_bytes(const uint8_t*& in, const uint8_t* until, const uint8_t* end,
                                              uint8_t*& out) {
  while (in < until) {
    if (*in != '\\') {
      *out++ = *in++;
      continue;
    }
    const uint8_t kind = end - in >= 2 ? in[1] : 0;
    if (kind == 'u') {
      unescape_unicode(in, end, out);
      continue;
    }
    switch (kind) {
      case 'b':
        *out++ = '\b';
        break;
      case 'f':
        *out++ = '\f';
        break;
      case 'n':
        *out++ = '\n';
        break;
      case 'r':
        *out++ = '\r';
        break;
      case 't':
        *out++ = '\t';
        break;
      default:
        *out++ = kind;
    }
    in += 2;
  }
}

size_t unescape_blocks(const uint8_t* in, size_t length, uint8_t* out) {
  const uint8_t* const end = in + length;
  uint8_t* const begin = out;
  uint64_t carry = 0;
  while (static_cast<size_t>(end - in) >= kBlock + kSlack) {
    const Masks masks = masks_of(in);
    if ((masks.backslash | carry) == 0) {
      std::memcpy(out, in, kBlock);
      out += kBlock;
      in += kBlock;
      continue;
    }
    const uint64_t carried = carry;
    const uint64_t characters = escaped(masks.backslash, carry);
    if (characters & ~masks.plain) {
      const uint8_t* const until = in + kBlock;
      in -= carried;
      carry = 0;
      unescape_bytes(in, until, end, out);
      continue;
    }
    out = compact(in, masks.backslash & ~characters, out);
    in += kBlock;
  }
  in -= carry;
  unescape_bytes(in, end, end, out);
  return static_cast<size_t>(out - begin);
}

}  // namespace
