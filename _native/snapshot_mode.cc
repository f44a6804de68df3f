#include "snapshot_mode.hpp"

#include <cmath>

namespace recording {
namespace {

constexpr double full_snapshot = 2, incremental = 3;  // types of events
constexpr double mutation = 0;                        // a source
constexpr uint32_t depth = 0;                         // the text is valid, so nothing in it nests too deep

class ModeReader {
 public:
  explicit ModeReader(Tokens& tokens) : tokens_(tokens) {}

  SnapshotMode read_event() {
    double type = NAN;
    Data data;
    tokens_.members([&](const Name& key, uint8_t c) {
      if (key.is("type")) return read_number(c, type);
      if (key.is("data")) return read_data(c, data);
      return tokens_.skip(c, depth);
    });
    if (type == full_snapshot) return data.wireframes;
    if (type != incremental || data.source != mutation) return SnapshotMode::unknown;
    return known(data.adds) ? data.adds : data.updates;
  }

 private:
  // What the members of `data` say, whatever the type of the event.
  struct Data {
    double source = NAN;
    SnapshotMode wireframes = SnapshotMode::unknown;
    SnapshotMode adds = SnapshotMode::unknown;
    SnapshotMode updates = SnapshotMode::unknown;
  };

  static bool known(SnapshotMode mode) { return mode != SnapshotMode::unknown; }

  // Each of these moves past a value whose first byte is taken, and overwrites what it sets: the last member of a name
  // counts.

  // NaN for anything but a number.
  bool read_number(uint8_t first, double& number) {
    number = NAN;
    return first == '-' || is_digit(first) ? tokens_.read_number(number) : tokens_.skip(first, depth);
  }

  bool read_data(uint8_t first, Data& data) {
    data = {};
    if (first != '{') return tokens_.skip(first, depth);
    return tokens_.members([&](const Name& key, uint8_t c) {
      if (key.is("source")) return read_number(c, data.source);
      if (key.is("wireframes")) return read_first(c, data.wireframes, &ModeReader::read_wireframe);
      if (key.is("adds")) return read_first(c, data.adds, &ModeReader::read_mutation);
      if (key.is("updates")) return read_first(c, data.updates, &ModeReader::read_mutation);
      return tokens_.skip(c, depth);
    });
  }

  // The first known mode of an array's elements.
  bool read_first(uint8_t first, SnapshotMode& mode, bool (ModeReader::*read)(uint8_t, SnapshotMode&)) {
    mode = SnapshotMode::unknown;
    if (first != '[') return tokens_.skip(first, depth);
    return tokens_.elements([&](uint8_t c) { return known(mode) ? tokens_.skip(c, depth) : (this->*read)(c, mode); });
  }

  bool read_mutation(uint8_t first, SnapshotMode& mode) {
    mode = SnapshotMode::unknown;
    if (first != '{') return tokens_.skip(first, depth);
    return tokens_.members([&](const Name& key, uint8_t c) {
      return key.is("wireframe") ? read_wireframe(c, mode) : tokens_.skip(c, depth);
    });
  }

  bool read_wireframe(uint8_t first, SnapshotMode& mode) {
    mode = SnapshotMode::unknown;
    if (first != '{') return tokens_.skip(first, depth);
    double id = NAN;
    bool screenshot = false;
    const bool valid = tokens_.members([&](const Name& key, uint8_t c) {
      if (key.is("id")) return read_number(c, id);
      if (key.is("type")) screenshot = c == '"' && Name(tokens_.string()).is("screenshot");
      return tokens_.skip(c, depth);
    });
    if (std::isfinite(id)) mode = screenshot ? SnapshotMode::screenshot : SnapshotMode::wireframe;
    return valid;
  }

  Tokens& tokens_;
};

}  // namespace

SnapshotMode snapshot_mode_of(Tokens& tokens) { return ModeReader(tokens).read_event(); }

}  // namespace recording
