// The checksum of gzip (CRC-32 of RFC 1952).
#pragma once

#include "text/cursor.hpp"

namespace recording {

uint32_t crc32(Span bytes);

}  // namespace recording
