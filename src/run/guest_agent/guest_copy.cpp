// SPDX-License-Identifier: Apache-2.0
// What kind of file a guest has is asked with stat(1) and test(1), which busybox and every
// distribution have.
#include "guest_agent/guest_copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <optional>

#include "guest_image/cache_file.h"
#include "guest_image/initramfs.h"

namespace mimic::guest_agent {
namespace {

namespace fs = std::filesystem;

constexpr auto kQuestion = std::chrono::seconds(30);  // arbitrary; takes milliseconds

std::string last_part(const std::string& path) {
    return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

std::string joined(const std::string& folder, const std::string& name) {
    return folder.ends_with('/') ? folder + name : folder + "/" + name;
}

/// st_mode as stat(1) prints it: hexadecimal and a newline.
std::optional<unsigned> parse_mode(std::string_view text) {
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    unsigned mode = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 16);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return mode;
}

Status check_kind(unsigned mode, const std::string& path) {
    if (S_ISDIR(mode)) {
        return fail(std::errc::is_a_directory,
                    "{} is a folder; only regular files are copied (pack it with tar first)", path);
    }
    if (!S_ISREG(mode)) return fail(std::errc::invalid_argument, "{} is no regular file", path);
    return {};
}

Result<CopiedFile> read_standard_input() {
    CopiedFile file;
    std::string buffer(65536, '\0');
    for (;;) {
        const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("read standard input");
        if (count == 0) return file;
        file.data.append(buffer.data(), static_cast<size_t>(count));
        if (file.data.size() > GuestAgent::kMaxDataBytes) {
            return fail(std::errc::file_too_large,
                        "standard input is larger than {} MiB; mimic exec NODE -- sh -c 'cat "
                        ">FILE' takes more",
                        GuestAgent::kMaxDataBytes >> 20);
        }
    }
}

}  // namespace

Result<CopiedFile> fetch_from_host(const std::string& path) {
    if (path == kStandardStream) return read_standard_input();
    struct stat st;
    if (::stat(path.c_str(), &st) != 0) return fail_errno("{}", path);
    MIMIC_TRY(check_kind(st.st_mode, path));
    CopiedFile file;
    file.name = last_part(path);
    file.mode = st.st_mode & 0777;
    MIMIC_ASSIGN_OR_RETURN(file.data, guest_image::read_host_file(path, GuestAgent::kMaxDataBytes));
    return file;
}

Result<CopiedFile> fetch_from_guest(GuestAgent& agent, const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(const GuestAgent::ExecResult stat,
                           agent.exec({"stat", "-L", "-c", "%f", "--", path}, {}, kQuestion));
    if (stat.exit_status != 0 || stat.signal != 0) {
        return fail(std::errc::no_such_file_or_directory, "{} in the guest: no such file", path);
    }
    const auto mode = parse_mode(stat.out);
    if (!mode) return fail(std::errc::protocol_error, "the guest's stat printed no mode");
    MIMIC_TRY(check_kind(*mode, path));
    CopiedFile file;
    file.name = last_part(path);
    file.mode = *mode & 0777;
    MIMIC_ASSIGN_OR_RETURN(file.data, agent.read_file(path));
    return file;
}

Status store_on_host(const CopiedFile& file, const std::string& path) {
    if (path == kStandardStream) return write_all(STDOUT_FILENO, file.data);
    std::error_code ignored;
    const fs::file_status status = fs::status(path, ignored);
    if (path.ends_with('/') && !fs::is_directory(status)) {
        return fail(std::errc::not_a_directory, "{} is no folder", path);
    }
    const std::string target = fs::is_directory(status) ? joined(path, file.name) : path;
    const fs::file_status existing = fs::status(target, ignored);
    if (fs::exists(existing) && !fs::is_regular_file(existing)) {
        // A device or a FIFO: /dev/stdout, say.
        const UniqueFd fd(::open(target.c_str(), O_WRONLY | O_CLOEXEC));
        if (!fd) return fail_errno("open {}", target);
        return write_all(fd.get(), file.data);
    }
    return publish_file(target, [&file](int fd) -> Status {
        MIMIC_TRY(write_all(fd, file.data));
        if (::fchmod(fd, file.mode) != 0) return fail_errno("chmod");
        return {};
    });
}

Status store_in_guest(GuestAgent& agent, const CopiedFile& file, const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(const GuestAgent::ExecResult folder,
                           agent.exec({"test", "-d", path}, {}, kQuestion));
    const bool is_folder = folder.exit_status == 0 && folder.signal == 0;
    if (path.ends_with('/') && !is_folder) {
        return fail(std::errc::not_a_directory, "{} in the guest is no folder", path);
    }
    if (is_folder && file.name.empty()) {
        return fail(std::errc::is_a_directory,
                    "{} in the guest is a folder; what comes from standard input needs a name",
                    path);
    }
    return agent.write_file(is_folder ? joined(path, file.name) : path, file.data, file.mode);
}

}  // namespace mimic::guest_agent
