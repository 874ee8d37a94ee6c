// SPDX-License-Identifier: Apache-2.0
// Files and folders between the host and a guest, by its stream port and the guest's own shell, cat
// and tar. What a guest sends as a folder is unpacked below the target and nowhere else.
#pragma once

#include <string>

#include "base/result.h"
#include "base/task_runner.h"

namespace mimic::streams {

/// Where a guest is.
struct Guest {
    std::string socket;   // of its relay
    Duration patience{};  // for a program in it to answer
};

/// Creates or replaces `path` in the guest with what `input` has until its end. A `path` that is a
/// folder, or ends in '/', gets the file as `name` in it (empty: it has none). `mode`: permission
/// bits. Errors: those of GuestCommand::start(); io_error with what the guest said. Then the file
/// may hold a part.
Status put_file(const Guest& guest, int input, const std::string& name, unsigned mode,
                const std::string& path);

/// Writes the content of a file in the guest to `output` and returns its permission bits. Errors:
/// as put_file().
Result<unsigned> get_file(const Guest& guest, const std::string& path, int output);

/// Whether it is a folder there. Errors: those of GuestCommand::start().
Result<bool> is_folder(const Guest& guest, const std::string& path);

/// Copies the folder `from` of the host with all that is in it to `path` in the guest, which
/// becomes the copy, or gets it under its name if it is a folder already. Links are copied as
/// links; what is no file, folder or link is left out. Returns how many were. Errors: as
/// put_file(), and those of reading.
Result<unsigned> put_tree(const Guest& guest, const std::string& from, const std::string& path);

/// The other way. The guest is believed nothing: names that leave the copy, by "..", by a leading
/// '/' or through a link, end it with permission_denied; permission bits are 0777 at most.
Result<unsigned> get_tree(const Guest& guest, const std::string& path, const std::string& to);

}  // namespace mimic::streams
