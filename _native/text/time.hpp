// Times as text.
#pragma once

#include "cursor.hpp"

namespace recording {

constexpr double latest_time = 8.64e15;  // the last millisecond a JavaScript Date can hold

namespace time_text {

inline bool take_number(Cursor& at, int digits, int64_t& number) {
  number = 0;
  for (; digits; --digits) {
    if (!is_digit(at.peek())) return false;
    number = 10 * number + (at.take() - '0');
  }
  return true;
}

inline bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

// The days from 1970-01-01 to a day of the years 1 to 9999; -1 if there is no such day.
inline int64_t days_until(int64_t year, int64_t month, int64_t day) {
  constexpr int64_t before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
  if (year < 1970 || month < 1 || month > 12 || day < 1) return -1;
  const int64_t length = before_month[month] - before_month[month - 1] + (month == 2 && is_leap(year));
  if (day > length) return -1;
  const int64_t past = year - 1;
  const int64_t days = 365 * past + past / 4 - past / 100 + past / 400 + before_month[month - 1] + day - 1;
  return days + (month > 2 && is_leap(year)) - 719162;
}

}  // namespace time_text

// The time in a text like `2026-11-27T01:02:03.456Z`, ms since 1970; -1 if the text has another form, or the time is
// earlier. RFC 3339 describes the form: T or a blank, any fraction of a second, Z or an offset. What is below a ms is
// cut off.
inline int64_t parse_time(Span text) {
  using time_text::take_number;
  Cursor at{text.begin, text.end};
  int64_t year, month, day, hour, minute, second, ms = 0, offset = 0;
  if (!take_number(at, 4, year) || !at.take_if('-') || !take_number(at, 2, month) || !at.take_if('-') ||
      !take_number(at, 2, day) || !(at.take_if('T') || at.take_if('t') || at.take_if(' ')) ||
      !take_number(at, 2, hour) || !at.take_if(':') || !take_number(at, 2, minute) || !at.take_if(':') ||
      !take_number(at, 2, second)) {
    return -1;
  }
  if (at.take_if('.')) {
    if (!is_digit(at.peek())) return -1;
    for (int64_t unit = 100; is_digit(at.peek()); unit /= 10) ms += unit * (at.take() - '0');
  }
  if (!at.take_if('Z') && !at.take_if('z')) {
    const int64_t sign = at.peek() == '-' ? 1 : -1;
    int64_t hours, minutes;
    if (!(at.take_if('+') || at.take_if('-')) || !take_number(at, 2, hours) || !at.take_if(':') ||
        !take_number(at, 2, minutes) || hours > 23 || minutes > 59) {
      return -1;
    }
    offset = sign * (hours * 60 + minutes);
  }
  const int64_t days = time_text::days_until(year, month, day);
  if (days < 0 || hour > 23 || minute > 59 || second > 60 || !at.done()) return -1;  // 60: a leap second
  const int64_t found = (((days * 24 + hour) * 60 + minute + offset) * 60 + second) * 1000 + ms;
  return found < 0 ? -1 : found;
}

}  // namespace recording
