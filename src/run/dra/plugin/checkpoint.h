// SPDX-License-Identifier: Apache-2.0
// Checkpoint: the file that holds what is prepared, so that a plugin that ends, is killed or is
// replaced by a newer one goes on. JSON:
//
//   {"version": 1, "checksum": "<16 hexadecimal digits>", "data": {"bootID", "claims", "madeVFs"}}
//
// The checksum is FNV-1a (64 bits) of `data` as compact text with sorted keys.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dra/plugin/record.h"

namespace mimic::dra {

inline constexpr int kCheckpointVersion = 1;

/// Text of the file. Pure.
std::string encode_checkpoint(const PluginState& state);

/// The state of a file's text, which is untrusted: names become parts of paths. Errors:
/// not_supported for a newer version; bad_message with what is wrong. Pure.
Result<PluginState> decode_checkpoint(std::string_view text);

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

    /// Makes `state` what is on disk: a temporary file, synced, renamed, and the folder synced.
    /// `before_rename` is called when the temporary is whole. Errors: those of the system; then the
    /// old state is still there.
    Status store(const PluginState& state, const std::function<void()>& before_rename = {});

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

    const std::string folder_, path_;
    std::optional<Identity> identity_;
    PluginState cached_;
    bool lost_ = false;
};

}  // namespace mimic::dra
