#include "data/readers/phantom_files.hpp"

#include <atomic>
#include <filesystem>
#include <mutex>

#include "data/readers/tiff_writer.hpp"
#include "engine/core/atomic_file.hpp"
#include "engine/core/error.hpp"
#include "engine/core/interrupt.hpp"
#include "engine/core/parallel.hpp"

namespace gliograd::data {
namespace {

namespace fs = std::filesystem;

/// Goes away with all in it unless it was renamed.
class PartialFolder {
 public:
  explicit PartialFolder(const fs::path& final_path) : final_(final_path), part_(final_path) {
    part_ += ".part";
    std::error_code failed;
    fs::remove_all(part_, failed);
    if (!failed) fs::create_directories(part_, failed);
    check(failed);
  }
  ~PartialFolder() {
    std::error_code ignored;
    fs::remove_all(part_, ignored);
  }
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  const fs::path& path() const { return part_; }
  void commit() {
    std::error_code failed;
    fs::rename(part_, final_, failed);  // an empty folder of that name gives way
    check(failed);
  }

 private:
  void check(const std::error_code& failed) const {
    if (!failed) return;
    const std::string text = final_.string() + ": " + failed.message();
    if (failed == std::errc::no_space_on_device) throw WorkError(text);
    throw Error(text);
  }
  fs::path final_, part_;
};

void check_free(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) return;
  if (!fs::is_directory(folder, ignored)) {
    throw Error(folder.string() + ": is a file; a folder is needed");
  }
  if (!fs::is_empty(folder, ignored)) {
    throw Error(folder.string() + ": is not empty; give a folder that does not exist yet");
  }
}

std::string csv_text(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) text += (i == 0 ? "" : ",") + row[i];
    text += '\n';
  }
  return text;
}

void write_patient(const fs::path& root, const PhantomOptions& options,
                   const std::vector<PhantomPerson>& people, size_t index) {
  const PhantomPerson& person = people[index];
  const fs::path folder = root / person.folder;
  std::error_code failed;
  fs::create_directory(folder, failed);
  if (failed) throw WorkError(folder.string() + ": " + failed.message());
  for (PhantomSlice& slice : phantom_slices(options, people, index)) {
    const std::string stem = (folder / person.folder).string() + "_" + std::to_string(slice.number);
    for (uint8_t& v : slice.mask) v = v != 0 ? 255 : 0;
    write_tiff(stem + ".tif", slice.pixels.data(), options.size, options.size, 3);
    write_tiff(stem + "_mask.tif", slice.mask.data(), options.size, options.size, 1);
  }
}

}  // namespace

PhantomFiles write_phantom(const std::string& folder, const PhantomOptions& options, int threads,
                           const Progress& progress) {
  const std::vector<PhantomPerson> people = phantom_people(options);
  fs::path final_path = fs::path(folder).lexically_normal();
  if (!final_path.has_filename()) final_path = final_path.parent_path();  // "DIR/"
  check_free(final_path);
  PartialFolder part(final_path);
  const auto count = static_cast<int64_t>(people.size());
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  int64_t done = 0;
  // Each thread takes the next patient, so that one slow patient holds nobody up.
  parallel_for(threads, threads, 1, [&](int64_t, int64_t) {
    for (int64_t p = next++; p < count; p = next++) {
      try {
        stop_if_interrupted();
        write_patient(part.path(), options, people, static_cast<size_t>(p));
      } catch (...) {
        next = count;  // the others need not go on
        throw;
      }
      const std::lock_guard<std::mutex> lock(mutex);
      ++done;
      if (progress) progress(done, count);
    }
  });
  write_atomically((part.path() / "data.csv").string(), csv_text(phantom_table(people)));
  part.commit();
  PhantomFiles files{count, 0, 0};
  for (const PhantomPerson& person : people) {
    files.slices += static_cast<int64_t>(person.numbers.size());
    files.tumor_slices += person.last_tumor - person.first_tumor + 1;
  }
  return files;
}

}  // namespace gliograd::data
