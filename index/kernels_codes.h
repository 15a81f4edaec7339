#pragma once

#include <cstdint>

#include "index/kernel_table.h"

namespace tessera::index {

/// The code kernels made for one of Highway's targets (a HWY_* bit), or the plain ones when none
/// are. Whether the CPU has the target is for the caller to know.
const CodeKernels& code_kernels_of(std::int64_t target);

/// Those that need VNNI and VPOPCNTDQ beside the AVX-512 of Highway's HWY_AVX3; null when the CPU
/// lacks them.
const CodeKernels* vnni_code_kernels();

/// Those written in plain C++, which every CPU can run.
const CodeKernels& plain_code_kernels();

}  // namespace tessera::index
