#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/settings.h"

namespace tessera::config {

/// A value as a source gives it, before it is known to suit its setting.
using RawValue = std::variant<bool, std::int64_t, std::string>;

/// What a setting may hold, and where Settings keeps it.
struct IntegerKind {
  std::uint64_t min;
  std::uint64_t max;
  std::function<std::uint64_t(const Settings&)> get;
  std::function<void(Settings&, std::uint64_t)> set;
};
/// A size: an integer of bytes, or text with a unit ("32MiB").
struct BytesKind {
  std::uint64_t min;
  std::uint64_t max;
  std::function<std::uint64_t(const Settings&)> get;
  std::function<void(Settings&, std::uint64_t)> set;
};
struct FlagKind {
  std::function<bool(const Settings&)> get;
  std::function<void(Settings&, bool)> set;
};
/// Text that is not empty and has no control characters.
struct TextKind {
  std::function<std::string(const Settings&)> get;
  std::function<void(Settings&, std::string)> set;
};
/// One of `names`, kept as an enum whose values count from 0 in the same order.
struct ChoiceKind {
  std::vector<std::string_view> names;
  std::function<std::size_t(const Settings&)> get;
  std::function<void(Settings&, std::size_t)> set;
};

struct Setting {
  std::string_view path;  ///< "server.port"
  std::variant<IntegerKind, BytesKind, FlagKind, TextKind, ChoiceKind> kind;
};

/// All settings, in file order: the one place that knows their types and limits.
std::span<const Setting> setting_table();

/// The setting of that path, or nullptr.
const Setting* find_setting(std::string_view path);

/// "TESSERA_SERVER_PORT" for "server.port".
std::string environment_name(std::string_view path);

/// The known path that `path` probably means, or empty when none is near.
std::string_view nearest_path(std::string_view path);

/// "an integer from 0 to 65535", for messages.
std::string describe_limits(const Setting& setting);

/// Puts `value` into `settings`. From a variable or a flag everything comes as text, so
/// `is_typed = false` lets text stand for integers and booleans. kInvalidArgument names the
/// setting, the value and the limits.
Status assign(Settings& settings, const Setting& setting, const RawValue& value, bool is_typed);

/// The setting's value as TOML text.
std::string to_toml(const Settings& settings, const Setting& setting);

}  // namespace tessera::config
