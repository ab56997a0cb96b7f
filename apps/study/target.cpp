#include "apps/study/target.hpp"

#include <algorithm>

#include "engine/core/error.hpp"

namespace gliograd::study {

int64_t Target::labeled() const {
  return std::count_if(labels.begin(), labels.end(), [](int32_t l) { return l >= 0; });
}

Target make_target(const data::Dataset& set, const std::string& text) {
  const size_t equals = text.find('=');
  const data::LabelColumn& column = data::label_column(set, text.substr(0, equals));
  Target target;
  target.text = text;
  if (equals == std::string::npos) {
    target.classes = column.classes;
    target.labels = column.values;
  } else {
    const std::string value = text.substr(equals + 1);
    const auto found = std::find(column.classes.begin(), column.classes.end(), value);
    if (found == column.classes.end()) {
      std::string known;
      for (const std::string& c : column.classes) known += (known.empty() ? "" : ", ") + c;
      throw Error(concat_text(set.name, ": column ", column.name, " has no class \"", value,
                              "\"; it has: ", known));
    }
    const auto wanted = static_cast<int32_t>(found - column.classes.begin());
    target.one_against_rest = true;
    target.classes = {"rest", value};
    for (const int32_t v : column.values) target.labels.push_back(v < 0 ? -1 : v == wanted ? 1 : 0);
  }
  std::vector<int64_t> counts(target.classes.size());
  for (const int32_t label : target.labels) {
    if (label >= 0) ++counts[label];
  }
  const auto used = std::count_if(counts.begin(), counts.end(), [](int64_t c) { return c > 0; });
  if (used < 2) throw Error(concat_text(set.name, ": target ", text, " has one class only"));
  for (size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] < 3) {
      throw Error(concat_text(set.name, ": target ", text, ": class \"", target.classes[c],
                              "\" has ", counts[c], " patients; at least three are needed"));
    }
  }
  return target;
}

}  // namespace gliograd::study
