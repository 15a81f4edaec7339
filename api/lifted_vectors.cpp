#include "api/lifted_vectors.h"

#include <variant>

#include "api/float_reader.h"

namespace tessera::api {

namespace {

/// Marks are exact as float32.
constexpr std::size_t kVectorCountMax = std::size_t{1} << 24;

/// Walks a body once. It knows just enough of JSON to find the vectors; whatever it does not
/// understand makes it give up, and what it skips is left to the parser of the rest.
/// Thread rule: confined to one thread.
class Lifter {
 public:
  explicit Lifter(std::string_view body)
      : at_(body.data()), copied_(body.data()), end_(body.data() + body.size()) {}

  /// `{"name": [1, 2], ...}`: lifts the list under `name`.
  bool lift_member(std::string_view name) {
    return walk_object([&](std::string_view key) { return key == name ? lift_list() : skip(); });
  }

  /// `{"query": QUERY, ...}`
  bool lift_query() {
    return walk_object([&](std::string_view key) {
      return key == "query" ? lift_kind([&] { return lift_refined(); }) : skip();
    });
  }

  /// `{"points": [{"vector": ...}, ...]}`
  bool lift_points() {
    return walk_object([&](std::string_view key) {
      if (key != "points") return skip();
      return walk_array([&] {
        return walk_object([&](std::string_view member) {
          if (member != "vector") return skip();
          if (!is_next('{')) return lift_list();
          return walk_object([&](std::string_view) { return lift_list(); });
        });
      });
    });
  }

  LiftedVectors take() {
    lifted_.rest.append(copied_, end_);
    return std::move(lifted_);
  }

 private:
  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  bool is_next(char letter) {
    skip_space();
    return at_ != end_ && *at_ == letter;
  }
  bool take_next(char letter) {
    if (!is_next(letter)) return false;
    ++at_;
    return true;
  }

  /// A string without escapes: names with some are unusual.
  std::optional<std::string_view> read_name() {
    if (!take_next('"')) return std::nullopt;
    const char* const begin = at_;
    while (at_ != end_ && *at_ != '"' && *at_ != '\\') ++at_;
    if (at_ == end_ || *at_ == '\\') return std::nullopt;
    return std::string_view(begin, static_cast<std::size_t>(at_++ - begin));
  }

  template <class Visit>
  bool walk_object(Visit visit) {
    if (!take_next('{')) return false;
    if (take_next('}')) return true;
    do {
      const auto name = read_name();
      if (!name || !take_next(':') || !visit(*name)) return false;
    } while (take_next(','));
    return take_next('}');
  }

  template <class Visit>
  bool walk_array(Visit visit) {
    if (!take_next('[')) return false;
    if (take_next(']')) return true;
    do {
      if (!visit()) return false;
    } while (take_next(','));
    return take_next(']');
  }

  /// Passes over one value, by its brackets and strings alone.
  bool skip() {
    std::size_t depth = 0;
    skip_space();
    const char* const begin = at_;
    while (at_ != end_) {
      const char letter = *at_;
      if (letter == '"') {
        if (!skip_string()) return false;
        continue;
      }
      if (letter == '{' || letter == '[') ++depth;
      if (letter == '}' || letter == ']' || letter == ',') {
        if (depth == 0) break;
        if (letter != ',') --depth;
      }
      ++at_;
    }
    return at_ != begin;
  }

  bool skip_string() {
    for (++at_; at_ != end_; ++at_) {
      if (*at_ == '"') {
        ++at_;
        return true;
      }
      if (*at_ == '\\' && ++at_ == end_) return false;
    }
    return false;
  }

  /// A list, `{"nearest": [...]}` or `{"interests": ...}`; `{"refine": ...}` as `refined` says.
  template <class Refined>
  bool lift_kind(Refined refined) {
    if (is_next('[')) return lift_list();
    if (!is_next('{')) return skip();
    return walk_object([&](std::string_view kind) {
      if (kind == "nearest") return is_next('[') ? lift_list() : skip();
      if (kind == "interests") return is_next('{') ? lift_interests() : skip();
      return kind == "refine" ? refined() : skip();
    });
  }

  /// `{"query": QUERY, ...}`, in which nothing is refined again: a body nested deep is not
  /// followed.
  bool lift_refined() {
    if (!is_next('{')) return skip();
    return walk_object([&](std::string_view key) {
      return key == "query" ? lift_kind([&] { return skip(); }) : skip();
    });
  }

  /// `{"components": [{"vector": ...}, ...], "vector": ...}`
  bool lift_interests() {
    return walk_object([&](std::string_view member) {
      if (member == "vector") return lift_list();
      if (member != "components") return skip();
      return walk_array([&] {
        return walk_object(
            [&](std::string_view part) { return part == "vector" ? lift_list() : skip(); });
      });
    });
  }

  bool lift_list() {
    if (!take_next('[')) return false;
    if (lifted_.vectors.size() >= kVectorCountMax) return false;
    const char* const list = at_ - 1;
    std::vector<float> numbers;
    numbers.reserve(expected_dim_);
    do {
      skip_space();
      FloatReader reader(at_, end_);
      float number = 0;
      if (!reader.read(number)) return false;
      at_ = reader.at();
      numbers.push_back(number);
    } while (take_next(','));
    if (!take_next(']')) return false;
    expected_dim_ = numbers.size();
    lifted_.rest.append(copied_, list);
    lifted_.rest += '[' + std::to_string(lifted_.vectors.size()) + ']';
    copied_ = at_;
    lifted_.vectors.push_back(std::move(numbers));
    return true;
  }

  const char* at_;
  const char* copied_;  ///< Everything before is in the rest.
  const char* const end_;
  std::size_t expected_dim_ = 0;
  LiftedVectors lifted_;
};

/// Moves the vectors back to their marks.
class PutBack {
 public:
  explicit PutBack(LiftedVectors& lifted) : vectors_(lifted.vectors) {}

  void operator()(std::vector<float>& mark) {
    const float number = mark.size() == 1 ? mark.front() : -1;
    // What was moved is empty; what was lifted is not.
    if (!(number >= 0 && number < static_cast<float>(vectors_.size())) ||
        vectors_[static_cast<std::size_t>(number)].empty()) {
      has_failed_ = true;
      return;
    }
    mark = std::move(vectors_[static_cast<std::size_t>(number)]);
    ++count_;
  }
  void operator()(engine::VectorInput& input) {
    if (auto* const mark = std::get_if<std::vector<float>>(&input)) (*this)(*mark);
  }
  void operator()(engine::InterestsQuery& query) {
    for (engine::ComponentInput& component : query.components) (*this)(component.vector);
    if (!query.vector.empty()) (*this)(query.vector);
  }
  void operator()(engine::RefineQuery& refine) {
    std::visit([this](auto& query) { (*this)(query); }, refine.query);
  }
  /// Kinds of queries whose vectors are not lifted.
  template <class Other>
  void operator()(Other&) {}

  [[nodiscard]] bool is_complete() const { return !has_failed_ && count_ == vectors_.size(); }

 private:
  std::vector<std::vector<float>>& vectors_;
  std::size_t count_ = 0;
  bool has_failed_ = false;
};

}  // namespace

std::optional<LiftedVectors> lift_vectors(std::string_view body, VectorPlaces places) {
  Lifter lifter(body);
  bool is_lifted = false;
  switch (places) {
    case VectorPlaces::kQuery:
      is_lifted = lifter.lift_query();
      break;
    case VectorPlaces::kSearch:
      is_lifted = lifter.lift_member("vector");
      break;
    case VectorPlaces::kPoints:
      is_lifted = lifter.lift_points();
      break;
  }
  if (!is_lifted) return std::nullopt;
  LiftedVectors lifted = lifter.take();
  if (lifted.vectors.empty()) return std::nullopt;
  return lifted;
}

bool put_back(LiftedVectors& lifted, engine::QueryRequest& request) {
  PutBack put(lifted);
  std::visit([&put](auto& query) { put(query); }, request.query);
  return put.is_complete();
}

bool put_back(LiftedVectors& lifted, engine::UpsertPoints& request) {
  PutBack put(lifted);
  for (engine::PointInput& point : request.points) {
    for (auto& [name, vector] : point.vectors) put(vector);
  }
  return put.is_complete();
}

}  // namespace tessera::api
