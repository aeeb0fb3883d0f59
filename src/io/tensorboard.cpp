// The records, from tensorflow/core/lib/io/record_writer.h and tensorboard/compat/proto/{event,summary,tensor}.proto.
//
//   TFRecord:  length u64 | masked crc32c of length u32 | data | masked crc32c of data u32    (little-endian)
//   Event:     1 wall_time double, 2 step int64, 3 file_version string, 5 summary, 7 session_log
//   Summary:   1 value (repeated);   Value: 1 tag, 2 simple_value float, 4 image, 6 audio, 8 tensor, 9 metadata
//   Image:     1 height, 2 width, 3 colorspace (1 grey, 3 RGB), 4 encoded_image_string
//   Audio:     1 sample_rate float, 2 num_channels, 3 length_frames, 4 encoded_audio_string, 5 content_type
//   SummaryMetadata: 1 plugin_data;  PluginData: 1 plugin_name, 2 content
//   TensorProto: 1 dtype (1 float, 7 string), 2 tensor_shape, 8 string_val (repeated)
//   TensorShapeProto: 2 dim (repeated);  Dim: 1 size
//   SessionLog: 1 status (1 START)
// and the table of runs' from tensorboard/plugins/hparams/plugin_data.proto and google/protobuf/struct.proto:
//   HParamsPluginData: 3 session_start_info;  SessionStartInfo: 1 hparams (map: 1 key, 2 value), 5 start_time_secs
//   Value: 2 number_value double, 3 string_value
#include "io/tensorboard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "io/crc32c.h"
#include "io/png.h"
#include "io/system.h"
#include "io/utf8.h"
#include "io/wav.h"

namespace longstride {
namespace {

constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;  // of Event

// Protocol buffer fields appended to a text. A key is field << 3 | wire type: 0 varint, 1 eight bytes, 2 length and
// bytes, 5 four bytes.
void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 128; value >>= 7) out.push_back(static_cast<char>(value | 128));
  out.push_back(static_cast<char>(value));
}

void put_fixed(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

void put_number(std::string& out, int field, std::int64_t value) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3);
  put_varint(out, static_cast<std::uint64_t>(value));
}

void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | 2);
  put_varint(out, bytes.size());
  out.append(bytes);
}

void put_double(std::string& out, int field, double value) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | 1);
  put_fixed(out, std::bit_cast<std::uint64_t>(value), 8);
}

void put_float(std::string& out, int field, float value) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | 5);
  put_fixed(out, std::bit_cast<std::uint32_t>(value), 4);
}

std::string message(int field, std::string_view payload) {
  std::string out;
  put_bytes(out, field, payload);
  return out;
}

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "host";
  for (char* c = name; *c != '\0'; ++c) {
    if (*c == '/') *c = '_';
  }
  return name;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

EventWriter::EventWriter(const std::string& directory, std::int64_t first_step) {
  static std::atomic<int> counter = 0;
  if (::mkdir(directory.c_str(), 0777) != 0 && errno != EEXIST) fail_system("make the directory", directory);
  // Ten digits: TensorBoard reads the files of a run in the order of their names.
  path_ = fmt::format("{}/events.out.tfevents.{:010}.{}.{}.{}", directory, static_cast<std::int64_t>(seconds_now()),
                      host_name(), ::getpid(), counter++);
  descriptor_ = open_path(path_, O_WRONLY | O_CREAT | O_APPEND);
  if (descriptor_ < 0) fail_system("write", path_);
  event(0, kFileVersion, "brain.Event:2");
  if (first_step > 0) {
    std::string start;
    put_number(start, 1, 1);
    event(first_step, kSessionLog, start);
  }
}

EventWriter::~EventWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

EventWriter::EventWriter(EventWriter&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

EventWriter& EventWriter::operator=(EventWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void EventWriter::event(std::int64_t step, int field, std::string_view payload) {
  std::string data;
  put_double(data, kWallTime, seconds_now());
  put_number(data, kStep, step);
  put_bytes(data, field, payload);
  std::string record;
  put_fixed(record, data.size(), 8);
  put_fixed(record, masked_crc32c(as_bytes(record)), 4);
  record += data;
  put_fixed(record, masked_crc32c(as_bytes(data)), 4);
  write_all(descriptor_, as_bytes(record), path_);
}

void EventWriter::scalar(std::string_view tag, std::int64_t step, double value) {
  std::string entry = message(1, valid_utf8(tag));
  put_float(entry, 2, static_cast<float>(value));
  event(step, kSummary, message(1, entry));
}

void EventWriter::text(std::string_view tag, std::int64_t step, std::string_view words) {
  std::string dim, tensor;
  put_number(dim, 1, 1);
  put_number(tensor, 1, 7);
  put_bytes(tensor, 2, message(2, dim));
  put_bytes(tensor, 8, valid_utf8(words));
  std::string entry = message(1, valid_utf8(tag));
  put_bytes(entry, 8, tensor);
  put_bytes(entry, 9, message(1, message(1, "text")));
  event(step, kSummary, message(1, entry));
}

void EventWriter::image(std::string_view tag, std::int64_t step, const Image& picture) {
  const std::vector<std::uint8_t> png = encode_png(picture);
  std::string body;
  put_number(body, 1, picture.height);
  put_number(body, 2, picture.width);
  put_number(body, 3, picture.channels);
  put_bytes(body, 4, {reinterpret_cast<const char*>(png.data()), png.size()});
  std::string entry = message(1, valid_utf8(tag));
  put_bytes(entry, 4, body);
  event(step, kSummary, message(1, entry));
}

void EventWriter::audio(std::string_view tag, std::int64_t step, const Sound& sound) {
  const std::vector<std::uint8_t> wav = encode_wav(sound);
  std::string body;
  put_float(body, 1, static_cast<float>(sound.rate));
  put_number(body, 2, 1);
  put_number(body, 3, static_cast<std::int64_t>(sound.samples.size()));
  put_bytes(body, 4, {reinterpret_cast<const char*>(wav.data()), wav.size()});
  put_bytes(body, 5, "audio/wav");
  std::string entry = message(1, valid_utf8(tag));
  put_bytes(entry, 6, body);
  event(step, kSummary, message(1, entry));
}

void EventWriter::hyperparameters(const Hyperparameters& values) {
  std::string start;
  for (const auto& [name, value] : values) {
    std::string held;
    if (const double* number = std::get_if<double>(&value)) put_double(held, 2, *number);
    if (const std::string* words = std::get_if<std::string>(&value)) put_bytes(held, 3, valid_utf8(*words));
    put_bytes(start, 1, message(1, valid_utf8(name)) + message(2, held));
  }
  put_double(start, 5, seconds_now());
  std::string nothing;  // a tensor without elements: the metadata say it all
  put_number(nothing, 1, 1);
  put_bytes(nothing, 2, message(2, ""));
  std::string entry = message(1, "_hparams_/session_start_info");
  put_bytes(entry, 8, nothing);
  put_bytes(entry, 9, message(1, message(1, "hparams") + message(2, message(3, start))));
  event(0, kSummary, message(1, entry));
}

}  // namespace longstride
