#pragma once

#include <cstddef>
#include <string>

namespace tessera::bench {

/// Reads a command line word by word. What is wrong ends the program with status 2 and a line that
/// names the argument.
class ArgumentReader {
 public:
  ArgumentReader(std::string program, int argc, char** argv);

  /// Goes on to the next argument; false at the end.
  bool next();
  [[nodiscard]] const std::string& name() const { return name_; }
  /// The word after the argument.
  std::string value();
  /// The same as a number from 1 to 100,000,000.
  std::size_t number();
  [[noreturn]] void refuse(const std::string& message) const;

  /// The whole command line in one.
  [[nodiscard]] std::string command() const;

 private:
  const std::string program_;
  const int count_;
  char** const words_;
  int at_ = 0;
  std::string name_;
};

}  // namespace tessera::bench
