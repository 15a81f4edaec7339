#include <algorithm>
#include <memory>

#include "engine/payload.h"
#include "engine/payload_document.h"

namespace tessera::engine {
namespace {

/// Parsers keep their buffers, several times the size of the largest text they saw: beyond this
/// size a text gets a parser of its own, so that a thread does not keep them for good.
constexpr std::size_t kSharedParserBytesMax = std::size_t{1} << 20;

std::optional<index::PayloadValue> value_of_type(simdjson::dom::element value,
                                                 index::PayloadIndexType type) {
  using simdjson::SUCCESS;
  switch (type) {
    case index::PayloadIndexType::kKeyword: {
      std::string_view text;
      if (value.get(text) != SUCCESS) return std::nullopt;
      return std::string(text);
    }
    case index::PayloadIndexType::kInteger: {
      if (!value.is<std::int64_t>()) return std::nullopt;
      return value.get_int64().value_unsafe();
    }
    case index::PayloadIndexType::kFloat: {
      double number = 0;
      if (!value.is_number() || value.get(number) != SUCCESS) return std::nullopt;
      return number;
    }
    case index::PayloadIndexType::kBool: {
      bool flag = false;
      if (value.get(flag) != SUCCESS) return std::nullopt;
      return flag;
    }
    case index::PayloadIndexType::kDatetime: {
      std::string_view text;
      if (value.get(text) != SUCCESS) return std::nullopt;
      const auto time_us = parse_datetime(text);
      if (!time_us) return std::nullopt;
      return *time_us;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<PayloadDocument> PayloadDocument::parse(std::string_view payload) {
  thread_local simdjson::dom::parser shared_parser;
  PayloadDocument document;
  simdjson::dom::parser* parser = &shared_parser;
  if (payload.size() > kSharedParserBytesMax) {
    document.own_parser_ = std::make_unique<simdjson::dom::parser>();
    parser = document.own_parser_.get();
  }
  const std::string_view text = payload.empty() ? std::string_view("{}") : payload;
  const simdjson::error_code error =
      parser->parse(text.data(), text.size()).get_object().get(document.root_);
  if (error == simdjson::MEMALLOC) {
    return Status(Code::kResourceExhausted, "payload: out of memory");
  }
  if (error != simdjson::SUCCESS) {
    return Status(Code::kCorrupt, std::string("payload: ") + simdjson::error_message(error));
  }
  return document;
}

Result<std::vector<index::PayloadValue>> extract_values(std::string_view payload,
                                                        const PayloadPath& path,
                                                        index::PayloadIndexType type) {
  TESSERA_ASSIGN_OR_RETURN(const PayloadDocument document, PayloadDocument::parse(payload));
  std::vector<index::PayloadValue> values;
  any_scalar(document.root(), path, [&](simdjson::dom::element element) {
    if (auto value = value_of_type(element, type)) values.push_back(std::move(*value));
    return false;
  });
  return values;
}

Result<std::vector<std::string>> extract_scalars(std::string_view payload,
                                                 const PayloadPath& path) {
  TESSERA_ASSIGN_OR_RETURN(const PayloadDocument document, PayloadDocument::parse(payload));
  std::vector<std::string> values;
  any_scalar(document.root(), path, [&](simdjson::dom::element element) {
    const bool is_scalar =
        element.is_string() || element.is_bool() || element.is_int64() || element.is_uint64();
    if (!is_scalar) return false;
    std::string value = simdjson::minify(element);
    if (std::find(values.begin(), values.end(), value) == values.end()) {
      values.push_back(std::move(value));
    }
    return false;
  });
  return values;
}

}  // namespace tessera::engine
