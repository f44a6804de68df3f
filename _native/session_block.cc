#include "session_block.hpp"

#include <algorithm>
#include <cmath>

#include "text/json_writer.hpp"

namespace recording {
namespace {

constexpr size_t max_urls = 25;
constexpr double idle_ms = 5000;
constexpr double gap_ms = 10000;  // the pause that rrweb's player skips by default

// Reads the times of events in order; the sign is negative if the event is an active one.
void read_in_order(const std::vector<double>& events, Timeline& found) {
  double total = 0, first = 0, last = 0, last_active = 0;
  bool in_segment = false, active_segment = false;
  for (const double event : events) {
    const bool active = event < 0;
    const double time = std::fabs(event);
    const bool begins = !in_segment || (active && !active_segment) || (active_segment && time - last_active > idle_ms);
    found.gaps += in_segment && time - last > gap_ms;
    if (begins) {
      if (active_segment) total += std::max(1.0, last - first);
      in_segment = true;
      active_segment = active;
      first = time;
    }
    if (active) last_active = time;
    last = time;
  }
  if (active_segment) total += std::max(1.0, last - first);
  found.active_milliseconds = std::llround(total);
}

}  // namespace

void SessionBlock::record(const Columns& columns, const Row& row, int64_t offset) {
  if (messages.empty()) {
    set_text(distinct_id, columns.text(row.distinct_id), 2);
    first_offset = last_offset = offset;
    first_time = row.first_time;
    last_time = row.last_time;
  }
  if (source.empty()) set_text(source, columns.text(row.source), 2);
  if (library.empty()) set_text(library, columns.text(row.library), 1);
  if (mode == SnapshotMode::unknown) mode = row.mode;
  add_urls(columns, row);

  const ChunkRef& chunk = columns.chunks[row.chunk];
  if (chunks_.empty() || chunks_.back() != chunk) chunks_.push_back(chunk);
  slices_.push_back(row.lines);
  const auto events = columns.events.begin();
  events_.insert(events_.end(), events + static_cast<ptrdiff_t>(row.events.begin),
                 events + static_cast<ptrdiff_t>(row.events.end));
  messages.emplace_back(offset, row.events.end - row.events.begin);

  counters.full_snapshot.add(row.counters.full_snapshot, event_count);
  size += row.lines.size();
  event_count += row.events.end - row.events.begin;
  first_offset = std::min(first_offset, offset);
  last_offset = std::max(last_offset, offset);
  first_time = std::min(first_time, row.first_time);
  last_time = std::max(last_time, row.last_time);
  counters.clicks += row.counters.clicks;
  counters.keypresses += row.counters.keypresses;
  counters.mouse_activities += row.counters.mouse_activities;
}

void SessionBlock::set_text(std::string& text, Span value, size_t times_written) {
  text.assign(reinterpret_cast<const char*>(value.begin), value.size());
  if (!text.empty()) text_bytes_ += times_written * json_string_size(text);
}

void SessionBlock::add_urls(const Columns& columns, const Row& row) {
  for (size_t i = row.urls.begin; i < row.urls.end && urls.size() < max_urls; ++i) {
    const Span url = columns.text(columns.urls[i]);
    const auto same = [url](const std::string& other) {
      return other.size() == url.size() && std::memcmp(other.data(), url.begin, url.size()) == 0;
    };
    if (std::any_of(urls.begin(), urls.end(), same)) continue;
    const size_t times_written = urls.empty() ? 2 : 1;  // the first one also by itself
    set_text(urls.emplace_back(), url, times_written);
  }
}

Timeline SessionBlock::timeline() const {
  Timeline found;
  const auto earlier = [](double a, double b) { return std::fabs(a) < std::fabs(b); };
  for (size_t i = 1; i < events_.size(); ++i) found.out_of_order += earlier(events_[i], events_[i - 1]);
  if (found.out_of_order == 0) {
    read_in_order(events_, found);
  } else {
    std::vector<double> events = events_;
    std::stable_sort(events.begin(), events.end(), earlier);
    read_in_order(events, found);
  }
  return found;
}

}  // namespace recording
