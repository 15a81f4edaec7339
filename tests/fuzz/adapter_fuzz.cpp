// A safetensors file -> the tensors, the weights, and some rounds of whoever has such an adapter.
// A file that is accepted gives vectors that are finite, or an error that says that they are not.

#include <cmath>
#include <random>

#include "adapter/adapter.h"
#include "adapter/safetensors.h"
#include "tests/adapter/made_adapter.h"
#include "tests/fuzz/seeds.h"

namespace tessera::fuzz {
namespace {

using adapter::Adapter;
using adapter::testing::MadeAdapter;
using adapter::testing::MadeShape;

/// Larger ones are right but slow.
constexpr std::size_t kParametersMax = 20'000;

void check_tensors(std::string_view file) {
  const auto read = adapter::read_safetensors(file);
  if (read.has_error()) {
    TESSERA_ASSERT(read.error().code() == Code::kInvalidArgument);
    return;
  }
  // Together they are the bytes behind the header.
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : read->tensors) {
    std::size_t count = 1;
    for (const std::size_t size : tensor.shape) count *= size;
    TESSERA_ASSERT(count * sizeof(float) == tensor.bytes.size());
    TESSERA_ASSERT(tensor.bytes.empty() ||
                   (tensor.bytes.data() >= file.data() &&
                    tensor.bytes.data() + tensor.bytes.size() <= file.data() + file.size()));
    bytes += tensor.bytes.size();
  }
  TESSERA_ASSERT(bytes + 8 <= file.size());
}

void run_rounds(const Adapter& adapter) {
  std::vector<std::vector<float>> items(adapter.weights().context_size + 2,
                                        std::vector<float>(adapter.item_dim(), 0.25F));
  adapter::Person person = adapter.begin(items);
  const adapter::Person* const one = &person;
  adapter::Scratch scratch;
  adapter::Values vector;
  for (std::size_t round = 0; round < 3; ++round) {
    const Status status = adapter.vectors(
        {&one, 1}, [] { return Status(); }, scratch, vector);
    if (!status.ok()) {
      TESSERA_ASSERT(status.code() == Code::kInvalidArgument);
      return;
    }
    TESSERA_ASSERT(vector.size() == adapter.dim());
    for (const float value : vector) TESSERA_ASSERT(std::isfinite(value));
    adapter.remember(person, vector, scratch);
    adapter.observe(person, std::span(items).first(round), scratch);
  }
}

void check_file(std::string_view file) {
  check_tensors(file);
  const auto read = Adapter::read(file);
  if (read.has_error()) {
    TESSERA_ASSERT(read.error().code() == Code::kInvalidArgument);
    return;
  }
  if ((*read)->weights().parameter_count <= kParametersMax) run_rounds(**read);
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> inputs;
  std::mt19937_64 random(1);
  for (const char* backbone : {"mean", "gru4rec", "sasrec"}) {
    MadeShape shape;
    shape.backbone = backbone;
    shape.dim = 2;
    shape.context_size = 2;
    shape.max_history = 3;
    shape.hidden = 2;
    shape.inner = 2;
    shape.layer_count = 1;
    shape.has_item_bias = inputs.size() % 2 == 1;
    const MadeAdapter made = make_adapter(shape, random);
    inputs.push_back(write_adapter(made));
    MadeAdapter huge = made;
    for (auto& [name, tensor] : huge.tensors) {
      for (float& value : tensor.values) value *= 1e37F;
    }
    inputs.push_back(write_adapter(huge));
  }
  inputs.push_back(adapter::testing::with_length("{}", ""));
  return inputs;
}

}  // namespace tessera::fuzz

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  tessera::fuzz::check_file(tessera::fuzz::text_of(data, size));
  return 0;
}
