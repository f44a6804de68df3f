#include "text/unescape.hpp"

#include <simdjson.h>

#include <string>

#include "simd/bytes16.hpp"
#include "simd/targets.hpp"
#include "text/escape_starts.hpp"
#include "text/json_text.hpp"
#include "text/latin1_bytes.hpp"
#include "text/utf8.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace recording {
namespace {

// For each selection of eight bytes, the order that moves the kept bytes together.
struct KeptOrder {
  uint64_t of[256];
};

constexpr KeptOrder make_kept_order() {
  KeptOrder order{};
  for (int keep = 0; keep < 256; ++keep) {
    int kept = 0;
    for (uint64_t i = 0; i < 8; ++i)
      if (keep >> i & 1) order.of[keep] |= i << 8 * kept++;
  }
  return order;
}

[[maybe_unused]] constexpr KeptOrder kept_order = make_kept_order();

namespace baseline {
#include "simd/simd64_baseline.hpp"
#include "text/unescape_kernel.hpp"
#if defined(__aarch64__)
#include "text/latin1_kernel.hpp"
#else
constexpr auto unescape_latin1 = unescape_latin1_bytes;
#endif
}  // namespace baseline

#if defined(__x86_64__)

BEGIN_TARGET("avx2,bmi,bmi2,lzcnt,popcnt")
namespace haswell {
#include "simd/simd64_haswell.hpp"
#include "text/latin1_kernel.hpp"
#include "text/unescape_kernel.hpp"
}  // namespace haswell
END_TARGET

BEGIN_TARGET("avx512f,avx512dq,avx512cd,avx512bw,avx512vl,avx512vbmi2,avx2,bmi,bmi2,lzcnt,popcnt")
namespace icelake {
#include "simd/simd64_icelake.hpp"
#include "text/latin1_kernel.hpp"
#include "text/unescape_kernel.hpp"
}  // namespace icelake
END_TARGET

#endif

struct Kernel {
  Unescaped (*unescape)(Span, uint8_t*);
  bool (*escapes_valid)(Span);
  uint8_t* (*unescape_latin1)(Cursor&, uint8_t*);
};

// Chooses by the instruction set that simdjson chose: a machine that has it can run the kernel of that name.
Kernel choose() {
#if defined(__x86_64__)
  const std::string name = simdjson::get_active_implementation()->name();
  if (name == "icelake") return {icelake::unescape, icelake::escapes_valid, icelake::unescape_latin1};
  if (name == "haswell") return {haswell::unescape, haswell::escapes_valid, haswell::unescape_latin1};
#endif
  return {baseline::unescape, baseline::escapes_valid, baseline::unescape_latin1};
}

const Kernel& kernel() {
  static const Kernel chosen = choose();
  return chosen;
}

}  // namespace

Unescaped unescape(Span in, uint8_t* out) { return kernel().unescape(in, out); }

uint8_t* unescape_latin1(Cursor& in, uint8_t* out) { return kernel().unescape_latin1(in, out); }

bool escapes_valid(Span text) { return kernel().escapes_valid(text); }

}  // namespace recording
