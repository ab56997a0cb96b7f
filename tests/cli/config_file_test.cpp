#include "apps/cli/config_file.hpp"

#include <CLI/App.hpp>

#include "apps/cli/commands.hpp"
#include "tests/support/support.hpp"

using namespace gliograd;
using namespace gliograd::test;

namespace {

// The program's commands, with what they take.
std::vector<std::string> expanded_by(const std::vector<std::string>& arguments) {
  CLI::App app("gliograd");
  cli::add_commands(app);
  return cli::expand_config(arguments, app);
}

}  // namespace

TEST_CASE("config: keys become options behind the command, in front of its own") {
  const TempDir folder;
  const std::string path = folder / "run.toml";
  write_file(path,
             "epochs = 12\nlearning-rate = 1e-3\nbalance-classes = true\ninit = ''\n"
             "fuse = ['shape', 'age']\n[augment]\nrotation-degrees = 10\n"
             "[provenance]\ncommit = 'abc'\n");
  const std::vector<std::string> expanded =
      expanded_by({"crossval", "--epochs", "3", "--config", path});
  const std::vector<std::string> expected = {"crossval",
                                             "--augment=rotation-degrees=10",
                                             "--balance-classes=true",
                                             "--epochs=12",
                                             "--fuse=shape,age",
                                             "--learning-rate=0.001",
                                             "--epochs",
                                             "3"};
  CHECK(expanded == expected);
}

TEST_CASE("config: keys stand behind all words that begin a command") {
  const TempDir folder;
  const std::string path = folder / "prepare.toml";
  write_file(path, "size = 64\n");
  CHECK(expanded_by({"prepare", "lgg", "cohort", "--out", "x", "--config", path}) ==
        std::vector<std::string>{"prepare", "lgg", "cohort", "--size=64", "--out", "x"});
}

TEST_CASE("config: a missing or malformed file is named with its line") {
  const TempDir folder;
  CHECK(contains(error_of([&] { expanded_by({"x", "--config", folder / "no.toml"}); }), "no.toml"));
  const std::string path = folder / "bad.toml";
  write_file(path, "epochs = 1\nfolds = = 2\n");
  const std::string error = error_of([&] { expanded_by({"x", "--config=" + path}); });
  CHECK(contains(error, "bad.toml: line 2"));
  CHECK(contains(error_of([] { expanded_by({"x", "--config"}); }), "needs a file"));
}

TEST_CASE("config: a key that is no option is named with its file; a file names no other") {
  const TempDir folder;
  const std::string path = folder / "run.toml";
  const auto said = [&](const std::string& text, const std::vector<std::string>& command) {
    write_file(path, text);
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"--config", path});
    return error_of([&] { expanded_by(arguments); });
  };
  CHECK(said("epochs = 1\nepoch = 2\n", {"crossval"}) ==
        path + ": key epoch is no option of crossval");
  CHECK(said("folds = ''\nlook = ''\n", {"crossval"}) ==
        path + ": key look is no option of crossval");
  CHECK(said("[augments]\nflip = 1\n", {"crossval"}) ==
        path + ": key augments.flip is no option of crossval");
  CHECK(said("columns = 3\n", {"prepare", "lgg"}) ==
        path + ": key columns is no option of prepare lgg");
  CHECK(said("help = true\n", {"crossval"}) == path + ": key help is no option of crossval");
  write_file(path, "epoch = 2\n");
  CHECK(error_of([&] {
          expanded_by({"--config", path, "crossval"});
        }) == path + ": key epoch is no option of crossval");
  CHECK(said("config = 'other.toml'\n", {"crossval"}) ==
        path + ": key config: a file cannot name another");
}

TEST_CASE("config: what a run folder writes reads back as it was") {
  const TempDir folder;
  study::CrossvalSettings settings;
  settings.target = "IDH=\"mut\" \\ é";
  settings.train.learning_rate = 0.1 + 0.2;
  settings.train.fuse = {"shape", "age"};
  const std::vector<study::NamedSetting> named = study::named_settings(settings);
  const std::string path = folder / "config.toml";
  write_file(path, cli::config_text(named, {{{"data", "a\nb"}}, {}, {}}));
  const std::map<std::string, std::string> read = cli::read_config(path);
  for (const study::NamedSetting& setting : named) {
    CHECK(read.at(setting.name) == cli::setting_text(setting));
  }
  CHECK(read.at("run.data") == "a\nb");
  CHECK(std::stod(read.at("learning-rate")) == 0.1 + 0.2);
}
