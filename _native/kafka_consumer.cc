#include "kafka_consumer.hpp"

#include <dlfcn.h>
#include <sys/types.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>

namespace recording {

// What follows is librdkafka's, as its header declares it.

struct KafkaMessage {
  int err;
  void* topic;
  int32_t partition;
  void* payload;
  size_t length;
  void* key;
  size_t key_length;
  int64_t offset;
  void* opaque;
};

namespace {

struct TopicPartition {
  char* topic;
  int32_t partition;
  int64_t offset;
  void* metadata;
  size_t metadata_size;
  void* opaque;
  int err;
  void* hidden;
};

struct TopicPartitions {
  int count;
  int size;
  TopicPartition* elements;
};

using Handle = void;
using LogCallback = void (*)(const Handle*, int, const char*, const char*);
using ErrorCallback = void (*)(Handle*, int, const char*, void*);

constexpr int is_consumer = 1;
constexpr size_t most_events = 1000;
constexpr size_t messages_at_once = 16;  // between two looks at how much they hold
constexpr size_t piece_bytes = 64 << 10;

// Adds up what is fetched of all partitions, by a report of librdkafka's (STATISTICS.md). It has an entry for each
// partition of the topic, not only for the ones that are read: 760 KB for a thousand. Nothing else of it is needed, so
// it is not copied, and not parsed.
uint64_t fetched_bytes(std::string_view report) {
  constexpr std::string_view name = "\"fetchq_size\":";
  uint64_t sum = 0;
  for (size_t at = report.find(name); at != report.npos; at = report.find(name, at)) {
    at += name.size();
    uint64_t size = 0;
    std::from_chars(report.data() + at, report.data() + report.size(), size);
    sum += size;
  }
  return sum;
}

}  // namespace

struct LibrdkafkaFunctions {
  void* (*conf_new)();
  void (*conf_destroy)(void*);
  int (*conf_set)(void*, const char*, const char*, char*, size_t);
  void (*conf_set_log_cb)(void*, LogCallback);
  void (*conf_set_error_cb)(void*, ErrorCallback);
  void (*conf_set_stats_cb)(void*, int (*)(Handle*, char*, size_t, void*));
  void (*conf_set_opaque)(void*, void*);
  Handle* (*create)(int, void*, char*, size_t);
  void (*destroy)(Handle*);
  void* (*opaque)(const Handle*);
  int (*poll_set_consumer)(Handle*);
  void* (*queue_get_consumer)(Handle*);
  void (*queue_destroy)(void*);
  ssize_t (*consume_batch_queue)(void*, int, KafkaMessage**, size_t);
  void (*message_destroy)(KafkaMessage*);
  int (*message_detach_headers)(KafkaMessage*, void**);
  int64_t (*message_timestamp)(const KafkaMessage*, int*);
  const char* (*message_errstr)(const KafkaMessage*);
  int (*header_get_all)(const void*, size_t, const char**, const void**, size_t*);
  void (*headers_destroy)(void*);
  TopicPartitions* (*list_new)(int);
  TopicPartition* (*list_add)(TopicPartitions*, const char*, int32_t);
  void (*list_destroy)(TopicPartitions*);
  void* (*incremental_assign)(Handle*, const TopicPartitions*);
  void* (*incremental_unassign)(Handle*, const TopicPartitions*);
  const char* (*error_string)(const void*);
  void (*error_destroy)(void*);
  int (*position)(Handle*, TopicPartitions*);
  int (*get_watermark_offsets)(Handle*, const char*, int32_t, int64_t*, int64_t*);
  int (*query_watermark_offsets)(Handle*, const char*, int32_t, int64_t*, int64_t*, int);
  const char* (*err2str)(int);
  int (*consumer_close)(Handle*);

  // False if the library is not loaded, or lacks a function.
  bool load(const char* library) {
    void* const loaded = dlopen(library, RTLD_NOLOAD | RTLD_NOW);
    if (!loaded) return false;
    bool all = true;
    const auto find = [&](auto& function, const char* name) {
      void* const found = dlsym(loaded, name);
      std::memcpy(&function, &found, sizeof found);
      all = all && found;
    };
    find(conf_new, "rd_kafka_conf_new");
    find(conf_destroy, "rd_kafka_conf_destroy");
    find(conf_set, "rd_kafka_conf_set");
    find(conf_set_log_cb, "rd_kafka_conf_set_log_cb");
    find(conf_set_error_cb, "rd_kafka_conf_set_error_cb");
    find(conf_set_stats_cb, "rd_kafka_conf_set_stats_cb");
    find(conf_set_opaque, "rd_kafka_conf_set_opaque");
    find(create, "rd_kafka_new");
    find(destroy, "rd_kafka_destroy");
    find(opaque, "rd_kafka_opaque");
    find(poll_set_consumer, "rd_kafka_poll_set_consumer");
    find(queue_get_consumer, "rd_kafka_queue_get_consumer");
    find(queue_destroy, "rd_kafka_queue_destroy");
    find(consume_batch_queue, "rd_kafka_consume_batch_queue");
    find(message_destroy, "rd_kafka_message_destroy");
    find(message_detach_headers, "rd_kafka_message_detach_headers");
    find(message_timestamp, "rd_kafka_message_timestamp");
    find(message_errstr, "rd_kafka_message_errstr");
    find(header_get_all, "rd_kafka_header_get_all");
    find(headers_destroy, "rd_kafka_headers_destroy");
    find(list_new, "rd_kafka_topic_partition_list_new");
    find(list_add, "rd_kafka_topic_partition_list_add");
    find(list_destroy, "rd_kafka_topic_partition_list_destroy");
    find(incremental_assign, "rd_kafka_incremental_assign");
    find(incremental_unassign, "rd_kafka_incremental_unassign");
    find(error_string, "rd_kafka_error_string");
    find(error_destroy, "rd_kafka_error_destroy");
    find(position, "rd_kafka_position");
    find(get_watermark_offsets, "rd_kafka_get_watermark_offsets");
    find(query_watermark_offsets, "rd_kafka_query_watermark_offsets");
    find(err2str, "rd_kafka_err2str");
    find(consumer_close, "rd_kafka_consumer_close");
    return all;
  }
};

// The client, and what its threads say.
class KafkaClient {
 public:
  LibrdkafkaFunctions kafka{};
  Handle* handle = nullptr;
  void* queue = nullptr;

  ~KafkaClient() {
    if (queue) kafka.queue_destroy(queue);
    if (handle) kafka.destroy(handle);
  }

  void say(int level, int code, std::string text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (events_.size() < most_events) events_.push_back({level, code, std::move(text)});
  }

  std::deque<KafkaEvent> take_events() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(events_, {});
  }

  // Returns an error text, or an empty one.
  std::string start(const std::vector<std::pair<std::string, std::string>>& properties) {
    char error[512] = "";
    void* const conf = kafka.conf_new();
    for (const auto& [name, value] : properties) {
      if (kafka.conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) == 0) continue;
      kafka.conf_destroy(conf);
      return error;
    }
    kafka.conf_set_opaque(conf, this);
    kafka.conf_set_error_cb(conf, [](Handle*, int code, const char* reason, void* client) {
      static_cast<KafkaClient*>(client)->say(KafkaEvent::error, code, reason);
    });
    kafka.conf_set_stats_cb(conf, [](Handle*, char* report, size_t size, void* client) {
      static_cast<KafkaClient*>(client)->say(KafkaEvent::fetched, 0, std::to_string(fetched_bytes({report, size})));
      return 0;  // librdkafka frees the report
    });
    // Logs come from librdkafka's own threads, and may come before `handle` is set.
    opaque_ = kafka.opaque;
    kafka.conf_set_log_cb(conf, [](const Handle* handle, int level, const char* facility, const char* text) {
      void* const client = handle && opaque_ ? opaque_(handle) : nullptr;
      if (client) static_cast<KafkaClient*>(client)->say(level, 0, std::string(facility) + " " + text);
    });
    handle = kafka.create(is_consumer, conf, error, sizeof error);
    if (!handle) {
      kafka.conf_destroy(conf);
      return error;
    }
    kafka.poll_set_consumer(handle);
    queue = kafka.queue_get_consumer(handle);
    return {};
  }

  // Takes over the error.
  std::string text_of(void* error) {
    if (!error) return {};
    std::string text = kafka.error_string(error);
    kafka.error_destroy(error);
    return text;
  }

 private:
  inline static void* (*opaque_)(const Handle*) = nullptr;

  std::mutex mutex_;
  std::deque<KafkaEvent> events_;
};

namespace {

// A list of partitions that librdkafka has made.
class Partitions {
 public:
  Partitions(const LibrdkafkaFunctions& kafka, const std::string& topic) : kafka_(kafka), topic_(topic) {}
  Partitions(const Partitions&) = delete;
  Partitions& operator=(const Partitions&) = delete;
  ~Partitions() { kafka_.list_destroy(list_); }

  void add(int64_t partition, int64_t offset) {
    kafka_.list_add(list_, topic_.c_str(), static_cast<int32_t>(partition))->offset = offset;
  }
  TopicPartitions* list() const { return list_; }

 private:
  const LibrdkafkaFunctions& kafka_;
  const std::string& topic_;
  TopicPartitions* const list_ = kafka_.list_new(1);
};

Span span_of(const void* bytes, size_t size) {
  const auto* const begin = static_cast<const uint8_t*>(bytes);
  return {begin, begin ? begin + size : nullptr};
}

}  // namespace

KafkaPoll::~KafkaPoll() {
  for (KafkaMessage* message : messages_) client_->kafka.message_destroy(message);
}

// Takes the message over.
void KafkaPoll::add(KafkaMessage* message, const LibrdkafkaFunctions& kafka) {
  messages_.push_back(message);
  bytes_ += message->key_length + message->length;
  if (message->err) {
    faults.push_back({message->err, message->partition, kafka.message_errstr(message)});
    return;
  }
  partitions.push_back(message->partition);
  offsets.push_back(message->offset);
  int kind;
  const int64_t timestamp = kafka.message_timestamp(message, &kind);
  timestamps_ms.push_back(kind ? timestamp : -1);
  keys.push_back(span_of(message->key, message->key_length));
  values.push_back(span_of(message->payload, message->length));
  add_headers(message, kafka);
  header_ends.push_back(headers.size());
}

// Copies the headers. In librdkafka each is an allocation of its own: freed at once, its memory serves the next
// message.
void KafkaPoll::add_headers(KafkaMessage* message, const LibrdkafkaFunctions& kafka) {
  void* list = nullptr;
  if (kafka.message_detach_headers(message, &list) != 0) return;
  const std::unique_ptr<void, void (*)(void*)> owned(list, kafka.headers_destroy);
  size_t before = header_ends.size() < 2 ? 0 : header_ends[header_ends.size() - 2];  // mostly has the same names
  const char* text;
  const void* value;
  size_t size;
  for (size_t i = 0; kafka.header_get_all(list, i, &text, &value, &size) == 0; ++i, ++before) {
    Span name = span_of(text, std::strlen(text));
    name = before < headers.size() && equal(name, headers[before].name) ? headers[before].name : copied(name);
    headers.push_back({name, copied(span_of(value, size))});
    bytes_ += name.size() + size;
  }
}

// Returns a copy that lives as long as this. A null span stays one.
Span KafkaPoll::copied(Span bytes) {
  if (!bytes.begin) return bytes;
  if (!free_ || bytes.size() > free_bytes_) {
    free_bytes_ = std::max(bytes.size(), piece_bytes);
    free_ = copies_.emplace_back(new uint8_t[free_bytes_]).get();
  }
  std::memcpy(free_, bytes.begin, bytes.size());
  const Span copy{free_, free_ + bytes.size()};
  free_ += bytes.size();
  free_bytes_ -= bytes.size();
  return copy;
}

KafkaConsumer::KafkaConsumer(const std::string& library,
                             const std::vector<std::pair<std::string, std::string>>& properties,
                             const std::string& topic, std::string& error)
    : client_(std::make_shared<KafkaClient>()), topic_(topic) {
  if (client_->kafka.load(library.c_str()))
    error = client_->start(properties);
  else
    error = "librdkafka can't be used: " + library;
}

KafkaConsumer::~KafkaConsumer() { close(); }

std::string KafkaConsumer::assign(const std::vector<std::pair<int64_t, int64_t>>& offsets) {
  Partitions partitions(client_->kafka, topic_);
  for (const auto& [partition, offset] : offsets) partitions.add(partition, offset);
  return client_->text_of(client_->kafka.incremental_assign(client_->handle, partitions.list()));
}

std::string KafkaConsumer::unassign(const std::vector<int64_t>& numbers) {
  Partitions partitions(client_->kafka, topic_);
  for (const int64_t number : numbers) partitions.add(number, 0);
  return client_->text_of(client_->kafka.incremental_unassign(client_->handle, partitions.list()));
}

std::vector<int64_t> KafkaConsumer::positions(const std::vector<int64_t>& numbers) const {
  Partitions partitions(client_->kafka, topic_);
  for (const int64_t number : numbers) partitions.add(number, -1);
  std::vector<int64_t> positions(numbers.size(), -1);
  if (client_->kafka.position(client_->handle, partitions.list()) == 0)
    for (size_t i = 0; i < positions.size(); ++i) positions[i] = partitions.list()->elements[i].offset;
  return positions;
}

Watermarks KafkaConsumer::watermarks(int64_t partition, int timeout_ms) const {
  Watermarks found;
  const LibrdkafkaFunctions& kafka = client_->kafka;
  const auto number = static_cast<int32_t>(partition);
  if (timeout_ms)
    found.error =
        kafka.query_watermark_offsets(client_->handle, topic_.c_str(), number, &found.low, &found.high, timeout_ms);
  else
    found.error = kafka.get_watermark_offsets(client_->handle, topic_.c_str(), number, &found.low, &found.high);
  return found;
}

std::shared_ptr<KafkaPoll> KafkaConsumer::poll(size_t most, size_t enough_bytes, int timeout_ms) {
  using std::chrono::milliseconds, std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + milliseconds(timeout_ms);
  auto poll = std::make_shared<KafkaPoll>(client_);
  poll->messages_.reserve(most);
  KafkaMessage* messages[messages_at_once];
  while (poll->messages_.size() < most && poll->bytes_ < enough_bytes) {
    const size_t wanted = std::min(most - poll->messages_.size(), messages_at_once);
    const ssize_t taken = client_->kafka.consume_batch_queue(client_->queue, timeout_ms, messages, wanted);
    for (ssize_t i = 0; i < taken; ++i) poll->add(messages[i], client_->kafka);
    if (taken < static_cast<ssize_t>(wanted)) break;
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    timeout_ms = static_cast<int>(std::max<milliseconds::rep>(0, left.count()));
  }
  return poll;
}

std::deque<KafkaEvent> KafkaConsumer::take_events() { return client_->take_events(); }

std::string KafkaConsumer::error_text(int code) const { return client_->kafka.err2str(code); }

void KafkaConsumer::close() {
  if (client_->handle && client_->queue) {
    client_->kafka.consumer_close(client_->handle);
    client_->kafka.queue_destroy(client_->queue);
    client_->queue = nullptr;
  }
}

}  // namespace recording
