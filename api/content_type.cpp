#include <algorithm>
#include <cctype>

#include "api/handlers.h"

namespace tessera::api {

Status check_content_type(std::string_view content_type) {
  std::string media(content_type.substr(0, content_type.find(';')));
  while (!media.empty() && std::isspace(static_cast<unsigned char>(media.back())) != 0) {
    media.pop_back();
  }
  std::transform(media.begin(), media.end(), media.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  // The suffix form names JSON inside an application of its own (RFC 6839).
  const bool is_json = media.empty() || media == "application/json" ||
                       (media.starts_with("application/") && media.ends_with("+json"));
  if (is_json) return {};
  constexpr std::size_t kShownBytesMax = 60;
  return {Code::kFormat,
          "Format error in JSON body: the content type must be application/json, not \"" +
              media.substr(0, kShownBytesMax) + "\""};
}

}  // namespace tessera::api
