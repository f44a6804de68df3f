#include "events.hpp"

#include <simdjson.h>

#include <cmath>
#include <new>
#include <stdexcept>

#include "snapshot_mode.hpp"
#include "text/time.hpp"

namespace recording {
namespace {

// The depth of each container that is read: the number of containers around its values.
constexpr uint32_t root_depth = 1, properties_depth = 2, items_depth = 3, event_depth = 4, data_depth = 5,
                   payload_depth = 6, payload_strings_depth = 7;

namespace event_type {
constexpr int full_snapshot = 2, incremental = 3, custom = 5, plugin = 6;
}

namespace source {
constexpr int mouse_move = 1, mouse_interaction = 2, scroll = 3, viewport_resize = 4, input = 5, touch_move = 6,
              media = 7, drag = 12;
}

constexpr uint32_t bits(std::initializer_list<int> codes) {
  uint32_t set = 0;
  for (const int code : codes) set |= 1u << code;
  return set;
}

bool is_in(int code, uint32_t set) { return code >= 0 && code < 32 && (set >> code & 1); }

constexpr uint32_t active_sources =
    bits({source::mouse_move, source::mouse_interaction, source::scroll, source::viewport_resize, source::input,
          source::touch_move, source::media, source::drag});
constexpr uint32_t mouse_sources = bits({source::mouse_move, source::mouse_interaction, source::touch_move});
constexpr uint32_t click_interactions = bits({2, 3, 4, 9});  // click, context menu, double click, touch end

LogLevel level_of(const Name& level) {
  if (level.is("warn") || level.is("countReset")) return LogLevel::warn;
  if (level.is("error") || level.is("assert")) return LogLevel::error;
  return LogLevel::info;
}

template <class T>
void shrink_vector(std::vector<T>& vector, size_t most_bytes) {
  if (vector.capacity() * sizeof(T) > most_bytes) std::vector<T>().swap(vector);
}

}  // namespace

// What the reader keeps from an event's `data`.
struct SnapshotReader::EventData {
  int source = -1;
  int type = -1;
  RawString href;
  RawString tag;
  RawString plugin;
  RawString payload_href;
  RawString level;
  uint32_t strings_begin = 0;
};

struct SnapshotReader::Event {
  int type = -1;
  bool has_time = false;
  bool packed = false;
  double time = 0;
  EventData data;
};

void Snapshot::clear_items() {
  items_array = false;
  events.clear();
  packed.clear();
  urls.clear();
  logs.clear();
  log_strings.clear();
  counters = {};
  invalid_items = far_items = 0;
  times = all_times = {};
}

void Snapshot::clear_properties() {
  properties_object = false;
  session_id = window_id = source = library = {};
  mode = SnapshotMode::unknown;
  clear_items();
}

SnapshotReader::SnapshotReader() {
  // The second stage is not used, so it needs no depth.
  switch (simdjson::get_active_implementation()->create_dom_parser_implementation(1, 1, stage1_)) {
    case simdjson::SUCCESS:
      return;
    case simdjson::MEMALLOC:
      throw std::bad_alloc();
    default:
      throw std::runtime_error("simdjson has no implementation for this processor, or not the one it was told to use");
  }
}

SnapshotReader::~SnapshotReader() = default;

void SnapshotReader::shrink_tokens(size_t most) {
  if (stage1_->capacity() > most && stage1_->set_capacity(1)) throw std::bad_alloc();
}

void SnapshotReader::shrink(size_t most) {
  shrink_tokens(most);
  shrink_vector(snapshot_.events, most);
  shrink_vector(snapshot_.packed, most);
  shrink_vector(snapshot_.urls, most);
  shrink_vector(snapshot_.logs, most);
  shrink_vector(snapshot_.log_strings, most);
}

bool SnapshotReader::find_tokens(Span text, bool& valid_utf8) {
  constexpr size_t step = 64 * 1024;
  if (stage1_->capacity() < text.size() && stage1_->set_capacity((text.size() / step + 1) * step))
    throw std::bad_alloc();
  if (stage1_->stage1(text.begin, text.size(), simdjson::stage1_mode::regular)) return false;
  valid_utf8 = true;
  tokens_.start(text, stage1_->structural_indexes.get());
  return true;
}

Reason SnapshotReader::read(Span text, const Nearness& nearness, bool& valid_utf8) {
  valid_utf8 = false;
  nearness_ = nearness;
  text.begin += byte_order_mark(text.begin, text.size());
  snapshot_.text = text.begin;
  snapshot_.event = {};
  snapshot_.clear_properties();
  if (!find_tokens(text, valid_utf8)) return Reason::RECEIVED_NON_SNAPSHOT_MESSAGE;
  if (!read_root()) return tokens_.too_deep() ? Reason::INVALID_JSON : Reason::RECEIVED_NON_SNAPSHOT_MESSAGE;

  const auto absent_or_string = [](const RawString& value) { return value.kind != RawString::other; };
  const Snapshot& s = snapshot_;
  const bool accepted = s.event.kind == RawString::string && Name(s.event.text).is("$snapshot_items") &&
                        s.properties_object && s.items_array && s.session_id.kind == RawString::string &&
                        !s.session_id.text.empty() && absent_or_string(s.window_id) && absent_or_string(s.source) &&
                        absent_or_string(s.library);
  if (!accepted) return Reason::RECEIVED_NON_SNAPSHOT_MESSAGE;
  if (Name(s.source.text).is("mobile")) snapshot_.mode = find_mode();
  return Reason::NONE;
}

bool SnapshotReader::read_root() {
  const uint8_t first = tokens_.take();
  if (first != '{') return tokens_.skip(first, 0) && tokens_.at_end();
  return tokens_.members([this](const Name& key, uint8_t c) {
    if (key.is("event")) return tokens_.read_string(c, root_depth, snapshot_.event);
    if (key.is("properties")) return read_properties(c);
    return tokens_.skip(c, root_depth);
  }) && tokens_.at_end();
}

bool SnapshotReader::read_properties(uint8_t first) {
  snapshot_.clear_properties();
  if (first != '{') return tokens_.skip(first, root_depth);
  snapshot_.properties_object = true;
  return tokens_.members([this](const Name& key, uint8_t c) {
    if (key.is("$snapshot_items")) return read_items(c);
    if (key.is("$session_id")) return tokens_.read_string(c, properties_depth, snapshot_.session_id);
    if (key.is("$window_id")) return tokens_.read_string(c, properties_depth, snapshot_.window_id);
    if (key.is("$snapshot_source")) return tokens_.read_string(c, properties_depth, snapshot_.source);
    if (key.is("$lib")) return tokens_.read_string(c, properties_depth, snapshot_.library);
    return tokens_.skip(c, properties_depth);
  });
}

bool SnapshotReader::read_items(uint8_t first) {
  snapshot_.clear_items();
  if (first != '[') return tokens_.skip(first, properties_depth);
  snapshot_.items_array = true;
  return tokens_.elements([this](uint8_t c) { return read_item(c); });
}

bool SnapshotReader::read_item(uint8_t first) {
  if (first != '{') {
    ++snapshot_.invalid_items;
    return tokens_.skip(first, items_depth);
  }
  const uint32_t begin = tokens_.position();
  const size_t strings_before = snapshot_.log_strings.size();
  Event event;
  const bool valid = tokens_.members([&](const Name& key, uint8_t c) {
    if (key.is("data")) return read_data(c, event.data);
    if (key.is("type")) return read_code(c, event_depth, event.type);
    if (key.is("timestamp")) {
      event.has_time = c == '-' || is_digit(c);
      return event.has_time ? tokens_.read_number(event.time) : tokens_.skip(c, event_depth);
    }
    if (key.is("cv")) event.packed = c == '"' && Name(tokens_.string()).is("2024-10");
    return tokens_.skip(c, event_depth);
  });
  if (!valid) return false;
  take_item(event, begin, tokens_.position() + 1);
  // Only console events keep the strings of their payload.
  if (snapshot_.logs.empty() || snapshot_.logs.back().strings_end <= strings_before)
    snapshot_.log_strings.resize(strings_before);
  return true;
}

bool SnapshotReader::read_data(uint8_t first, EventData& data) {
  data = {};
  data.strings_begin = static_cast<uint32_t>(snapshot_.log_strings.size());
  if (first != '{') return tokens_.skip(first, event_depth);
  return tokens_.members([&](const Name& key, uint8_t c) {
    if (key.is("source")) return read_code(c, data_depth, data.source);
    if (key.is("type")) return read_code(c, data_depth, data.type);
    if (key.is("href")) return tokens_.read_string(c, data_depth, data.href);
    if (key.is("tag")) return tokens_.read_string(c, data_depth, data.tag);
    if (key.is("plugin")) return tokens_.read_string(c, data_depth, data.plugin);
    if (key.is("payload")) return read_payload(c, data);
    return tokens_.skip(c, data_depth);
  });
}

bool SnapshotReader::read_payload(uint8_t first, EventData& data) {
  data.payload_href = data.level = {};
  data.strings_begin = static_cast<uint32_t>(snapshot_.log_strings.size());
  if (first != '{') return tokens_.skip(first, data_depth);
  return tokens_.members([&](const Name& key, uint8_t c) {
    if (key.is("payload")) return read_payload_strings(c, data);
    if (key.is("level")) return tokens_.read_string(c, payload_depth, data.level);
    if (key.is("href")) return tokens_.read_string(c, payload_depth, data.payload_href);
    return tokens_.skip(c, payload_depth);
  });
}

bool SnapshotReader::read_payload_strings(uint8_t first, EventData& data) {
  data.strings_begin = static_cast<uint32_t>(snapshot_.log_strings.size());
  if (first != '[') return tokens_.skip(first, payload_depth);
  return tokens_.elements([this](uint8_t c) {
    if (c != '"') return tokens_.skip(c, payload_strings_depth);
    const Span string = tokens_.string();
    snapshot_.log_strings.push_back(
        {static_cast<uint32_t>(string.begin - snapshot_.text), static_cast<uint32_t>(string.end - snapshot_.text)});
    return true;
  });
}

// Reads a small whole number, such as the type of an event. `code` is -1 for any other value.
bool SnapshotReader::read_code(uint8_t first, uint32_t depth, int& code) {
  code = -1;
  if (first != '-' && !is_digit(first)) return tokens_.skip(first, depth);
  double value;
  if (!tokens_.read_number(value)) return false;
  if (value >= 0 && value < 256 && value == std::floor(value)) code = static_cast<int>(value);
  return true;
}

// Keeps an item if it is an event of about now, and counts it otherwise.
void SnapshotReader::take_item(const Event& event, uint32_t begin, uint32_t end) {
  Snapshot& s = snapshot_;
  if (!event.has_time || !(event.time > 0 && event.time <= latest_time)) {
    ++s.invalid_items;
    return;
  }
  s.all_times.add(event.time);
  if (nearness_.is_far(event.time)) {
    ++s.far_items;
    return;
  }
  s.times.add(event.time);
  keep_event(event, begin, end);
}

void SnapshotReader::keep_event(const Event& event, uint32_t begin, uint32_t end) {
  Snapshot& s = snapshot_;
  const EventData& data = event.data;
  const bool incremental = event.type == event_type::incremental;
  const bool active = incremental && is_in(data.source, active_sources);
  if (event.packed) s.packed.push_back(static_cast<uint32_t>(s.events.size()));
  if (event.type == event_type::full_snapshot) s.counters.full_snapshot.add({event.time, 0}, s.events.size());
  s.events.push_back({begin, end, active ? -event.time : event.time});
  if (incremental) {
    s.counters.clicks += data.source == source::mouse_interaction && is_in(data.type, click_interactions);
    s.counters.keypresses += data.source == source::input;
    s.counters.mouse_activities += is_in(data.source, mouse_sources);
  }

  const Span href = trimmed(data.href.text);
  const Span url = href.empty() ? trimmed(data.payload_href.text) : href;
  const bool json_ld = event.type == event_type::custom && Name(data.tag.text).is("$json_ld");
  if (!url.empty() && !json_ld && (s.urls.empty() || !equal(url, s.urls.back()))) s.urls.push_back(url);

  if (event.type == event_type::plugin && Name(data.plugin.text).is("rrweb/console@1"))
    s.logs.push_back(
        {event.time, level_of(Name(data.level.text)), data.strings_begin, static_cast<uint32_t>(s.log_strings.size())});
}

// Walks over events a second time, so that only mobile apps' messages pay for it.
SnapshotMode SnapshotReader::find_mode() {
  const uint32_t* at = stage1_->structural_indexes.get();
  const uint32_t* const end = at + stage1_->n_structural_indexes;
  for (const EventSlice& event : snapshot_.events) {
    at = std::lower_bound(at, end, event.begin);
    tokens_.start({snapshot_.text, snapshot_.text + event.end}, at);
    tokens_.take();
    const SnapshotMode mode = snapshot_mode_of(tokens_);
    if (mode != SnapshotMode::unknown) return mode;
  }
  return SnapshotMode::unknown;
}

}  // namespace recording
