// gliograd report: one self-contained HTML file from a run folder.
#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "apps/cli/commands.hpp"
#include "apps/cli/report/page.hpp"
#include "apps/cli/report/report_data.hpp"
#include "engine/core/atomic_file.hpp"

namespace gliograd::cli {

void add_report(CLI::App& app) {
  struct Options {
    report::ReportOptions report;
    std::string out;
  };
  auto* command = app.add_subcommand("report", "one self-contained HTML page of a run");
  command->footer("Example:\n  gliograd report runs/coc2-seed1");
  auto options = std::make_shared<Options>();
  command->add_option("RUN", options->report.run, "the folder of a finished crossval")->required();
  command->add_option("--out", options->out, "the page; default: RUN/report.html");
  command->add_option("--data", options->report.data,
                      "the prepared set, for baselines and example slices; default: the run's own");
  command->add_option("--ledger", options->report.ledger,
                      "CSV of looks; default: looks.csv beside the prepared set");
  command->add_option("--note", options->report.note, "a line of yours at the top of the page");
  command->callback([options] {
    const std::string page = report::report_page(report::read_report(options->report));
    const std::string out =
        options->out.empty() ? options->report.run + "/report.html" : options->out;
    write_atomically(out, page);
    fmt::print("{}\n", out);
  });
}

}  // namespace gliograd::cli
