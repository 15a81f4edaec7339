#include "api/schema.h"

namespace tessera::api {

namespace {

constexpr std::size_t kReportedValidationsMax = 50;

std::string with_path(const std::string& path, const std::string& text) {
  return path.empty() ? text : path + ": " + text;
}

}  // namespace

void Issues::format(const std::string& path, const std::string& text) {
  if (format_.empty()) format_ = with_path(path, text);
}

void Issues::unimplemented(const std::string& path, const std::string& what) {
  if (unimplemented_.empty()) {
    unimplemented_ = with_path(path, what + " is not supported by this version");
  }
}

void Issues::validation(const std::string& path, const std::string& text) {
  ++validation_count_;
  if (validation_count_ > kReportedValidationsMax) return;
  if (!validation_.empty()) validation_ += "; ";
  validation_ += with_path(path, text);
}

void Issues::refuse(Code code, const std::string& text) {
  if (refusal_.ok()) refusal_ = Status(code, text);
}

Status Issues::status() const {
  if (!format_.empty()) return {Code::kFormat, "Format error in JSON body: " + format_};
  if (!unimplemented_.empty()) return {Code::kUnimplemented, unimplemented_};
  if (validation_count_ > 0) {
    std::string text = "Validation error in JSON body: [" + validation_;
    if (validation_count_ > kReportedValidationsMax) {
      text += "; and " + std::to_string(validation_count_ - kReportedValidationsMax) + " more";
    }
    return {Code::kValidation, text + "]"};
  }
  return refusal_;
}

}  // namespace tessera::api
