// Messages that make the core itself fail, when they are decoded or when they are flushed, so that tests can see what
// happens to the other messages. Only a build with RECORDING_WORKER_TEST_HOOKS has them.
#pragma once

#include <vector>

#include "text/cursor.hpp"

#ifdef RECORDING_WORKER_TEST_HOOKS

#include <unistd.h>

#include <string_view>

namespace recording {

inline void crash_or_hang(Span text, const char* crash, const char* hang) {
  const std::string_view bytes(reinterpret_cast<const char*>(text.begin), text.size());
  if (bytes.find(crash) != std::string_view::npos) {
    volatile int* volatile nowhere = nullptr;
    *nowhere = 1;
  }
  if (bytes.find(hang) != std::string_view::npos) {
    for (;;) pause();
  }
}

// The decoder calls this with the text of each message.
inline void run_decode_hooks(Span text) {
  crash_or_hang(text, "recording-worker-test-hook: crash", "recording-worker-test-hook: hang");
}

// A flush calls this with the lines of each block.
inline void run_flush_hooks(const std::vector<Span>& slices) {
  for (const Span slice : slices) {
    crash_or_hang(slice, "recording-worker-test-hook: flush crash", "recording-worker-test-hook: flush hang");
  }
}

}  // namespace recording

#else

namespace recording {

inline void run_decode_hooks(Span) {}
inline void run_flush_hooks(const std::vector<Span>&) {}

}  // namespace recording

#endif
