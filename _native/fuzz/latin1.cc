// The characters of a packed string as bytes: any JSON string, by 64 bytes as byte by byte.
#include <cstdlib>
#include <vector>

#include "text/buffer.hpp"
#include "text/json_walk.hpp"
#include "text/latin1_bytes.hpp"
#include "text/unescape.hpp"

using namespace recording;

namespace {

struct Latin1 {
  std::vector<uint8_t> bytes;
  ptrdiff_t taken;
  bool valid;
};

template <class Unescape>
Latin1 latin1(Span text, Unescape unescape) {
  std::vector<uint8_t> out(text.size() + padding);
  Cursor in{text.begin + 1, text.end};
  const uint8_t* const end = unescape(in, out.data());
  if (end) out.resize(static_cast<size_t>(end - out.data()));
  return {out, in.at - text.begin, end != nullptr};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  // Memory that ends with the text: a read behind it is found.
  std::vector<uint8_t> text{'"'};
  text.insert(text.end(), bytes, bytes + size);
  text.shrink_to_fit();
  const Span span{text.data(), text.data() + text.size()};
  Cursor in{span.begin + 1, span.end};
  Span raw;
  if (!skip_string(in, raw)) return 0;
  const Latin1 expected = latin1(span, unescape_latin1_bytes), found = latin1(span, unescape_latin1);
  if (found.valid != expected.valid || found.taken != expected.taken) std::abort();
  if (found.valid && found.bytes != expected.bytes) std::abort();
  return 0;
}
