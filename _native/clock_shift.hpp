// Shifts the times of a message from the clock of its device to the clock of the capture service.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/json_text.hpp"
#include "text/time.hpp"

namespace recording {

// PostHog's consumer rounds to this (pull request 93203). The skew that was seen holds the time that the request took,
// which differs from message to message. Rounded, it is the same for all messages of a session.
constexpr double shift_step_ms = 5 * 60 * 1000;

// How far to shift the times of a message, in ms: how late the device's clock was when it sent the message,
// rounded. `now` and `sent_at` are the times of the request by the clocks of the capture service and of the device, as
// the message writes them. 0 if one of them is missing or is no time.
inline double clock_shift(const RawString& now, const RawString& sent_at) {
  if (now.kind != RawString::string || sent_at.kind != RawString::string) return 0;
  const int64_t server = parse_time(now.text), device = parse_time(sent_at.text);
  if (server < 0 || device < 0) return 0;
  return shift_step_ms * std::floor(static_cast<double>(server - device) / shift_step_ms + 0.5);
}

// A time that was shifted. It remains one of JavaScript above 0.
inline double shifted(double time, double shift) { return std::clamp(time + shift, 1.0, latest_time); }

// A time as JSON.
class TimeText {
 public:
  static constexpr size_t most = 40;

  explicit TimeText(double time)
      : end_(std::to_chars(text_.data(), text_.data() + most, time, std::chars_format::fixed).ptr) {}

  Span span() const { return {reinterpret_cast<const uint8_t*>(text_.data()), reinterpret_cast<const uint8_t*>(end_)}; }

 private:
  std::array<char, most> text_;
  const char* end_;
};

}  // namespace recording
