// Unescaping of a JSON string whose escapes are valid, with the best instructions that the processor has.
#pragma once

#include <cstddef>
#include <cstdint>

// Writes what the string stands for; returns its length. Nothing past `in + length` is read; `out` must have room
// for as many bytes as the string and 64 more.
using Unescape = size_t(const uint8_t* in, size_t length, uint8_t* out);

Unescape unescape_baseline;
#if defined(__x86_64__)
Unescape unescape_bmi2;
Unescape unescape_avx512;
#endif

inline Unescape* best_unescape() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2")) return unescape_avx512;
  // On the first two generations of Zen, pext is slower than anything else.
  const bool slow_pext = __builtin_cpu_is("znver1") || __builtin_cpu_is("znver2");
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && !slow_pext) return unescape_bmi2;
#endif
  return unescape_baseline;
}
