// Encodes a text as snappy in slices, decodes it by the format's description, and compares.
#include "snappy.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

using namespace recording;

namespace {

std::string decode(const std::string& encoded) {
  size_t at = 0, size = 0;
  const auto take = [&] { return at < encoded.size() ? static_cast<uint8_t>(encoded[at++]) : (std::abort(), 0); };
  const auto number = [&](unsigned bytes) {
    size_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) value |= static_cast<size_t>(take()) << 8 * i;
    return value;
  };
  for (unsigned shift = 0, byte = 0x80; byte & 0x80; shift += 7) {
    byte = take();
    size |= static_cast<size_t>(byte & 0x7F) << shift;
  }
  std::string text;
  while (at < encoded.size()) {
    const unsigned tag = take();
    const unsigned high = tag >> 2;
    if (tag % 4 == 0) {
      const size_t length = (high < 60 ? high : number(high - 59)) + 1;
      if (length > encoded.size() - at) std::abort();
      text.append(encoded, at, length);
      at += length;
      continue;
    }
    const size_t length = tag % 4 == 1 ? high % 8 + 4 : high + 1;
    const size_t offset = tag % 4 == 1 ? (tag >> 5 << 8 | number(1)) : number(tag % 4 == 2 ? 2 : 4);
    if (!offset || offset > text.size()) std::abort();
    for (size_t i = 0; i < length; ++i) text += text[text.size() - offset];
  }
  if (text.size() != size) std::abort();
  return text;
}

}  // namespace

// The first byte says how large the slices are, and how often the rest is repeated.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static SnappyEncoder encoder;
  if (size < 2) return 0;
  const size_t slice_bytes = bytes[0] % 16 ? size_t{1} << bytes[0] % 16 : size_t{1} << 20;
  std::string text;
  for (unsigned i = 0; i <= bytes[0] / 16u * 4; ++i) text.append(reinterpret_cast<const char*>(bytes + 1), size - 1);
  // Each slice has memory of its own, so that the sanitizer finds reads past its end.
  std::vector<std::vector<uint8_t>> copies;
  std::vector<Span> slices;
  for (size_t at = 0; at < text.size(); at += slice_bytes) {
    const size_t end = std::min(at + slice_bytes, text.size());
    copies.emplace_back(text.begin() + static_cast<ptrdiff_t>(at), text.begin() + static_cast<ptrdiff_t>(end));
  }
  for (const auto& copy : copies) slices.push_back({copy.data(), copy.data() + copy.size()});
  std::vector<char> out(SnappyEncoder::bound(text.size()));
  const size_t written = encoder.encode(slices, text.size(), reinterpret_cast<uint8_t*>(out.data()));
  if (decode(std::string(out.data(), written)) != text) std::abort();
  return 0;
}
