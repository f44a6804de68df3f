// The floor under decode + record: what the machine can do with these libraries.
//
// Per message: inflate (libdeflate, lz4 or nothing), simdjson stage 1 of the outer text, one unescape of its
// data string, stage 1 of the inner text, one copy of the event bytes into memory that keeps all of them.
// Nothing is validated beyond stage 1, and no event is looked at. All memory is allocated and written to before
// the measured passes.
//
// Usage: floor FILE, a file as benchmarks/wire.py describes. Reads commands from standard input, a line each;
// "pass SECONDS" runs passes over all messages until they have taken that much CPU time, and prints one
// line of JSON.
#include <libdeflate.h>
#include <lz4.h>
#include <simdjson.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "unescape.hpp"

namespace {

enum class Encoding : uint32_t { kPlain = 0, kGzip = 1, kLz4 = 2 };

struct Message {
  Encoding encoding;
  const uint8_t* value;
  size_t length;
};

struct Text {
  const uint8_t* begin = nullptr;
  size_t length = 0;
};

template <typename T>
T read(const std::string& content, size_t& position) {
  T value;
  if (content.size() - position < sizeof value) throw std::runtime_error("the file is cut off");
  std::memcpy(&value, content.data() + position, sizeof value);
  position += sizeof value;
  return value;
}

std::vector<Message> parse(const std::string& content) {
  constexpr uint32_t kAbsent = 0xFFFFFFFF;
  std::vector<Message> messages;
  size_t position = 0;
  while (position < content.size()) {
    const auto encoding = static_cast<Encoding>(read<uint32_t>(content, position));
    read<int64_t>(content, position);
    const auto session_id = read<uint32_t>(content, position);
    const auto distinct_id = read<uint32_t>(content, position);
    const auto length = read<uint32_t>(content, position);
    position += (session_id == kAbsent ? 0 : session_id) + (distinct_id == kAbsent ? 0 : distinct_id);
    if (content.size() < position || content.size() - position < length)
      throw std::runtime_error("the file is cut off");
    messages.push_back({encoding, reinterpret_cast<const uint8_t*>(content.data()) + position, length});
    position += length;
  }
  return messages;
}

// The size of a message's text, as the codecs store it, limited to the largest that counts.
size_t text_length(const Message& message) {
  constexpr uint32_t kLargest = 64 << 20;
  uint32_t length = 0;
  if (message.encoding == Encoding::kPlain || message.length < 4) return message.length;
  const bool gzip = message.encoding == Encoding::kGzip;
  std::memcpy(&length, gzip ? message.value + message.length - 4 : message.value, sizeof length);
  return std::min(length, kLargest);
}

class Floor {
 public:
  explicit Floor(std::vector<Message> messages) : messages_(std::move(messages)) {
    size_t largest = 0;
    size_t total = 0;
    for (const Message& message : messages_) {
      largest = std::max(largest, text_length(message));
      total += text_length(message);
    }
    inflated_.assign(largest + simdjson::SIMDJSON_PADDING, 0);
    unescaped_.assign(largest + simdjson::SIMDJSON_PADDING, 0);
    keep(total);
    const auto& implementation = *simdjson::get_active_implementation();
    if (implementation.create_dom_parser_implementation(largest, 1, outer_) != simdjson::SUCCESS ||
        implementation.create_dom_parser_implementation(largest, 1, inner_) != simdjson::SUCCESS) {
      throw std::runtime_error("no memory for simdjson");
    }
  }

  // One pass over all messages; returns how many succeeded.
  size_t pass() {
    bytes_ = 0;
    kept_length_ = 0;
    return static_cast<size_t>(
        std::count_if(messages_.begin(), messages_.end(), [this](const Message& message) { return run(message); }));
  }

  size_t bytes() const { return bytes_; }
  size_t kept_bytes() const { return kept_length_; }

 private:
  bool run(const Message& message) {
    const Text outer = inflate(message);
    if (outer.begin == nullptr || outer_->stage1(outer.begin, outer.length, simdjson::stage1_mode::regular))
      return false;
    const Text data = longest_token(outer);
    const size_t length = unescape_(data.begin, data.length, unescaped_.data());
    if (inner_->stage1(unescaped_.data(), length, simdjson::stage1_mode::regular)) return false;
    const Text events = outermost_array();
    if (events.length > kept_capacity_ - kept_length_) return false;
    std::memcpy(kept_.get() + kept_length_, events.begin, events.length);
    kept_length_ += events.length;
    bytes_ += outer.length;
    return true;
  }

  Text inflate(const Message& message) {
    const size_t capacity = inflated_.size() - simdjson::SIMDJSON_PADDING;
    size_t length = 0;
    switch (message.encoding) {
      case Encoding::kPlain:
        return {message.value, message.length};
      case Encoding::kGzip:
        if (libdeflate_gzip_decompress(inflater_.get(), message.value, message.length, inflated_.data(), capacity,
                                       &length) != LIBDEFLATE_SUCCESS) {
          return {};
        }
        return {inflated_.data(), length};
      case Encoding::kLz4: {
        if (message.length < 4) return {};
        const int written = LZ4_decompress_safe(reinterpret_cast<const char*>(message.value + 4),
                                                reinterpret_cast<char*>(inflated_.data()),
                                                static_cast<int>(message.length - 4), static_cast<int>(capacity));
        if (written < 0) return {};
        return {inflated_.data(), static_cast<size_t>(written)};
      }
    }
    return {};
  }

  // The data string: what lies between the two tokens of the outer text that are furthest apart, without the quotes.
  Text longest_token(const Text& outer) const {
    const uint32_t* indexes = outer_->structural_indexes.get();
    Text longest;
    for (uint32_t i = 0; i + 1 < outer_->n_structural_indexes; i++) {
      const size_t length = indexes[i + 1] - indexes[i];
      if (length > longest.length) longest = {outer.begin + indexes[i], length};
    }
    if (longest.length < 2) return {outer.begin, 0};
    return {longest.begin + 1, longest.length - 2};
  }

  // From the first [ of the inner text to its last ]: the array of events.
  Text outermost_array() const {
    const uint32_t* indexes = inner_->structural_indexes.get();
    const uint8_t* text = unescaped_.data();
    uint32_t first = 0;
    uint32_t last = inner_->n_structural_indexes;
    if (last == 0) return {text, 0};
    while (first + 1 < last && text[indexes[first]] != '[') first++;
    while (last > first + 1 && text[indexes[last - 1]] != ']') last--;
    return {text + indexes[first], indexes[last - 1] + 1 - indexes[first]};
  }

  // Memory for the event bytes of a pass, on huge pages if the system offers them.
  void keep(size_t bytes) {
    constexpr size_t kHugePage = 2 << 20;
    kept_capacity_ = (bytes / kHugePage + 1) * kHugePage;
    kept_.reset(static_cast<uint8_t*>(std::aligned_alloc(kHugePage, kept_capacity_)));
    if (!kept_) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    madvise(kept_.get(), kept_capacity_, MADV_HUGEPAGE);
#endif
    std::memset(kept_.get(), 0, kept_capacity_);
  }

  struct Free {
    void operator()(uint8_t* bytes) const { std::free(bytes); }
  };

  struct FreeInflater {
    void operator()(libdeflate_decompressor* inflater) const { libdeflate_free_decompressor(inflater); }
  };

  std::vector<Message> messages_;
  Unescape* unescape_ = best_unescape();
  std::unique_ptr<libdeflate_decompressor, FreeInflater> inflater_{libdeflate_alloc_decompressor()};
  std::unique_ptr<simdjson::internal::dom_parser_implementation> outer_;
  std::unique_ptr<simdjson::internal::dom_parser_implementation> inner_;
  std::vector<uint8_t> inflated_;
  std::vector<uint8_t> unescaped_;
  std::unique_ptr<uint8_t, Free> kept_;
  size_t kept_capacity_ = 0;
  size_t kept_length_ = 0;
  size_t bytes_ = 0;
};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void serve(Floor& floor) {
  std::string command;
  double wanted = 0;
  while (std::cin >> command >> wanted) {
    int passes = 0;
    size_t ok = 0;
    const double start = cpu_seconds();
    double spent = 0;
    do {
      ok = floor.pass();
      passes++;
      spent = cpu_seconds() - start;
    } while (spent < wanted);
    std::printf("{\"seconds\": %.9f, \"ok\": %zu, \"bytes\": %zu, \"kept_bytes\": %zu}\n", spent / passes, ok,
                floor.bytes(), floor.kept_bytes());
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: floor FILE\n");
    return 2;
  }
  try {
    std::ifstream file(argv[1], std::ios::binary);
    if (!file) throw std::runtime_error("the file can't be read");
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    Floor floor(parse(content));
    serve(floor);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "floor: %s\n", error.what());
    return 1;
  }
  return 0;
}
