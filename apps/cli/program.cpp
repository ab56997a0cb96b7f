#include "apps/cli/program.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <new>
#include <string>

#include "apps/cli/commands.hpp"
#include "apps/cli/config_file.hpp"
#include "engine/core/interrupt.hpp"

namespace gliograd::cli {
namespace {

constexpr size_t kLongestLine = 2000;  // bytes of a message

// One line for the user. Where in the source a check stands ("\n  at engine/...") is for whoever
// calls the engine, not for whoever typed a wrong option.
int report(std::string text, int code) {
  text.resize(std::min(text.size(), text.find("\n  at ")));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at)) {
    text.replace(at, 1, "; ");
  }
  if (text.size() > kLongestLine) {
    size_t end = kLongestLine;
    while ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // whole characters
    text = text.substr(0, end) + "...";
  }
  std::fprintf(stderr, "gliograd: %s\n", text.c_str());
  return code;
}

// A path that the file system refuses: bad input where the path is wrong, else failed work.
int report_path(const std::filesystem::filesystem_error& error) {
  const std::errc wrong[] = {std::errc::no_such_file_or_directory,
                             std::errc::not_a_directory,
                             std::errc::is_a_directory,
                             std::errc::file_exists,
                             std::errc::permission_denied,
                             std::errc::operation_not_permitted,
                             std::errc::too_many_symbolic_link_levels,
                             std::errc::filename_too_long};
  const bool bad_input = std::any_of(std::begin(wrong), std::end(wrong),
                                     [&](std::errc one) { return error.code() == one; });
  return report(error.path1().string() + ": " + error.code().message(), bad_input ? 2 : 1);
}

// What CLI11 found wrong, and which --help to read: the command's, where one was named.
int report_usage(const CLI::App& app, const CLI::ParseError& error) {
  std::string command = "gliograd";
  for (const CLI::App* chosen : app.get_subcommands()) command += " " + chosen->get_name();
  return report(std::string(error.what()) + " (" + command + " --help)", 2);
}

}  // namespace

int run_program(int argc, char** argv) {
  CLI::App app(
      "gliograd: a deep-learning engine and a study on glioma MRI. For research use only; not a "
      "medical device.",
      "gliograd");
  app.require_subcommand(1);
  app.fallthrough(false);
  app.option_defaults()->always_capture_default();
  // A --config file's value stands before the command line's own: the last one counts.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_commands(app);
  // A file-size limit or a closed pipe is an ordinary write error, not a silent death.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    std::vector<std::string> arguments = expand_config({argv + 1, argv + argc}, app);
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app.parse(std::move(arguments));
    if (std::fflush(stdout) != 0) return report("standard output: cannot be written", 1);
    return 0;
  } catch (const CLI::RuntimeError& error) {  // a command's own exit code
    std::fflush(stdout);
    return error.get_exit_code();
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error) : report_usage(app, error);
  } catch (const Interrupted&) {
    return report("interrupted; the same command goes on where it stopped", 130);
  } catch (const WorkError& error) {
    return report(error.what(), 1);
  } catch (const Error& error) {
    return report(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return report("out of memory", 1);
  } catch (const std::filesystem::filesystem_error& error) {
    return report_path(error);
  } catch (const std::exception& error) {
    return report(error.what(), 1);
  }
}

}  // namespace gliograd::cli
