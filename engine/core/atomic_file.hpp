// Files in and out as whole things: a reader gets all bytes or one clear line, a writer replaces a
// file at once or leaves the old one whole. Everything the project writes goes through here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gliograd {

/// The whole file. Errors: Error "FILE: ..." when it is missing, a folder or unreadable; WorkError
/// when reading it fails half-way or memory is short.
std::vector<uint8_t> read_bytes(const std::string& path);
std::string read_text(const std::string& path);

/// Writes under a temporary name in the same folder, syncs, renames, syncs the folder. A crash or a
/// full disk leaves what was there before whole, and no temporary file (a killed process leaves at
/// most one, NAME.part, which the next writer of the same file takes over).
/// Errors: Error when the path cannot be a file (no such folder, a folder, not permitted);
/// WorkError "FILE: No space left on device" and the like when the work itself fails.
void write_atomically(const std::string& path, const void* bytes, size_t size);
void write_atomically(const std::string& path, std::string_view text);

/// The same for content that a library writes itself: give it temporary_path(), then commit().
/// Without commit() the temporary file goes away and the old file stays.
class PendingFile {
 public:
  explicit PendingFile(const std::string& path);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  const std::string& temporary_path() const { return temporary_; }
  /// Appends at the descriptor's place.
  void write(const void* bytes, size_t size);
  /// WorkError when the file system has less than `bytes` left for this user.
  void check_room(uint64_t bytes) const;
  void commit();

 private:
  std::string shown_;      // as the caller named it, for messages
  std::string path_;       // with symbolic links resolved, so that a link stays a link
  std::string temporary_;  // path_ + ".part"
  int descriptor_ = -1;    // of the temporary file, locked against a second writer
};

}  // namespace gliograd
