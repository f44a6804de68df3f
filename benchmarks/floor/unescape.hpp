// Unescaping of a JSON string whose escapes are valid, 64 bytes at a time, with SSE2 or NEON alone.
//
// Nearly every escape of an envelope is \" or \\, since what it holds is JSON again. So a block is copied with
// the backslashes that begin an escape left out: one short copy for each, its place known from a bit mask,
// and hardly a branch to mispredict. Blocks with other escapes go byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace unescape_detail {

constexpr size_t kBlock = 64;
constexpr size_t kLane = 16;
// How far past a block its copies may read.
constexpr size_t kSlack = 32;

// Bit i: byte i is a backslash; and: byte i is a character that an escape leaves as it is.
struct Masks {
  uint64_t backslash = 0;
  uint64_t plain = 0;
};

#if defined(__SSE2__)
inline Masks masks_of(const uint8_t* in) {
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
inline uint64_t movemask(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d) {
  const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t low = vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits));
  const uint8x16_t high = vpaddq_u8(vandq_u8(c, bits), vandq_u8(d, bits));
  const uint8x16_t all = vpaddq_u8(low, high);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
}

inline Masks masks_of(const uint8_t* in) {
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
inline Masks masks_of(const uint8_t* in) {
  Masks masks;
  for (unsigned i = 0; i < kBlock; i++) {
    masks.backslash |= static_cast<uint64_t>(in[i] == '\\') << i;
    masks.plain |= static_cast<uint64_t>(in[i] == '\\' || in[i] == '"') << i;
  }
  return masks;
}
#endif

// The characters of a block that a backslash before them escapes. `carry`: the last byte of the block before
// begins an escape; on return, the last of this one does.
inline uint64_t escaped(uint64_t backslash, uint64_t& carry) {
  constexpr uint64_t kEven = 0x5555555555555555;
  backslash &= ~carry;
  const uint64_t follows = backslash << 1 | carry;
  const uint64_t odd_starts = backslash & ~kEven & ~follows;
  uint64_t even_runs = 0;
  carry = __builtin_add_overflow(odd_starts, backslash, &even_runs) ? 1 : 0;
  return (kEven ^ even_runs << 1) & follows;
}

inline uint32_t hex4(const uint8_t* in) {
  uint32_t value = 0;
  for (int i = 0; i < 4; i++) value = value << 4 | ((in[i] & 0x0F) + (in[i] >> 6) * 9u);
  return value;
}

inline uint8_t* put_utf8(uint32_t code, uint8_t* out) {
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
inline void unescape_unicode(const uint8_t*& in, const uint8_t* end, uint8_t*& out) {
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
__attribute__((noinline)) inline void unescape_bytes(const uint8_t*& in, const uint8_t* until, const uint8_t* end,
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
      case 'b': *out++ = '\b'; break;
      case 'f': *out++ = '\f'; break;
      case 'n': *out++ = '\n'; break;
      case 'r': *out++ = '\r'; break;
      case 't': *out++ = '\t'; break;
      default: *out++ = kind;
    }
    in += 2;
  }
}

// Copies a block without the bytes whose bits are set in `left_out`; returns where the output goes on.
inline uint8_t* compact(const uint8_t* in, uint64_t left_out, uint8_t* out) {
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

}  // namespace unescape_detail

// Writes what the string stands for; returns its length. Nothing past `in + length` is read; `out` must have room
// for as many bytes as the string and 64 more.
inline size_t unescape(const uint8_t* in, size_t length, uint8_t* out) {
  using namespace unescape_detail;
  const uint8_t* const end = in + length;
  uint8_t* const begin = out;
  uint64_t carry = 0;
  while (static_cast<size_t>(end - in) >= kBlock + kSlack) {
    const Masks masks = masks_of(in);
    if ((masks.backslash | carry) == 0) {
      std::memcpy(out, in, kBlock);
      in += kBlock;
      out += kBlock;
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
