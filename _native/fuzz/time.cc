// Times as text: any bytes, compared with what the C library makes of the same digits.
#include "text/time.hpp"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "clock_shift.hpp"

using namespace recording;

namespace {

constexpr size_t whole = 19;  // characters of 2026-11-27T01:02:03

// The text with 0 in place of every digit.
std::string shape_of(std::string text) {
  for (char& c : text)
    if (c >= '0' && c <= '9') c = '0';
  return text;
}

bool is_zone(const std::string& shape) {
  return shape == "Z" || shape == "z" || shape == "+00:00" || shape == "-00:00";
}

int64_t plain_time(const std::string& text) {
  std::string shape = shape_of(text);
  if (shape.size() <= whole) return -1;
  if (shape[10] == 't' || shape[10] == ' ') shape[10] = 'T';
  if (shape.compare(0, whole, "0000-00-00T00:00:00") != 0) return -1;
  size_t zone = whole;
  std::string fraction;
  if (shape[whole] == '.') {
    zone = shape.find_first_not_of('0', whole + 1);
    if (zone == std::string::npos || zone == whole + 1) return -1;
    fraction = text.substr(whole + 1, zone - whole - 1);
  }
  if (!is_zone(shape.substr(zone))) return -1;
  std::tm time{};
  std::sscanf(text.c_str(), "%4d-%2d-%2d%*c%2d:%2d:%2d", &time.tm_year, &time.tm_mon, &time.tm_mday, &time.tm_hour,
              &time.tm_min, &time.tm_sec);
  if (time.tm_year < 1970 || time.tm_hour > 23 || time.tm_min > 59 || time.tm_sec > 60) return -1;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  std::tm day{};
  day.tm_year = time.tm_year;
  day.tm_mon = time.tm_mon;
  day.tm_mday = time.tm_mday;
  timegm(&day);  // turns the 30th of February into the 2nd of March
  if (day.tm_mon != time.tm_mon || day.tm_mday != time.tm_mday) return -1;
  int64_t offset = 0;
  if (shape.size() - zone == 6) {
    int hours = 0, minutes = 0;
    std::sscanf(text.c_str() + zone + 1, "%2d:%2d", &hours, &minutes);
    if (hours > 23 || minutes > 59) return -1;
    offset = (hours * 60 + minutes) * (text[zone] == '+' ? -60 : 60);
  }
  fraction.resize(3, '0');
  const int64_t ms = (static_cast<int64_t>(timegm(&time)) + offset) * 1000 + std::stoi(fraction);
  return ms < 0 ? -1 : ms;
}

RawString string_of(Span text) {
  RawString raw;
  raw.kind = RawString::string;
  raw.text = text;
  return raw;
}

// A shift is a whole number of steps, and never half a step from what was seen. A shifted time is one of JavaScript.
void check_shift(Span now, Span sent_at) {
  const double shift = clock_shift(string_of(now), string_of(sent_at));
  const int64_t server = parse_time(now), device = parse_time(sent_at);
  if (server < 0 || device < 0) {
    if (shift != 0) std::abort();
    return;
  }
  if (std::fmod(shift, shift_step_ms) != 0) std::abort();
  if (std::abs(static_cast<double>(server - device) - shift) > shift_step_ms / 2) std::abort();
  const double time = shifted(static_cast<double>(device), shift);
  if (time < 1 || time > latest_time) std::abort();
  const TimeText written(time);
  const Span text = written.span();
  if (std::strtod(std::string(text.begin, text.end).c_str(), nullptr) != time) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const Span text{bytes, bytes + size};
  if (parse_time(text) != plain_time(std::string(text.begin, text.end))) std::abort();
  // A blank line between two times: when a message came, and when its device sent it.
  const auto* const line = size ? static_cast<const uint8_t*>(std::memchr(bytes, '\n', size)) : nullptr;
  if (line) check_shift({bytes, line}, {line + 1, bytes + size});
  return 0;
}
