// Messages that make the core itself fail, so that tests can see what happens to the other messages. Only a build with
// RECORDING_WORKER_TEST_HOOKS has them.
#pragma once

#include "text/cursor.hpp"

#ifdef RECORDING_WORKER_TEST_HOOKS

#include <unistd.h>

#include <string_view>

namespace recording {

inline void run_test_hooks(Span text) {
  const std::string_view bytes(reinterpret_cast<const char*>(text.begin), text.size());
  const auto holds = [&](const char* marker) { return bytes.find(marker) != std::string_view::npos; };
  if (holds("recording-worker-test-hook: crash")) {
    volatile int* volatile nowhere = nullptr;
    *nowhere = 1;
  }
  if (holds("recording-worker-test-hook: hang")) {
    for (;;) pause();
  }
}

}  // namespace recording

#else

namespace recording {

inline void run_test_hooks(Span) {}

}  // namespace recording

#endif
