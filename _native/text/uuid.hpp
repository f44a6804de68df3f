// UUIDs as text: 8-4-4-4-12 hexadecimal digits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cursor.hpp"

namespace recording {

constexpr size_t uuid_size = 36;

inline bool is_uuid(Span text) {
  if (text.size() != uuid_size) return false;
  for (size_t i = 0; i < uuid_size; ++i) {
    const uint8_t c = text.begin[i], letter = c | 0x20;
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool digit = (c >= '0' && c <= '9') || (letter >= 'a' && letter <= 'f');
    if (dash ? c != '-' : !digit) return false;
  }
  return true;
}

// The UUID with small letters.
inline std::array<uint8_t, uuid_size> small_uuid(Span uuid) {
  std::array<uint8_t, uuid_size> small;
  for (size_t i = 0; i < uuid_size; ++i) small[i] = uuid.begin[i] | (uuid.begin[i] == '-' ? 0 : 0x20);
  return small;
}

}  // namespace recording
