// SPDX-License-Identifier: Apache-2.0
// Copying one regular file between the host and a guest, through its agent. About 1 MiB/s under an
// emulated CPU, so it is for programs, modules and logs; a disk image belongs on a disk.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "guest_agent/guest_agent.h"

namespace mimic::guest_agent {

/// On the host, standard input or output.
inline constexpr std::string_view kStandardStream = "-";

/// A file on its way.
struct CopiedFile {
    std::string name;  // last part of its path; empty: from standard input
    std::string data;
    unsigned mode = 0644;  // permission bits
};

/// Reads a file of the host or, through `agent`, of a guest. Errors: is_a_directory and
/// invalid_argument for what is no regular file, file_too_large above GuestAgent::kMaxDataBytes,
/// and those of reading it.
Result<CopiedFile> fetch_from_host(const std::string& path);
Result<CopiedFile> fetch_from_guest(GuestAgent& agent, const std::string& path);

/// Writes it to `path`, under its own name if `path` is a folder or ends in '/'. On the host a
/// regular file is replaced as a whole or not at all. Errors: not_a_directory ("x/" that is none),
/// those of writing.
Status store_on_host(const CopiedFile& file, const std::string& path);
Status store_in_guest(GuestAgent& agent, const CopiedFile& file, const std::string& path);

}  // namespace mimic::guest_agent
