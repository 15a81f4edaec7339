#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fstream>
#include <sstream>
#include <system_error>

#include <toml++/toml.h>

#include "config/setting_table.h"
#include "config/settings.h"

namespace tessera::config {
namespace {

constexpr std::size_t kFileBytesMax = 1U << 20;

Status invalid(const std::string& where, const std::string& what) {
  return {Code::kInvalidArgument, where + ": " + what};
}

std::string unknown_setting(std::string_view path) {
  std::string text = "unknown setting \"" + std::string(path) + "\"";
  const std::string_view nearest = nearest_path(path);
  if (!nearest.empty()) text += "; did you mean " + std::string(nearest) + "?";
  return text;
}

Result<std::string> read_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  if (!file) {
    return invalid(
        name, "the configuration file cannot be opened: " + std::generic_category().message(errno));
  }
  std::string text(kFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad() || (file.fail() && !file.eof())) {
    return invalid(name, "the configuration file cannot be read");
  }
  if (text.size() > kFileBytesMax) {
    return invalid(name, "the configuration file is larger than 1 MiB");
  }
  return text;
}

std::string position(const std::string& name, const toml::source_region& source) {
  return name + ":" + std::to_string(source.begin.line);
}

/// One `key = value` of a section.
Status apply_value(const std::string& where, const std::string& path, const toml::node& node,
                   Settings& settings) {
  const Setting* setting = find_setting(path);
  if (setting == nullptr) return invalid(where, unknown_setting(path));
  RawValue value;
  if (const auto* flag = node.as_boolean()) {
    value = flag->get();
  } else if (const auto* number = node.as_integer()) {
    value = number->get();
  } else if (const auto* text = node.as_string()) {
    value = text->get();
  } else {
    std::ostringstream type;
    type << node.type();
    return invalid(
        where, path + " is of type " + type.str() + " but must be " + describe_limits(*setting));
  }
  return assign(settings, *setting, value, true).with_context(where);
}

/// The sections of the table, in its order: "server", "storage", ...
bool is_section(std::string_view name) {
  const std::string prefix = std::string(name) + ".";
  const auto table = setting_table();
  return std::any_of(table.begin(), table.end(),
                     [&](const Setting& setting) { return setting.path.starts_with(prefix); });
}

Status apply_table(const std::string& name, const toml::table& root, Settings& settings) {
  for (const auto& [section_key, section_node] : root) {
    const std::string section(section_key.str());
    const std::string where = position(name, section_key.source());
    const auto* entries = section_node.as_table();
    if (!is_section(section)) {
      return invalid(where, entries == nullptr ? unknown_setting(section)
                                               : "unknown section [" + section + "]");
    }
    if (entries == nullptr) return invalid(where, "[" + section + "] must be a section");
    for (const auto& [key, node] : *entries) {
      const std::string path = section + "." + std::string(key.str());
      TESSERA_RETURN_IF_ERROR(apply_value(position(name, key.source()), path, node, settings));
    }
  }
  return {};
}

Status apply_file(const std::string& name, Settings& settings) {
  TESSERA_ASSIGN_OR_RETURN(const std::string text, read_file(name));
  try {
    return apply_table(name, toml::parse(text, name), settings);
  } catch (const toml::parse_error& error) {
    return invalid(position(name, error.source()), std::string(error.description()));
  } catch (const std::exception& error) {
    return invalid(name, error.what());
  }
}

bool is_foreign(std::string_view variable) {
  return variable.starts_with("TESSERA_SERVICE_") || variable.starts_with("TESSERA_PORT") ||
         std::find(std::begin(kForeignVariables), std::end(kForeignVariables), variable) !=
             std::end(kForeignVariables);
}

Status apply_environment(const std::map<std::string, std::string>& environment,
                         Settings& settings) {
  const auto table = setting_table();
  for (const auto& variable : environment) {
    const std::string& name = variable.first;
    if (!name.starts_with("TESSERA_")) continue;
    const std::string where = "environment variable " + name;
    const auto setting = std::find_if(table.begin(), table.end(), [&](const Setting& candidate) {
      return environment_name(candidate.path) == name;
    });
    if (setting == table.end()) {
      if (is_foreign(name)) continue;
      return invalid(where, "no setting has this name");
    }
    TESSERA_RETURN_IF_ERROR(assign(settings, *setting, variable.second, false).with_context(where));
  }
  return {};
}

Status apply_flags(const std::map<std::string, std::string>& flags, Settings& settings) {
  for (const auto& [path, value] : flags) {
    const Setting* setting = find_setting(path);
    if (setting == nullptr) return invalid("command line", unknown_setting(path));
    TESSERA_RETURN_IF_ERROR(assign(settings, *setting, value, false).with_context("command line"));
  }
  return {};
}

/// What no setting can say alone.
Status check_together(const Settings& settings) {
  if (settings.server.body_bytes_total_max < settings.server.body_bytes_max) {
    return {Code::kInvalidArgument,
            "server.body_bytes_total_max is smaller than server.body_bytes_max"};
  }
  return {};
}

}  // namespace

Result<Settings> load(const Sources& sources) {
  Settings settings;
  if (sources.file) TESSERA_RETURN_IF_ERROR(apply_file(*sources.file, settings));
  TESSERA_RETURN_IF_ERROR(apply_environment(sources.environment, settings));
  TESSERA_RETURN_IF_ERROR(apply_flags(sources.flags, settings));
  TESSERA_RETURN_IF_ERROR(check_together(settings));
  return settings;
}

std::vector<SettingInfo> describe(const Settings& settings) {
  std::vector<SettingInfo> infos;
  for (const Setting& setting : setting_table()) {
    infos.push_back(
        {std::string(setting.path), environment_name(setting.path), to_toml(settings, setting)});
  }
  return infos;
}

}  // namespace tessera::config
