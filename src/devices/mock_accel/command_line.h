// SPDX-License-Identifier: Apache-2.0
// The command line of mock-accel-server: that of mock-device ("mock-accel-server Parameters"), with
// --vf-index of its cluster scripts, and --help and --version. Pure: prints nothing and opens
// nothing.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "devices/mock_accel/mock_accel.h"

namespace mimic::mock_accel {

/// What mock-accel-server was asked to do.
struct CommandLine {
    enum class Action : uint8_t { kServe, kHelp, kVersion };

    Action action = Action::kServe;
    bool verbose = false;
    std::string socket_path;            // empty unless action is kServe
    Options device;                     // `name` is the socket path
    std::vector<std::string> warnings;  // whole sentences about what was accepted and ignored
};

/// Parses the arguments behind the program's name, as getopt_long(3) would: options and the socket
/// path in any order,
/// "--" ends options, -u and -m take their value joined or apart, long options with "=" or apart,
/// and may be shortened while unambiguous. Of an option given twice the last one counts. Error
/// invalid_argument: a sentence for the user.
Result<CommandLine> parse_command_line(std::span<const std::string_view> arguments);

/// Same, from main()'s parameters.
Result<CommandLine> parse_command_line(int argc, char* const argv[]);

/// "4096", "64K", "512M", "16G", "1T", of either case (powers of 1024), as bytes. Error
/// invalid_argument for an empty text, 0, a sign, anything behind the suffix, and
/// result_out_of_range for 2^64 bytes or more.
Result<uint64_t> parse_size(std::string_view text);

/// The text of --help; ends with a newline.
std::string_view usage();

}  // namespace mimic::mock_accel
