#pragma once

namespace tessera::cli {

/// The `tessera` command: parses the arguments, runs the command, prints what went wrong to
/// standard error. Returns the exit code: 0, 1 for a failure, 2 for bad usage.
int run(int argc, char** argv);

}  // namespace tessera::cli
