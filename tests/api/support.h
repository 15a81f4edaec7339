#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/schema.h"
#include "api/service.h"
#include "fake_engine.h"

namespace tessera::api {

/// The value at a JSON pointer as compact JSON; "<none>" where there is none and "<no JSON>" when
/// the text does not parse.
std::string json_at(const std::string& json, const std::string& pointer);
/// Names of the members of the object at a JSON pointer, in the order of the text.
std::vector<std::string> keys_at(const std::string& json, const std::string& pointer);
bool is_json(const std::string& json);

struct Answer {
  int status = 0;
  std::string body;
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;

  [[nodiscard]] std::string at(const std::string& pointer) const { return json_at(body, pointer); }
  /// "/status/error" without its quotes' escapes.
  [[nodiscard]] std::string error() const;
  [[nodiscard]] std::string header(const std::string& name) const;
};

/// A service over a fake engine that has one collection, "c".
struct ServiceUnderTest {
  ServiceUnderTest();

  Answer call(Method method, const std::string& target, const std::string& body = "",
              const std::string& content_type = "application/json", CancelToken* cancel = nullptr);

  FakeDatabase database;
  metrics::Registry registry;
  Service service{database, registry};
  FakeCollection& collection;
};

template <class T>
struct Decoded {
  std::optional<T> value;
  Status status;
};

/// Parses and decodes `body` with one decoder.
template <class T>
Decoded<T> decode(const std::string& body, T (*decoder)(const Value&)) {
  Issues issues;
  const Document document(body, 0, issues);
  Decoded<T> decoded;
  if (document.ok()) decoded.value = decoder(document.root());
  decoded.status = issues.status();
  return decoded;
}

}  // namespace tessera::api
