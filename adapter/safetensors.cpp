#include "adapter/safetensors.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <set>

#include <nlohmann/json.hpp>

namespace tessera::adapter {
namespace {

using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kNameBytesShown = 100;
constexpr std::size_t kAxesMax = 8;

Status invalid(const std::string& text) {
  return {Code::kInvalidArgument, "adapter: " + text};
}
Status invalid_tensor(const std::string& name, const std::string& text) {
  return invalid("tensor '" + shown_name(name) + "': " + text);
}

Result<std::string_view> header_of(std::string_view file) {
  if (file.size() < kLengthBytes) {
    return invalid("the file has " + std::to_string(file.size()) +
                   " bytes, too few for the length of its header");
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<std::uint64_t>(static_cast<unsigned char>(file[i])) << (8 * i);
  }
  if (length > kHeaderBytesMax) {
    return invalid("the header says that it has " + std::to_string(length) + " bytes; at most " +
                   std::to_string(kHeaderBytesMax) + " are read");
  }
  if (length > file.size() - kLengthBytes) {
    return invalid("the file ends within its header, which should have " + std::to_string(length) +
                   " bytes");
  }
  return file.substr(kLengthBytes, length);
}

/// The header as JSON, in which no name is given twice.
Result<json> parse_header(std::string_view header) {
  std::set<std::string> names;
  std::string repeated;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event != json::parse_event_t::key || depth != 1) return true;
    const auto& name = parsed.get_ref<const std::string&>();
    if (!names.insert(name).second && repeated.empty()) repeated = name;
    return true;
  };
  json parsed = json::parse(header.begin(), header.end(), watch, false);
  if (parsed.is_discarded()) return invalid("the header is not valid JSON");
  if (!parsed.is_object()) return invalid("the header is not a JSON object");
  if (!repeated.empty()) return invalid_tensor(repeated, "is named twice");
  return parsed;
}

Status read_metadata(const json& given, std::map<std::string, std::string>& metadata) {
  if (!given.is_object()) return invalid("__metadata__ is not an object");
  for (const auto& [key, value] : given.items()) {
    if (!value.is_string()) {
      return invalid("__metadata__: the value of '" + shown_name(key) + "' is not a string");
    }
    metadata[key] = value.get<std::string>();
  }
  return {};
}

Result<std::vector<std::size_t>> read_shape(const std::string& name, const json& entry) {
  const auto found = entry.find("shape");
  if (found == entry.end() || !found->is_array()) return invalid_tensor(name, "has no shape");
  if (found->size() > kAxesMax) return invalid_tensor(name, "has too many axes");
  std::vector<std::size_t> shape;
  for (const json& size : *found) {
    if (!size.is_number_unsigned()) {
      return invalid_tensor(name, "its shape is not a list of sizes");
    }
    shape.push_back(size.get<std::size_t>());
  }
  return shape;
}

/// Bytes of a tensor of this shape, or nothing when that is more than `most`.
std::optional<std::size_t> bytes_of(const std::vector<std::size_t>& shape, std::size_t most) {
  std::size_t bytes = sizeof(float);
  for (const std::size_t size : shape) {
    if (size != 0 && bytes > most / size) return std::nullopt;
    bytes *= size;
  }
  return bytes;
}

struct Place {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string name;
};

Result<Place> read_tensor(const std::string& name, const json& entry, std::string_view data,
                          Tensor& tensor) {
  if (!entry.is_object()) return invalid_tensor(name, "is not described by an object");
  const auto type = entry.find("dtype");
  if (type == entry.end() || !type->is_string()) return invalid_tensor(name, "has no dtype");
  if (type->get_ref<const std::string&>() != "F32") {
    return invalid_tensor(name, "its dtype is not F32");
  }
  TESSERA_ASSIGN_OR_RETURN(tensor.shape, read_shape(name, entry));
  const auto offsets = entry.find("data_offsets");
  if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2 ||
      !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
    return invalid_tensor(name, "its data_offsets are not two numbers");
  }
  const auto begin = (*offsets)[0].get<std::uint64_t>();
  const auto end = (*offsets)[1].get<std::uint64_t>();
  if (begin > end) return invalid_tensor(name, "its data_offsets are the wrong way round");
  if (end > data.size()) {
    return invalid_tensor(
        name, "reaches to byte " + std::to_string(end) + " of " + std::to_string(data.size()));
  }
  const auto bytes = bytes_of(tensor.shape, data.size());
  if (!bytes || *bytes != end - begin) {
    return invalid_tensor(name, "the shape " + shown_shape(tensor.shape) + " does not take " +
                                    std::to_string(end - begin) + " bytes");
  }
  tensor.bytes = data.substr(begin, end - begin);
  return Place{begin, end, name};
}

Status check_places(std::vector<Place> places, std::size_t data_bytes) {
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::size_t covered = 0;
  for (const Place& place : places) {
    if (place.begin < covered) return invalid_tensor(place.name, "overlaps another");
    if (place.begin > covered) {
      return invalid_tensor(place.name, "there are bytes before it that belong to no tensor");
    }
    covered = place.end;
  }
  if (covered != data_bytes) {
    return invalid(std::to_string(data_bytes - covered) +
                   " bytes at the end of the file belong to no tensor");
  }
  return {};
}

Result<TensorFile> read(std::string_view file) {
  TESSERA_ASSIGN_OR_RETURN(const std::string_view header, header_of(file));
  const std::string_view data = file.substr(kLengthBytes + header.size());
  TESSERA_ASSIGN_OR_RETURN(const json parsed, parse_header(header));
  TensorFile read;
  std::vector<Place> places;
  for (const auto& [name, entry] : parsed.items()) {
    if (name == "__metadata__") {
      TESSERA_RETURN_IF_ERROR(read_metadata(entry, read.metadata));
      continue;
    }
    TESSERA_ASSIGN_OR_RETURN(Place place, read_tensor(name, entry, data, read.tensors[name]));
    places.push_back(std::move(place));
  }
  TESSERA_RETURN_IF_ERROR(check_places(std::move(places), data.size()));
  return read;
}

}  // namespace

Result<TensorFile> read_safetensors(std::string_view file) {
  try {
    return read(file);
  } catch (const std::bad_alloc&) {
    return Status(Code::kResourceExhausted, "adapter: not enough memory for its header");
  } catch (const std::exception&) {
    return invalid("the header cannot be read");
  }
}

std::string shown_name(std::string_view name) {
  if (name.size() <= kNameBytesShown) return std::string(name);
  std::size_t end = kNameBytesShown;
  // Not within a character of several bytes.
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) --end;
  return std::string(name.substr(0, end)) + "...";
}

std::string shown_shape(const std::vector<std::size_t>& shape) {
  std::string text = "[";
  for (const std::size_t size : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

}  // namespace tessera::adapter
