#include "gzip.hpp"

#include <libdeflate.h>

#include <new>

#include "simd/crc32.hpp"

namespace recording {
namespace {

bool skip_zero_terminated(Cursor& in) {
  const void* zero = in.left() ? std::memchr(in.at, 0, in.left()) : nullptr;
  if (!zero) return false;
  in.at = static_cast<const uint8_t*>(zero) + 1;
  return true;
}

}  // namespace

uint32_t little_endian_32(const uint8_t* at) {
  return at[0] | at[1] << 8 | at[2] << 16 | static_cast<uint32_t>(at[3]) << 24;
}

bool skip_gzip_header(Cursor& in) {
  constexpr uint8_t has_crc = 2, has_extra = 4, has_name = 8, has_comment = 16, reserved = 0xE0;
  const uint8_t* const start = in.at;
  if (in.left() < 10 || !at_gzip_member({in.at, in.end}) || in.at[2] != 8) return false;
  const uint8_t flags = in.at[3];
  if (flags & reserved) return false;
  in.at += 10;
  if (flags & has_extra) {
    if (in.left() < 2) return false;
    const size_t size = 2 + (in.at[0] | in.at[1] << 8);
    if (in.left() < size) return false;
    in.at += size;
  }
  if ((flags & has_name) && !skip_zero_terminated(in)) return false;
  if ((flags & has_comment) && !skip_zero_terminated(in)) return false;
  if (flags & has_crc) {
    if (in.left() < 2) return false;
    const uint32_t crc = crc32({start, in.at}) & 0xFFFF;
    if (crc != static_cast<uint32_t>(in.at[0] | in.at[1] << 8)) return false;
    in.at += 2;
  }
  return true;
}

void Gunzip::Free::operator()(libdeflate_decompressor* context) const { libdeflate_free_decompressor(context); }

Gunzip::Gunzip() : context_(libdeflate_alloc_decompressor()), fixed_codes_context_(libdeflate_alloc_decompressor()) {
  if (!context_ || !fixed_codes_context_) throw std::bad_alloc();
}

Step Gunzip::member(Cursor& in, uint8_t* out, size_t room, size_t& size) {
  const bool fixed_codes = (in.peek() >> 1 & 3) == 1;  // RFC 1951, 3.2.3
  libdeflate_decompressor* const context = (fixed_codes ? fixed_codes_context_ : context_).get();
  size_t consumed, produced;
  switch (libdeflate_deflate_decompress_ex(context, in.at, in.left(), out, room, &consumed, &produced)) {
    case LIBDEFLATE_SUCCESS:
      break;
    case LIBDEFLATE_INSUFFICIENT_SPACE:
      return Step::no_room;
    default:
      return Step::corrupt;
  }
  const uint8_t* const trailer = in.at + consumed;
  if (in.end - trailer < 8) return Step::corrupt;
  if (little_endian_32(trailer) != crc32({out, out + produced})) return Step::corrupt;
  if (little_endian_32(trailer + 4) != static_cast<uint32_t>(produced)) return Step::corrupt;
  in.at = trailer + 8;
  size = produced;
  return Step::done;
}

}  // namespace recording
