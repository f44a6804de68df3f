// Decompresses message values: plain, gzip, lz4 or zstd.
//
// The content-encoding header says the encoding: exactly lz4, zstd or gzip. Any other name is unknown, and so is an
// empty one. If there is no header, the magic bytes of gzip and zstd decide; a value without them is plain.
#pragma once

#include <memory>

#include "reason.hpp"
#include "text/buffer.hpp"
#include "text/cursor.hpp"

struct libdeflate_decompressor;
struct ZSTD_DCtx_s;

namespace recording {

enum class Encoding : uint8_t { plain, gzip, lz4, zstd, unknown };
inline constexpr int encoding_count = 4;
inline constexpr const char* encoding_names[encoding_count] = {"plain", "gzip", "lz4", "zstd"};

// `content_encoding` is a null span if the message has no such header.
Encoding encoding_of(Span value, Span content_encoding);

// Moves past the header of a gzip member (RFC 1952, 2.3), and checks its CRC if it has one. False if `in` is not at
// such a header.
bool skip_gzip_header(Cursor& in);

class Decompressor {
 public:
  explicit Decompressor(size_t max_bytes);

  // Sets `text` to the decompressed value, of at most max_bytes. A plain value is its own text. Otherwise the text is
  // in a buffer of this object, valid until the next call. Size fields of the input are hints for the first
  // allocation only; the buffer never grows past max_bytes and a constant.
  // Reasons: INVALID_COMPRESSED_DATA, PAYLOAD_TOO_LARGE.
  Reason decompress(Span value, Encoding encoding, Span& text);

  // Frees the buffer if it grew past `most` bytes.
  void shrink(size_t most) { out_.shrink(most); }

 private:
  enum class Step { done, corrupt, no_room };

  Reason gzip(Cursor in);
  Reason lz4(Cursor in);
  Reason zstd(Cursor in);
  Step gzip_member(Cursor& in);
  Step zstd_frame(Span frame);
  Reason zstd_too_large_or_corrupt(Span frame);
  template <class Attempt>
  Reason with_room(size_t hint, Attempt attempt);

  struct FreeDeflate {
    void operator()(libdeflate_decompressor* context) const;
  };
  struct FreeZstd {
    void operator()(ZSTD_DCtx_s* context) const;
  };

  const size_t max_bytes_;
  PaddedBuffer out_;
  size_t size_ = 0;  // bytes of out_ that hold text
  std::unique_ptr<libdeflate_decompressor, FreeDeflate> deflate_;
  std::unique_ptr<ZSTD_DCtx_s, FreeZstd> zstd_;
};

}  // namespace recording
