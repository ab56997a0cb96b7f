// TOML: `--config FILE` on any command, and the config.toml of a run folder.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "apps/study/settings.hpp"

namespace CLI {
class App;
}

namespace gliograd::cli {

/// Replaces `--config FILE` behind a command's name by that file's keys as options, in front of the
/// command's own, so that the command line wins. Keys are option names without dashes; tables other
/// than [run], [machine] and [provenance] (which a run folder adds) become "table.key".
/// Errors: Error for a missing or malformed file, naming file and line, and for a key that is no
/// option of the command in `app`, or names another file.
std::vector<std::string> expand_config(const std::vector<std::string>& arguments,
                                       const CLI::App& app);

/// Documents --config in a command's help. The option itself is taken by expand_config.
void add_config_option(CLI::App& command);

/// Facts of a run that are not settings; written under [run], [machine] and [provenance].
struct RunFacts {
  std::vector<std::pair<std::string, std::string>> run;         // data file, its digest, command
  std::vector<std::pair<std::string, std::string>> machine;     // kind of CPU or GPU
  std::vector<std::pair<std::string, std::string>> provenance;  // version, commit, build, date
};

std::string config_text(const std::vector<study::NamedSetting>& settings, const RunFacts& facts);

/// "name" or "table.name" to its value as text. Errors: Error that names the file.
std::map<std::string, std::string> read_config(const std::string& path);

/// The text that read_config gives for a setting.
std::string setting_text(const study::NamedSetting& setting);

}  // namespace gliograd::cli
