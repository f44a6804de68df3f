// The escapes among 64 bytes, as bits: one a byte, lowest first.
#pragma once

#include <cstdint>

namespace recording {

// Finds the backslashes that begin an escape: in each run of backslashes the first, the third, and so on. `carry` is 1
// if the 64 bytes before escape the first of these bytes; it becomes the same for the next 64 bytes. Sets `escaped` to
// the bytes that are escaped.
inline uint64_t escape_starts(uint64_t backslashes, uint64_t& carry, uint64_t& escaped) {
  constexpr uint64_t odd = 0xAAAAAAAAAAAAAAAA;
  // Subtract the backslashes from their positions moved up by one: the borrow goes through each run of backslashes, so
  // that comparing with the odd bits gives the run's parity.
  const uint64_t candidates = backslashes & ~carry;
  const uint64_t parity = (((candidates << 1) | odd) - candidates) ^ odd;
  escaped = parity ^ (backslashes | carry);
  const uint64_t starts = parity & backslashes;
  carry = starts >> 63;
  return starts;
}

}  // namespace recording
