// decode-worker: the program's other half, which takes files apart in a process of its own.
#include <CLI/CLI.hpp>

#include "apps/cli/commands.hpp"
#include "data/readers/image.hpp"
#include "engine/files/hdf5_message.hpp"
#include "engine/files/worker.hpp"

namespace gliograd::cli {

void add_decode_worker(CLI::App& app) {
  auto* command = app.add_subcommand("decode-worker", "");
  command->group("");  // not in --help: nobody starts it by hand
  command->callback([] {
    files::serve_requests(
        {{"image", data::decode_image_request}, {"hdf5", files::decode_hdf5_request}});
  });
}

}  // namespace gliograd::cli
