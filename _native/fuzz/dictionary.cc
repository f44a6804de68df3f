// Training: any bytes as samples, separated by zero bytes. A dictionary must be one that zstd takes, and reads back.
#include "dictionary.hpp"

#include <zstd.h>

#include <cstdlib>
#include <cstring>

using namespace recording;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void check_round_trip(const std::vector<uint8_t>& dictionary, Span sample) {
  ZSTD_CCtx* const compressor = ZSTD_createCCtx();
  ZSTD_DCtx* const decompressor = ZSTD_createDCtx();
  std::vector<uint8_t> frame(ZSTD_compressBound(sample.size()));
  std::vector<uint8_t> text(sample.size() + 1);
  const size_t size = ZSTD_compress_usingDict(compressor, frame.data(), frame.size(), sample.begin, sample.size(),
                                              dictionary.data(), dictionary.size(), 3);
  check(!ZSTD_isError(size));
  check(ZSTD_getDictID_fromFrame(frame.data(), size) == ZSTD_getDictID_fromDict(dictionary.data(), dictionary.size()));
  check(ZSTD_decompress_usingDict(decompressor, text.data(), text.size(), frame.data(), size, dictionary.data(),
                                  dictionary.size()) == sample.size());
  check(std::memcmp(text.data(), sample.begin, sample.size()) == 0);
  ZSTD_freeCCtx(compressor);
  ZSTD_freeDCtx(decompressor);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t most = size_t{16} * data[0];
  std::vector<Span> samples;
  const uint8_t* const end = data + size;
  for (const uint8_t* begin = data + 1; begin <= end;) {
    const auto* zero = static_cast<const uint8_t*>(std::memchr(begin, 0, static_cast<size_t>(end - begin)));
    samples.push_back({begin, zero ? zero : end});
    begin = samples.back().end + 1;
  }
  check(common_content(samples, most).size() <= most);
  const std::vector<uint8_t> dictionary = train_dictionary(samples, most, 3);
  if (dictionary.empty()) return 0;
  check(dictionary.size() <= most);
  check(ZSTD_getDictID_fromDict(dictionary.data(), dictionary.size()) != 0);
  check_round_trip(dictionary, samples.front());
  check_round_trip(dictionary, samples.back());
  return 0;
}
