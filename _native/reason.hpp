// Why a message did not end as ok. Names and codes are the same as in recording_worker/outcome.py;
// tests/native/test_reasons.py compares the two.
#pragma once

#include <cstdint>

namespace recording {

enum class Disposition : uint8_t { ok = 0, drop = 1, redirect = 2, dlq = 3 };

#define RECORDING_REASONS(X)                    \
  X(NONE, 0)                                    \
  X(MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY, 1)     \
  X(INVALID_COMPRESSED_DATA, 2)                 \
  X(PAYLOAD_TOO_LARGE, 3)                       \
  X(INVALID_JSON, 4)                            \
  X(INVALID_MESSAGE_PAYLOAD, 5)                 \
  X(RECEIVED_NON_SNAPSHOT_MESSAGE, 6)           \
  X(ID_TOO_LONG, 11)                            \
  X(SESSION_ID_HEADER_BODY_MISMATCH, 7)         \
  X(DISTINCT_ID_HEADER_BODY_MISMATCH, 8)        \
  X(MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS, 9) \
  X(MESSAGE_TIMESTAMP_DIFF_TOO_LARGE, 10)       \
  X(SESSION_EVENT_LIMIT, 38)

enum class Reason : uint8_t {
#define X(name, code) name = code,
  RECORDING_REASONS(X)
#undef X
};

struct NamedReason {
  const char* name;
  uint8_t code;
};

inline constexpr NamedReason named_reasons[] = {
#define X(name, code) {#name, code},
    RECORDING_REASONS(X)
#undef X
};

inline constexpr int reason_count = sizeof(named_reasons) / sizeof(named_reasons[0]);

// What happens to a message that ends for this reason.
inline constexpr Disposition disposition_of(Reason reason) {
  switch (reason) {
    case Reason::NONE:
      return Disposition::ok;
    case Reason::MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS:
    case Reason::MESSAGE_TIMESTAMP_DIFF_TOO_LARGE:
    case Reason::SESSION_EVENT_LIMIT:
      return Disposition::drop;
    default:
      return Disposition::dlq;
  }
}

}  // namespace recording
