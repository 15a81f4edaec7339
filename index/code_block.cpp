#include "index/code_block.h"

#include <cstring>
#include <string_view>

namespace tessera::index {

std::uint64_t CodeBlock::hash(std::size_t i) const {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(row(i)), stride_});
}

CodeBlock CodeBlock::reordered(std::span<const std::uint32_t> order) const {
  CodeBlock block(order.size(), stride_);
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::memcpy(block.row(i), row(order[i]), stride_);
  }
  return block;
}

Status CodeBlock::save(ByteSink& sink) const {
  return sink.append(std::as_bytes(std::span(bytes_.data(), bytes_.size())));
}

Result<CodeBlock> CodeBlock::load(std::size_t row_count, std::size_t stride, ByteReader& reader) {
  TESSERA_RETURN_IF_ERROR(reader.check("codes", row_count, stride));
  CodeBlock block(row_count, stride);
  reader.take(block.data(), row_count * stride);
  return block;
}

}  // namespace tessera::index
