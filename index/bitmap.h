#pragma once

// CRoaring of the distribution (0.2) puts its class into the global namespace.
#include <roaring/roaring.hh>

namespace tessera::index {

/// A compressed set of slots.
using Bitmap = ::Roaring;

}  // namespace tessera::index
