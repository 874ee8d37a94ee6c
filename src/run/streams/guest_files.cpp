// SPDX-License-Identifier: Apache-2.0
#include "streams/guest_files.h"

#include <sys/stat.h>

#include <charconv>

#include "base/private_files.h"
#include "base/terminal_text.h"
#include "streams/guest_command.h"
#include "streams/guest_words.h"

namespace mimic::streams {
namespace {

/// $1 the target, $2 the file's name, $3 its mode.
constexpr const char* kPut = R"(t=$1
if [ -d "$t" ]; then
  [ -n "$2" ] || { echo "$t is a folder; what has no name needs one" >&2; exit 1; }
  t=${t%/}/$2
else
  case $t in */) echo "$t is no folder" >&2; exit 1;; esac
fi
cat >"$t" && chmod "$3" "$t")";

/// First a line with st_mode in hexadecimal, then the content of $1.
constexpr const char* kGet = R"([ -e "$1" ] || { echo "$1: no such file" >&2; exit 1; }
[ ! -d "$1" ] || { echo "$1 is a folder; cp -r copies folders" >&2; exit 1; }
[ -f "$1" ] || { echo "$1 is no regular file" >&2; exit 1; }
stat -L -c %f "$1" && exec cat "$1")";

Status check_end(const CommandEnd& end, const std::string& said) {
    if (end.shell_status() == 0) return {};
    std::string text = shown(said);
    if (text.empty()) text = fmt::format("its shell ended with status {}", end.shell_status());
    return fail(std::errc::io_error, "in the guest: {}", text);
}

}  // namespace

Status put_file(const Guest& guest, int input, const std::string& name, unsigned mode,
                const std::string& path) {
    std::string said;
    CommandSpec spec{
        .argv = {"/bin/sh", "-c", kPut, "sh", plain(path), name, fmt::format("{:o}", mode & 0777)},
        .input = input};
    spec.output = [&said](int, std::string_view data) -> Status {
        keep(said, data);
        return {};
    };
    MIMIC_ASSIGN_OR_RETURN(const CommandEnd end,
                           run_command(guest.socket, std::move(spec), guest.patience));
    return check_end(end, said);
}

Result<unsigned> get_file(const Guest& guest, const std::string& path, int output) {
    std::string said;
    std::string first;  // the line with the mode
    bool has_mode = false;
    unsigned mode = 0;
    CommandSpec spec{.argv = {"/bin/sh", "-c", kGet, "sh", plain(path)}};
    spec.output = [&](int stream, std::string_view data) -> Status {
        if (stream == 2) {
            keep(said, data);
            return {};
        }
        if (!has_mode) {
            const size_t end = data.find('\n');
            first += data.substr(0, end);
            if (first.size() > 16) return fail(std::errc::protocol_error, "the guest's stat lies");
            if (end == std::string_view::npos) return {};
            const auto [rest, error] = std::from_chars(first.data(), first.data() + first.size(),
                                                       mode, 16);
            if (error != std::errc() || rest != first.data() + first.size())
                return fail(std::errc::protocol_error, "the guest's stat printed no mode");
            has_mode = true;
            data.remove_prefix(end + 1);
        }
        return write_all(output, data);
    };
    MIMIC_ASSIGN_OR_RETURN(const CommandEnd end,
                           run_command(guest.socket, std::move(spec), guest.patience));
    MIMIC_TRY(check_end(end, said));
    if (!has_mode) return fail(std::errc::protocol_error, "the guest's stat printed no mode");
    return mode & 0777;
}

Result<bool> is_folder(const Guest& guest, const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(
        const CommandEnd end,
        run_command(guest.socket, {.argv = {"test", "-d", plain(path)}}, guest.patience));
    return end.shell_status() == 0;
}

}  // namespace mimic::streams
