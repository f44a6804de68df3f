#include "decompress.hpp"

#include <lz4.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>

namespace recording {
namespace {

constexpr size_t first_room = 64 * 1024;

// The buffer may grow this far past the cap. A decoder that runs out of room there has really produced more than the
// cap. With less room, it might only have read a few bits past the end of a truncated input.
constexpr size_t slack = 16 * 1024;

// No codec expands further than this: deflate 258 bytes for 2 bits, an lz4 length byte 255.
constexpr size_t deflate_expansion = 1032;
constexpr size_t lz4_expansion = 255;

constexpr uint32_t zstd_magic = 0xFD2FB528;
constexpr uint32_t zstd_skippable = 0x184D2A50;

bool is_name(Span text, const char* name) {
  return text.size() == std::strlen(name) && std::memcmp(text.begin, name, text.size()) == 0;
}

// Reads a length of the lz4 block format: `length`, and if its four bits are all set, the bytes that follow.
bool lz4_length(Cursor& in, size_t& length) {
  if (length < 15) return true;
  uint8_t more;
  do {
    if (in.done()) return false;
    more = in.take();
    length += more;
  } while (more == 255);
  return true;
}

// Finds the decompressed size of an lz4 block without decompressing it. False if the block is corrupt.
bool lz4_size(Cursor in, size_t& size) {
  size = 0;
  while (!in.done()) {
    const uint8_t token = in.take();
    size_t literals = token >> 4;
    if (!lz4_length(in, literals) || in.left() < literals) return false;
    in.at += literals;
    size += literals;
    if (in.done()) return true;
    if (in.left() < 2) return false;
    const size_t distance = in.at[0] | in.at[1] << 8;
    in.at += 2;
    if (distance == 0 || distance > size) return false;
    size_t match = token & 15;
    if (!lz4_length(in, match)) return false;
    size += match + 4;
  }
  return false;
}

}  // namespace

Encoding encoding_of(Span value, Span content_encoding) {
  if (content_encoding.begin) {
    if (is_name(content_encoding, "gzip")) return Encoding::gzip;
    if (is_name(content_encoding, "lz4")) return Encoding::lz4;
    if (is_name(content_encoding, "zstd")) return Encoding::zstd;
    return Encoding::unknown;
  }
  if (at_gzip_member(value)) return Encoding::gzip;
  if (value.size() >= 4 && little_endian_32(value.begin) == zstd_magic) return Encoding::zstd;
  return Encoding::plain;
}

void Decompressor::FreeZstd::operator()(ZSTD_DCtx_s* context) const { ZSTD_freeDCtx(context); }

Decompressor::Decompressor(size_t max_bytes) : max_bytes_(max_bytes), zstd_(ZSTD_createDCtx()) {
  if (!zstd_) throw std::bad_alloc();
}

Reason Decompressor::decompress(Span value, Encoding encoding, Span& text) {
  if (encoding == Encoding::unknown) return Reason::INVALID_COMPRESSED_DATA;
  if (encoding == Encoding::plain) {
    text = value;
    return value.size() > max_bytes_ ? Reason::PAYLOAD_TOO_LARGE : Reason::NONE;
  }
  size_ = 0;
  const Cursor in{value.begin, value.end};
  const Reason reason = encoding == Encoding::gzip ? gzip(in) : encoding == Encoding::lz4 ? lz4(in) : zstd(in);
  if (reason != Reason::NONE) return reason;
  if (size_ > max_bytes_) return Reason::PAYLOAD_TOO_LARGE;
  text = {out_.data(), out_.data() + size_};
  return Reason::NONE;
}

// Calls `attempt` until it has enough room after the text so far, with twice the buffer each time, up to the cap.
template <class Attempt>
Reason Decompressor::with_room(size_t hint, Attempt attempt) {
  const size_t most = max_bytes_ + slack;
  out_.grow(std::min(most, size_ + std::max(hint, first_room)));
  for (;;) {
    switch (attempt()) {
      case Step::done:
        return Reason::NONE;
      case Step::corrupt:
        return Reason::INVALID_COMPRESSED_DATA;
      case Step::no_room:
        if (out_.capacity() >= most) return Reason::PAYLOAD_TOO_LARGE;
        out_.grow(std::min(most, 2 * out_.capacity()));
    }
  }
}

Reason Decompressor::gzip(Cursor in) {
  // The last four bytes are the size of the last member, if the sender is honest and nothing follows the member.
  const size_t said = in.left() >= 4 ? little_endian_32(in.end - 4) : 0;
  const size_t hint = std::min(said, deflate_expansion * in.left());
  do {
    if (!skip_gzip_header(in)) return Reason::INVALID_COMPRESSED_DATA;
    const Reason reason = with_room(hint, [&] { return gzip_member(in); });
    if (reason != Reason::NONE) return reason;
  } while (size_ <= max_bytes_ && at_gzip_member({in.at, in.end}));
  return Reason::NONE;
}

// Appends one member, whose header `in` is behind, to the text so far.
Step Decompressor::gzip_member(Cursor& in) {
  size_t produced;
  const Step step = gunzip_.member(in, out_.data() + size_, out_.capacity() - size_, produced);
  if (step == Step::done) size_ += produced;
  return step;
}

Reason Decompressor::lz4(Cursor in) {
  if (in.left() < 5) return Reason::INVALID_COMPRESSED_DATA;
  const size_t said = little_endian_32(in.at);
  in.at += 4;
  if (said > lz4_expansion * in.left() || in.left() > LZ4_MAX_INPUT_SIZE) return Reason::INVALID_COMPRESSED_DATA;
  if (said > max_bytes_) {
    size_t size;
    return lz4_size(in, size) && size == said ? Reason::PAYLOAD_TOO_LARGE : Reason::INVALID_COMPRESSED_DATA;
  }
  out_.reserve(std::max(said, first_room));
  // Exactly the room that the prefix promises: a block that needs more does not match its prefix.
  const int size = LZ4_decompress_safe(reinterpret_cast<const char*>(in.at), reinterpret_cast<char*>(out_.data()),
                                       static_cast<int>(in.left()), static_cast<int>(said));
  if (size < 0 || static_cast<size_t>(size) != said) return Reason::INVALID_COMPRESSED_DATA;
  size_ = said;
  return Reason::NONE;
}

Reason Decompressor::zstd(Cursor in) {
  while (size_ <= max_bytes_ && !in.done()) {
    if (in.left() < 4) return Reason::INVALID_COMPRESSED_DATA;
    const uint32_t magic = little_endian_32(in.at);
    const bool skippable = (magic & 0xFFFFFFF0) == zstd_skippable;
    if (!skippable && magic != zstd_magic) return Reason::INVALID_COMPRESSED_DATA;
    const size_t frame_size = ZSTD_findFrameCompressedSize(in.at, in.left());
    if (ZSTD_isError(frame_size)) return Reason::INVALID_COMPRESSED_DATA;
    if (!skippable) {
      const Span frame{in.at, in.at + frame_size};
      const unsigned long long said = ZSTD_getFrameContentSize(frame.begin, frame.size());
      const bool usable = said <= max_bytes_ && said / 4096 <= frame.size();
      const Reason reason =
          with_room(usable ? static_cast<size_t>(said) : 4 * frame.size(), [&] { return zstd_frame(frame); });
      if (reason == Reason::PAYLOAD_TOO_LARGE) return zstd_too_large_or_corrupt(frame);
      if (reason != Reason::NONE) return reason;
    }
    in.at += frame_size;
  }
  return Reason::NONE;
}

// Appends one frame to the text so far. A single call decompresses it, so the buffer itself is the window: a frame
// that asks for a large window costs no memory.
Step Decompressor::zstd_frame(Span frame) {
  const size_t produced =
      ZSTD_decompressDCtx(zstd_.get(), out_.data() + size_, out_.capacity() - size_, frame.begin, frame.size());
  if (!ZSTD_isError(produced)) {
    size_ += produced;
    return Step::done;
  }
  return ZSTD_getErrorCode(produced) == ZSTD_error_dstSize_tooSmall ? Step::no_room : Step::corrupt;
}

// The single-call decoder also says "no room" for some corrupt blocks. The streaming decoder gives the frame as much
// room as it asks for, and so can tell a large frame from a corrupt one.
Reason Decompressor::zstd_too_large_or_corrupt(Span frame) {
  size_t size = size_;
  int window_log = 10;
  while ((size_t{1} << window_log) < max_bytes_) ++window_log;
  out_.release();
  out_.reserve(ZSTD_DStreamOutSize());
  ZSTD_DCtx_reset(zstd_.get(), ZSTD_reset_session_and_parameters);
  ZSTD_DCtx_setParameter(zstd_.get(), ZSTD_d_windowLogMax, window_log);
  ZSTD_inBuffer in{frame.begin, frame.size(), 0};
  Reason reason = Reason::INVALID_COMPRESSED_DATA;
  for (;;) {
    ZSTD_outBuffer out{out_.data(), out_.capacity(), 0};
    const size_t left = ZSTD_decompressStream(zstd_.get(), &out, &in);
    size += out.pos;
    if (size > max_bytes_ ||
        (ZSTD_isError(left) && ZSTD_getErrorCode(left) == ZSTD_error_frameParameter_windowTooLarge))
      reason = Reason::PAYLOAD_TOO_LARGE;
    const bool stuck = in.pos == in.size && out.pos < out.size;
    if (reason == Reason::PAYLOAD_TOO_LARGE || ZSTD_isError(left) || left == 0 || stuck) break;
  }
  zstd_.reset(ZSTD_createDCtx());  // a streaming context keeps its window
  if (!zstd_) throw std::bad_alloc();
  return reason;
}

}  // namespace recording
