// Stage 1: any bytes as a compressed value. The first byte chooses how it is encoded.
#include "decompress.hpp"

#include <cstdlib>

using namespace recording;

namespace {
constexpr size_t cap = 1 << 20;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static Decompressor decompressor(cap);
  if (size == 0) return 0;
  static const char* const names[] = {"", "gzip", "lz4", "zstd", "br"};
  const char* const name = names[bytes[0] % 5];
  const Span header{reinterpret_cast<const uint8_t*>(name), reinterpret_cast<const uint8_t*>(name) + std::strlen(name)};
  const Span value{bytes + 1, bytes + size};
  Span text;
  const Reason reason = decompressor.decompress(value, encoding_of(value, header), text);
  if (reason == Reason::NONE) {
    if (text.size() > cap) std::abort();
    // Read every byte, so that AddressSanitizer checks them.
    uint8_t sum = 0;
    for (const uint8_t* at = text.begin; at < text.end; ++at) sum ^= *at;
    volatile uint8_t use = sum;
    (void)use;
  } else if (reason != Reason::INVALID_COMPRESSED_DATA && reason != Reason::PAYLOAD_TOO_LARGE) {
    std::abort();
  }
  decompressor.shrink(1 << 16);
  return 0;
}
