#include "config/setting_table.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace tessera::config {
namespace {

constexpr std::uint64_t kKiB = 1ULL << 10;
constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::uint64_t kGiB = 1ULL << 30;
constexpr std::uint64_t kTiB = 1ULL << 40;
constexpr std::uint64_t kHourMs = 3'600'000;
constexpr std::uint64_t kYearS = 365 * 24 * 3600;

template <class Kind, auto Section, auto Member>
Kind number(std::uint64_t min, std::uint64_t max) {
  return {min, max, [](const Settings& settings) { return settings.*Section.*Member; },
          [](Settings& settings, std::uint64_t value) {
            auto& member = settings.*Section.*Member;
            member = static_cast<std::remove_reference_t<decltype(member)>>(value);
          }};
}

template <auto Section, auto Member>
IntegerKind integer(std::uint64_t min, std::uint64_t max) {
  return number<IntegerKind, Section, Member>(min, max);
}

template <auto Section, auto Member>
BytesKind bytes(std::uint64_t min, std::uint64_t max) {
  return number<BytesKind, Section, Member>(min, max);
}

template <auto Section, auto Member>
FlagKind flag() {
  return {[](const Settings& settings) { return settings.*Section.*Member; },
          [](Settings& settings, bool value) { settings.*Section.*Member = value; }};
}

template <auto Section, auto Member>
TextKind text() {
  return {[](const Settings& settings) { return settings.*Section.*Member; },
          [](Settings& settings, const std::string& value) { settings.*Section.*Member = value; }};
}

template <auto Section, auto Member>
ChoiceKind choice(std::vector<std::string_view> names) {
  return {
      std::move(names),
      [](const Settings& settings) { return static_cast<std::size_t>(settings.*Section.*Member); },
      [](Settings& settings, std::size_t value) {
        auto& member = settings.*Section.*Member;
        member = static_cast<std::remove_reference_t<decltype(member)>>(value);
      }};
}

std::vector<Setting> make_table() {
  constexpr auto server = &Settings::server;
  constexpr auto storage = &Settings::storage;
  constexpr auto index = &Settings::index;
  constexpr auto adapters = &Settings::adapters;
  constexpr auto users = &Settings::users;
  constexpr auto sessions = &Settings::sessions;
  constexpr auto log = &Settings::log;
  using Server = ServerSettings;
  using Storage = StorageSettings;
  using Index = IndexSettings;
  using Adapters = AdapterSettings;
  using Users = UserSettings;
  using Sessions = SessionSettings;
  return {
      {"server.host", text<server, &Server::host>()},
      {"server.port", integer<server, &Server::port>(0, 65'535)},
      {"server.allow_remote", flag<server, &Server::allow_remote>()},
      {"server.io_thread_count", integer<server, &Server::io_thread_count>(0, 256)},
      {"server.worker_count", integer<server, &Server::worker_count>(0, 1'024)},
      {"server.connection_count_max", integer<server, &Server::connection_count_max>(1, 1'000'000)},
      {"server.queue_length_max", integer<server, &Server::queue_length_max>(1, 1'000'000)},
      {"server.body_bytes_max", bytes<server, &Server::body_bytes_max>(kKiB, kGiB)},
      {"server.body_bytes_total_max", bytes<server, &Server::body_bytes_total_max>(kMiB, kTiB)},
      {"server.header_bytes_max", bytes<server, &Server::header_bytes_max>(kKiB, kMiB)},
      {"server.header_timeout_ms", integer<server, &Server::header_timeout_ms>(10, kHourMs)},
      {"server.body_timeout_ms", integer<server, &Server::body_timeout_ms>(10, kHourMs)},
      {"server.write_timeout_ms", integer<server, &Server::write_timeout_ms>(10, kHourMs)},
      {"server.idle_timeout_ms", integer<server, &Server::idle_timeout_ms>(10, kHourMs)},
      {"server.request_timeout_ms", integer<server, &Server::request_timeout_ms>(10, kHourMs)},
      {"server.shutdown_timeout_ms", integer<server, &Server::shutdown_timeout_ms>(0, kHourMs)},
      {"storage.path", text<storage, &Storage::path>()},
      {"storage.durability", choice<storage, &Storage::durability>({"sync", "async"})},
      {"storage.flush_interval_ms", integer<storage, &Storage::flush_interval_ms>(1, 60'000)},
      {"storage.block_cache_bytes", bytes<storage, &Storage::block_cache_bytes>(kMiB, kTiB)},
      {"storage.write_buffer_bytes", bytes<storage, &Storage::write_buffer_bytes>(kMiB, 16 * kGiB)},
      {"storage.free_bytes_min", bytes<storage, &Storage::free_bytes_min>(0, kTiB)},
      {"index.build_thread_count", integer<index, &Index::build_thread_count>(0, 1'024)},
      {"index.growing_bytes_max", bytes<index, &Index::growing_bytes_max>(kMiB, kTiB)},
      {"index.build_idle_ms", integer<index, &Index::build_idle_ms>(0, kHourMs)},
      {"index.build_wait_ms_max", integer<index, &Index::build_wait_ms_max>(0, kHourMs)},
      {"index.build_memory_bytes_max", bytes<index, &Index::build_memory_bytes_max>(0, kTiB)},
      {"index.build_cpu_percent", integer<index, &Index::build_cpu_percent>(1, 100)},
      {"adapters.count_max", integer<adapters, &Adapters::count_max>(0, 10'000)},
      {"adapters.bytes_max", bytes<adapters, &Adapters::bytes_max>(kKiB, kGiB)},
      {"users.mixture_bytes_max", bytes<users, &Users::mixture_bytes_max>(0, kTiB)},
      {"sessions.ttl_s", integer<sessions, &Sessions::ttl_s>(1, kYearS)},
      {"sessions.ttl_s_max", integer<sessions, &Sessions::ttl_s_max>(1, kYearS)},
      {"sessions.count_max", integer<sessions, &Sessions::count_max>(0, 10'000'000)},
      {"sessions.round_count_max", integer<sessions, &Sessions::round_count_max>(1, 100'000)},
      {"sessions.returned_count_max",
       integer<sessions, &Sessions::returned_count_max>(1, 1'000'000)},
      {"sessions.bytes_max", bytes<sessions, &Sessions::bytes_max>(kKiB, 64 * kMiB)},
      {"log.level", choice<log, &LogSettings::level>({"debug", "info", "warn", "error", "off"})},
      {"log.format", choice<log, &LogSettings::format>({"text", "json"})},
  };
}

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

std::string quoted(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      ((out += "\\u00") += kHex[static_cast<unsigned char>(c) >> 4]) += kHex[c & 0xF];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string show(const RawValue& value) {
  return std::visit(Overloaded{[](bool flag) { return std::string(flag ? "true" : "false"); },
                               [](std::int64_t number) { return std::to_string(number); },
                               [](const std::string& text) { return quoted(text); }},
                    value);
}

std::optional<std::uint64_t> parse_digits(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr Unit kUnits[] = {{"TiB", kTiB}, {"GiB", kGiB}, {"MiB", kMiB}, {"KiB", kKiB}, {"B", 1}};

/// "32MiB", "32 MiB", "1024".
std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  std::uint64_t scale = 1;
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    scale = unit.bytes;
    text.remove_suffix(unit.name.size());
    while (text.ends_with(' ')) text.remove_suffix(1);
    break;
  }
  const std::optional<std::uint64_t> count = parse_digits(text);
  if (!count || *count > UINT64_MAX / scale) return std::nullopt;
  return *count * scale;
}

std::string format_bytes(std::uint64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (unit.bytes == 1 || bytes == 0) break;
    if (bytes % unit.bytes == 0) return std::to_string(bytes / unit.bytes) + std::string(unit.name);
  }
  return std::to_string(bytes);
}

std::optional<std::uint64_t> as_number(const RawValue& value, bool is_typed) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    if (*number < 0) return std::nullopt;
    return static_cast<std::uint64_t>(*number);
  }
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr && !is_typed ? parse_digits(*text) : std::nullopt;
}

std::optional<std::uint64_t> as_bytes_count(const RawValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr ? parse_bytes(*text) : as_number(value, true);
}

std::optional<bool> as_flag(const RawValue& value, bool is_typed) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr || is_typed) return std::nullopt;
  if (*text == "true") return true;
  if (*text == "false") return false;
  return std::nullopt;
}

/// False if the value does not suit the kind.
bool try_assign(Settings& settings, const Setting& setting, const RawValue& value, bool is_typed) {
  const auto set_number = [&](const auto& kind, std::optional<std::uint64_t> number) {
    if (!number || *number < kind.min || *number > kind.max) return false;
    kind.set(settings, *number);
    return true;
  };
  return std::visit(
      Overloaded{
          [&](const IntegerKind& kind) { return set_number(kind, as_number(value, is_typed)); },
          [&](const BytesKind& kind) { return set_number(kind, as_bytes_count(value)); },
          [&](const FlagKind& kind) {
            const std::optional<bool> flag = as_flag(value, is_typed);
            if (flag) kind.set(settings, *flag);
            return flag.has_value();
          },
          [&](const TextKind& kind) {
            const auto* text = std::get_if<std::string>(&value);
            if (text == nullptr || text->empty() ||
                std::any_of(text->begin(), text->end(),
                            [](unsigned char c) { return c < 0x20 || c == 0x7F; })) {
              return false;
            }
            kind.set(settings, *text);
            return true;
          },
          [&](const ChoiceKind& kind) {
            const auto* text = std::get_if<std::string>(&value);
            if (text == nullptr) return false;
            const auto found = std::find(kind.names.begin(), kind.names.end(), *text);
            if (found == kind.names.end()) return false;
            kind.set(settings, static_cast<std::size_t>(found - kind.names.begin()));
            return true;
          }},
      setting.kind);
}

/// Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::span<const Setting> setting_table() {
  static const std::vector<Setting> table = make_table();
  return table;
}

const Setting* find_setting(std::string_view path) {
  const std::span<const Setting> table = setting_table();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Setting& setting) { return setting.path == path; });
  return found == table.end() ? nullptr : &*found;
}

std::string environment_name(std::string_view path) {
  std::string name = "TESSERA_";
  for (const char c : path) {
    name += c == '.' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  }
  return name;
}

std::string_view nearest_path(std::string_view path) {
  constexpr std::size_t kPathBytesMax = 100;
  constexpr std::size_t kDistanceMax = 4;
  if (path.size() > kPathBytesMax) return {};
  std::string_view nearest;
  std::size_t nearest_distance = kDistanceMax + 1;
  for (const Setting& setting : setting_table()) {
    const std::size_t distance = edit_distance(path, setting.path);
    if (distance >= nearest_distance) continue;
    nearest = setting.path;
    nearest_distance = distance;
  }
  return nearest;
}

std::string describe_limits(const Setting& setting) {
  return std::visit(
      Overloaded{[](const IntegerKind& kind) {
                   return "an integer from " + std::to_string(kind.min) + " to " +
                          std::to_string(kind.max);
                 },
                 [](const BytesKind& kind) {
                   return "a size from " + format_bytes(kind.min) + " to " +
                          format_bytes(kind.max) + ", in bytes or with a unit (KiB, MiB, GiB, TiB)";
                 },
                 [](const FlagKind&) { return std::string("true or false"); },
                 [](const TextKind&) {
                   return std::string("text that is not empty and has no control characters");
                 },
                 [](const ChoiceKind& kind) {
                   std::string names;
                   for (const std::string_view name : kind.names) {
                     names += (names.empty() ? "one of " : ", ") + quoted(name);
                   }
                   return names;
                 }},
      setting.kind);
}

Status assign(Settings& settings, const Setting& setting, const RawValue& value, bool is_typed) {
  if (try_assign(settings, setting, value, is_typed)) return {};
  return {Code::kInvalidArgument, std::string(setting.path) + " is " + show(value) +
                                      " but must be " + describe_limits(setting)};
}

std::string to_toml(const Settings& settings, const Setting& setting) {
  return std::visit(
      Overloaded{
          [&](const IntegerKind& kind) { return std::to_string(kind.get(settings)); },
          [&](const BytesKind& kind) {
            const std::string text = format_bytes(kind.get(settings));
            return text.ends_with('B') ? quoted(text) : text;
          },
          [&](const FlagKind& kind) { return std::string(kind.get(settings) ? "true" : "false"); },
          [&](const TextKind& kind) { return quoted(kind.get(settings)); },
          [&](const ChoiceKind& kind) { return quoted(kind.names.at(kind.get(settings))); }},
      setting.kind);
}

}  // namespace tessera::config
