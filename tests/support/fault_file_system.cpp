#include "tests/support/fault_file_system.h"

#include <algorithm>
#include <cstring>

namespace tessera::test {
namespace {

constexpr std::size_t kSectorBytes = 512;

struct alignas(64) Block {
  std::byte bytes[64];
};

class Copy final : public MappedFile {
 public:
  explicit Copy(const std::string& bytes)
      : blocks_(bytes.size() / sizeof(Block) + 1), size_(bytes.size()) {
    std::memcpy(blocks_.data(), bytes.data(), bytes.size());
  }
  [[nodiscard]] std::span<const std::byte> bytes() const override {
    return {blocks_.data()->bytes, size_};
  }

 private:
  std::vector<Block> blocks_;
  const std::size_t size_;
};

Status absent(const std::string& path) {
  return {Code::kNotFound, path + ": is not there"};
}

}  // namespace

struct FaultFileSystem::Node {
  bool is_directory = false;
  std::string bytes;
  std::string synced;
  int exclusive_lock_count = 0;
  int shared_lock_count = 0;
};

struct FaultFileSystem::State {
  using Names = std::map<std::string, std::shared_ptr<Node>>;
  /// A change of names; `node` is null for a removal, `from` empty unless renamed.
  struct Change {
    std::string path;
    std::shared_ptr<Node> node;
    std::string from;
  };

  Status step(const std::string& path, const char* call) {
    ++call_count;
    const bool fails =
        call_count == failing_call ||
        (failure == Failure::kFromThere && failing_call != 0 && call_count > failing_call);
    if (!fails) return {};
    has_failed = true;
    return {code, path + ": " + call + ": made to fail"};
  }

  static void apply(Names& names, const Change& change) {
    if (!change.from.empty()) names.erase(change.from);
    if (change.node == nullptr) {
      names.erase(change.path);
    } else {
      names[change.path] = change.node;
    }
  }

  void make(const Change& change) {
    apply(seen, change);
    pending.push_back(change);
  }

  [[nodiscard]] bool is_directory(const std::string& path) const {
    const auto found = seen.find(path);
    return found != seen.end() && found->second->is_directory;
  }

  Names seen;
  Names durable;
  std::vector<Change> pending;
  std::uint64_t call_count = 0;
  std::uint64_t failing_call = 0;
  Failure failure = Failure::kOnce;
  Code code = Code::kUnavailable;
  bool has_failed = false;
};

class FaultFileSystem::File final : public WritableFile {
 public:
  File(std::string path, std::shared_ptr<State> state, std::shared_ptr<Node> node)
      : path_(std::move(path)), state_(std::move(state)), node_(std::move(node)) {}

  Status append(std::span<const std::byte> bytes) override {
    const Status status = state_->step(path_, "write");
    const std::size_t size = status.ok() ? bytes.size() : bytes.size() / 2;
    node_->bytes.append(reinterpret_cast<const char*>(bytes.data()), size);
    return status;
  }

  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    const Status status = state_->step(path_, "write");
    const std::size_t size = status.ok() ? bytes.size() : bytes.size() / 2;
    TESSERA_ASSERT(offset + bytes.size() <= node_->bytes.size());
    std::memcpy(node_->bytes.data() + offset, bytes.data(), size);
    return status;
  }

  Status sync() override {
    TESSERA_RETURN_IF_ERROR(state_->step(path_, "fsync"));
    node_->synced = node_->bytes;
    return {};
  }

  Status close() override { return state_->step(path_, "close"); }

 private:
  const std::string path_;
  const std::shared_ptr<State> state_;
  const std::shared_ptr<Node> node_;
};

class FaultFileSystem::Lock final : public FileLock {
 public:
  Lock(std::string path, std::shared_ptr<State> state, std::shared_ptr<Node> node, Mode mode)
      : path_(std::move(path)), state_(std::move(state)), node_(std::move(node)), mode_(mode) {
    ++count();
  }
  ~Lock() override { --count(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  Status write_owner(const std::string& text) override {
    TESSERA_RETURN_IF_ERROR(state_->step(path_, "write"));
    node_->bytes = text;
    return {};
  }

 private:
  int& count() {
    return mode_ == Mode::kExclusive ? node_->exclusive_lock_count : node_->shared_lock_count;
  }
  const std::string path_;
  const std::shared_ptr<State> state_;
  const std::shared_ptr<Node> node_;
  const Mode mode_;
};

FaultFileSystem::FaultFileSystem() : state_(std::make_shared<State>()) {
  const auto root = std::make_shared<Node>();
  root->is_directory = true;
  state_->seen["/"] = root;
  state_->durable["/"] = root;
}

FaultFileSystem::~FaultFileSystem() = default;

Result<std::unique_ptr<WritableFile>> FaultFileSystem::create(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(state_->step(path, "open"));
  if (!state_->is_directory(parent_directory(path))) return absent(path);
  const auto found = state_->seen.find(path);
  std::shared_ptr<Node> node;
  if (found == state_->seen.end()) {
    node = std::make_shared<Node>();
    state_->make({path, node, ""});
  } else {
    node = found->second;
    node->bytes.clear();
  }
  return std::unique_ptr<WritableFile>(std::make_unique<File>(path, state_, node));
}

Result<std::unique_ptr<MappedFile>> FaultFileSystem::map(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(state_->step(path, "mmap"));
  const auto found = state_->seen.find(path);
  if (found == state_->seen.end()) return absent(path);
  return std::unique_ptr<MappedFile>(std::make_unique<Copy>(found->second->bytes));
}

Status FaultFileSystem::rename(const std::string& from, const std::string& to) {
  TESSERA_RETURN_IF_ERROR(state_->step(to, "rename"));
  const auto found = state_->seen.find(from);
  if (found == state_->seen.end()) return absent(from);
  state_->make({to, found->second, from});
  return {};
}

Status FaultFileSystem::truncate(const std::string& path, std::uint64_t size_bytes) {
  TESSERA_RETURN_IF_ERROR(state_->step(path, "truncate"));
  const auto found = state_->seen.find(path);
  if (found == state_->seen.end()) return absent(path);
  TESSERA_ASSERT(size_bytes <= found->second->bytes.size());
  found->second->bytes.resize(size_bytes);
  return {};
}

Status FaultFileSystem::remove_file(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(state_->step(path, "unlink"));
  if (!exists(path) || state_->is_directory(path)) return absent(path);
  state_->make({path, nullptr, ""});
  return {};
}

Status FaultFileSystem::create_directory(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(state_->step(path, "mkdir"));
  if (exists(path)) return {Code::kAlreadyExists, path + ": is there"};
  if (!state_->is_directory(parent_directory(path))) return absent(path);
  const auto node = std::make_shared<Node>();
  node->is_directory = true;
  state_->make({path, node, ""});
  return {};
}

Status FaultFileSystem::remove_directory(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(state_->step(path, "rmdir"));
  if (!state_->is_directory(path)) return absent(path);
  for (const auto& [name, node] : state_->seen) {
    if (name != "/" && parent_directory(name) == path) {
      return {Code::kUnavailable, path + ": is not empty"};
    }
  }
  state_->make({path, nullptr, ""});
  return {};
}

Status FaultFileSystem::sync_directory(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(state_->step(path, "fsync"));
  if (!state_->is_directory(path)) return absent(path);
  std::vector<State::Change> others;
  for (const State::Change& change : state_->pending) {
    if (parent_directory(change.path) == path) {
      State::apply(state_->durable, change);
    } else {
      others.push_back(change);
    }
  }
  state_->pending = std::move(others);
  return {};
}

Result<std::vector<DirectoryEntry>> FaultFileSystem::list(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(state_->step(path, "opendir"));
  if (!state_->is_directory(path)) return absent(path);
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, node] : state_->seen) {
    if (name == "/" || parent_directory(name) != path) continue;
    entries.push_back({name.substr(name.find_last_of('/') + 1), node->is_directory});
  }
  return entries;
}

Result<std::uint64_t> FaultFileSystem::free_bytes(const std::string& path) {
  TESSERA_RETURN_IF_ERROR(state_->step(path, "statvfs"));
  return std::uint64_t{1} << 30;
}

Result<std::unique_ptr<FileLock>> FaultFileSystem::try_lock(const std::string& path,
                                                            FileLock::Mode mode) {
  TESSERA_RETURN_IF_ERROR(state_->step(path, "flock"));
  const bool exclusive = mode == FileLock::Mode::kExclusive;
  if (!exists(path)) {
    if (!exclusive || !state_->is_directory(parent_directory(path))) return absent(path);
    state_->make({path, std::make_shared<Node>(), ""});
  }
  const std::shared_ptr<Node> node = state_->seen.at(path);
  if (node->exclusive_lock_count > 0 || (exclusive && node->shared_lock_count > 0)) {
    return std::unique_ptr<FileLock>();
  }
  return std::unique_ptr<FileLock>(std::make_unique<Lock>(path, state_, node, mode));
}

void FaultFileSystem::fail_call(std::uint64_t n, Failure failure, Code code) {
  state_->failing_call = state_->call_count + n;
  state_->failure = failure;
  state_->code = code;
  state_->has_failed = false;
}

void FaultFileSystem::fail_nothing() {
  state_->failing_call = 0;
  state_->has_failed = false;
}

bool FaultFileSystem::has_failed() const {
  return state_->has_failed;
}
std::uint64_t FaultFileSystem::call_count() const {
  return state_->call_count;
}

void FaultFileSystem::lose_power() {
  std::erase_if(state_->durable, [this](const auto& entry) {
    return entry.first != "/" && !state_->durable.contains(parent_directory(entry.first));
  });
  state_->pending.clear();
  state_->seen = state_->durable;
  for (const auto& [name, node] : state_->seen) node->bytes = node->synced;
}

void FaultFileSystem::lose_power(std::mt19937_64& random) {
  const std::size_t change_count = random() % (state_->pending.size() + 1);
  for (std::size_t i = 0; i < change_count; ++i) {
    State::apply(state_->durable, state_->pending[i]);
  }
  for (const auto& [name, node] : state_->durable) {
    std::string left = node->synced;
    // A longer file may have got its new length without its new bytes.
    if (random() % 2 == 0) left.resize(node->bytes.size(), '\0');
    const std::size_t common = std::min(left.size(), node->bytes.size());
    for (std::size_t begin = 0; begin < common; begin += kSectorBytes) {
      if (random() % 2 == 0) continue;
      const std::size_t size = std::min(kSectorBytes, common - begin);
      left.replace(begin, size, node->bytes, begin, size);
    }
    node->synced = left;
  }
  lose_power();
}

bool FaultFileSystem::exists(const std::string& path) const {
  return state_->seen.contains(path);
}

std::string FaultFileSystem::contents(const std::string& path) const {
  return state_->seen.at(path)->bytes;
}

void FaultFileSystem::set_contents(const std::string& path, const std::string& bytes) {
  std::shared_ptr<Node>& node = state_->seen[path];
  node = std::make_shared<Node>();
  node->bytes = bytes;
  node->synced = bytes;
  state_->durable[path] = node;
}

std::vector<std::string> FaultFileSystem::files() const {
  std::vector<std::string> paths;
  for (const auto& [name, node] : state_->seen) {
    if (!node->is_directory) paths.push_back(name);
  }
  return paths;
}

}  // namespace tessera::test
