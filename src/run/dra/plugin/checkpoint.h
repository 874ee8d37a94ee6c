// SPDX-License-Identifier: Apache-2.0
// Checkpoint: what is prepared, on disk, so that a plugin that ends, is killed or is replaced by a
// newer one goes on. Two files:
//
//   checkpoint.json      {"version": 1, "checksum": "<16 hexadecimal digits>",
//                         "data": {"bootID", "claims", "madeVFs", "sequence"}}
//   checkpoint.journal   what changed since, a line each: "<checksum> {"sequence", ...}", in a file
//                        that has its size from the start
//
// To replace a file so that it survives a loss of power is two commits of the file system's own
// journal; to write into a file that has its blocks is none. A kubelet waits for two such writes a
// claim. The first file is written anew when the second is full, and when no claim is left.
// Checksums are FNV-1a (64 bits) of compact JSON with sorted keys.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "dra/plugin/record.h"

namespace mimic::dra {

inline constexpr int kCheckpointVersion = 1;

/// Text of the file. Pure.
std::string encode_checkpoint(const PluginState& state, uint64_t sequence = 0);

/// The state of a file's text, which is untrusted: names become parts of paths. Errors:
/// not_supported for a newer version; bad_message with what is wrong. Pure.
Result<PluginState> decode_checkpoint(std::string_view text, uint64_t* sequence = nullptr);

/// A line of the journal: what makes `after` of `before`. Pure.
std::string encode_change(const PluginState& before, const PluginState& after, uint64_t sequence);

/// Applies a line without its newline. False, and nothing changed, unless it is whole and that of
/// `sequence`. Pure.
bool apply_change(std::string_view line, uint64_t sequence, PluginState& state);

/// The file in a folder that two instances may share. Not thread-safe; whoever reads and writes
/// holds the folder's lock (SerializeLock).
class Checkpoint {
public:
    /// Nothing is read or written yet.
    explicit Checkpoint(std::string folder);

    /// The state on disk, or an empty one if there is none yet. Cheap if nobody wrote in between. A
    /// file that cannot be understood is moved aside ("checkpoint.json.unusable-<seconds>"), with a
    /// line in the log; then the state is empty and lost() is true. Errors: those of read(2) and
    /// rename(2).
    Result<PluginState> load();

    /// Makes `state`, which load() gave and somebody changed, what is on disk, also after a loss of
    /// power. `half_way` is called when half of it is written. Errors: those of the system; then
    /// the old state is still there.
    Status store(const PluginState& state, const std::function<void()>& half_way = {});

    /// Whether a file was moved aside since the start: claims may be prepared that no state knows.
    bool lost() const { return lost_; }

    /// Removes what killed writers left in the folder.
    void remove_temporaries() const;

private:
    struct Identity {  // of the file that cached_ came from
        dev_t device;
        ino_t inode;
        timespec changed;
    };
    static bool same(const Identity& a, const struct stat& b);
    Result<PluginState> move_aside(const Error& why);
    Status open_journal(bool is_new);
    void read_changes();
    Status append(const std::string& line, const std::function<void()>& half_way);
    Status rewrite(const PluginState& state, const std::function<void()>& half_way);

    const std::string folder_, path_, journal_path_;
    std::optional<Identity> identity_;  // none: nothing is known
    PluginState cached_;
    uint64_t sequence_ = 0;  // of the last change in cached_
    UniqueFd journal_;
    off_t offset_ = 0;  // where the next change goes
    bool lost_ = false;
};

}  // namespace mimic::dra
