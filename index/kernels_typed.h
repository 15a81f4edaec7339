#pragma once

#include <cstdint>

#include "index/kernel_table.h"

namespace tessera::index {

/// The kernels over rows of other types and over prefixes made for one of Highway's targets (a
/// HWY_* bit); those of the target that the compiler may use anyway when none are made for it.
/// Whether the CPU has the target is for the caller to know.
const TypedKernels& typed_kernels_of(std::int64_t target);

}  // namespace tessera::index
