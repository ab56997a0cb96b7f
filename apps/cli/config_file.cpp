#include "apps/cli/config_file.hpp"

#include <toml++/toml.h>

#include <CLI/App.hpp>
#include <charconv>
#include <sstream>

#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"

namespace gliograd::cli {
namespace {

toml::table parse(const std::string& path) {
  const std::string text = read_text(path);
  try {
    return toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    throw Error(concat_text(path, ": line ", error.source().begin.line, ": ", error.description()));
  }
}

// The shortest text that reads back as the same value, and as a float ("1.0").
std::string float_text(double value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  std::string out(text, end);
  if (out.find_first_of(".en") == std::string::npos) out += ".0";
  return out;
}

// An option's value as the command line would give it.
std::string value_text(const toml::node& node, const std::string& path, const std::string& key) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return float_text(number->get());
  if (const auto* list = node.as_array()) {
    std::string text;
    for (const toml::node& item : *list) {
      text += (text.empty() ? "" : ",") + value_text(item, path, key);
    }
    return text;
  }
  throw Error(concat_text(path, ": key ", key, " must be a string, a number, a flag or a list"));
}

void flatten(const toml::table& table, const std::string& prefix, const std::string& path,
             std::vector<std::pair<std::string, std::string>>& out) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table()) {
      flatten(*inner, name + ".", path, out);
    } else {
      out.emplace_back(name, value_text(node, path, name));
    }
  }
}

bool is_fact(const std::string& name) {
  for (const char* table : {"run.", "machine.", "provenance."}) {
    if (name.rfind(table, 0) == 0) return true;
  }
  return false;
}

// The command that the first words name ("prepare lgg"); app is null where they name none.
struct Command {
  const CLI::App* app = nullptr;
  std::string words;
};
Command command_of(const std::vector<std::string>& words, const CLI::App& app) {
  Command command;
  for (const std::string& word : words) {
    const CLI::App& above = command.app == nullptr ? app : *command.app;
    const auto next =
        above.get_subcommands([&](const CLI::App* one) { return one->get_name() == word; });
    if (next.empty()) break;
    command.app = next.front();
    command.words += (command.words.empty() ? "" : " ") + word;
  }
  return command;
}

bool has_option(const CLI::App& command, const std::string& name) {
  return command.get_option_no_throw("--" + name) != nullptr;
}

}  // namespace

std::vector<std::string> expand_config(const std::vector<std::string>& arguments,
                                       const CLI::App& app) {
  std::vector<std::string> rest, paths, expanded;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--config") {
      if (i + 1 == arguments.size()) throw Error("--config needs a file");
      paths.push_back(arguments[++i]);
    } else if (arguments[i].rfind("--config=", 0) == 0) {
      paths.push_back(arguments[i].substr(9));
    } else {
      rest.push_back(arguments[i]);
    }
  }
  const Command command = command_of(rest, app);
  for (const std::string& path : paths) {
    std::vector<std::pair<std::string, std::string>> values;
    flatten(parse(path), "", path, values);
    for (const auto& [name, value] : values) {
      if (is_fact(name)) continue;
      if (name == "config") throw Error(path + ": key config: a file cannot name another");
      // [augment] holds single settings of the augmentation.
      const bool augment = name.rfind("augment.", 0) == 0;
      const bool known = name != "help" && command.app != nullptr &&
                         has_option(*command.app, augment ? "augment" : name);
      if (command.app != nullptr && !known) {
        throw Error(concat_text(path, ": key ", name, " is no option of ", command.words));
      }
      if (value.empty()) continue;  // an empty text is the default
      expanded.push_back(augment ? concat_text("--augment=", name.substr(8), "=", value)
                                 : concat_text("--", name, "=", value));
    }
  }
  if (expanded.empty()) return rest;
  // Behind the words that begin the command ("prepare lgg FOLDER"), in front of its own options,
  // which come later and so win.
  size_t at = 0;
  while (at < rest.size() && rest[at].rfind('-', 0) == 0) ++at;
  while (at < rest.size() && rest[at].rfind('-', 0) != 0) ++at;
  rest.insert(rest.begin() + static_cast<std::ptrdiff_t>(at), expanded.begin(), expanded.end());
  return rest;
}

void add_config_option(CLI::App& command) {
  command.add_option("--config", "a TOML file with any of these options; the command line wins")
      ->type_name("FILE")
      ->expected(1);
}

std::string config_text(const std::vector<study::NamedSetting>& settings, const RunFacts& facts) {
  std::ostringstream out;
  out << "# Every setting that was in force. Usable as --config of the same command.\n";
  for (const study::NamedSetting& setting : settings) {
    out << setting.name << " = ";
    std::visit(
        [&](const auto& value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, double>) {
            out << float_text(value);
          } else {
            out << toml::value(value);
          }
        },
        setting.value);
    out << '\n';
  }
  const auto write = [&](const char* name, const auto& pairs) {
    out << "\n[" << name << "]\n";
    for (const auto& [key, value] : pairs) out << key << " = " << toml::value(value) << '\n';
  };
  write("run", facts.run);
  write("machine", facts.machine);
  write("provenance", facts.provenance);
  return out.str();
}

std::map<std::string, std::string> read_config(const std::string& path) {
  std::vector<std::pair<std::string, std::string>> values;
  flatten(parse(path), "", path, values);
  return {values.begin(), values.end()};
}

std::string setting_text(const study::NamedSetting& setting) {
  struct Text {
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const { return float_text(value); }
    std::string operator()(const std::string& value) const { return value; }
  };
  return std::visit(Text{}, setting.value);
}

}  // namespace gliograd::cli
