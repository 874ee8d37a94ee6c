// SPDX-License-Identifier: Apache-2.0
#include "mediator/control/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/private_files.h"

namespace mimic::mediator {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLinkSuffix = ".at";

std::string runtime_folder() {
    const char* const value = std::getenv("XDG_RUNTIME_DIR");
    return value != nullptr ? value : "";
}

Status make_root(const std::string& root) {
    const std::string parent = root.substr(0, root.rfind('/'));
    // As for machines: with XDG_RUNTIME_DIR the parent may be that of whoever we were before su(1).
    if (runtime_folder().empty()) {
        MIMIC_TRY(make_private_dir(parent));
    } else {
        MIMIC_TRY(check_owner(parent, "set XDG_RUNTIME_DIR to a folder of your own, or unset it"));
    }
    return make_private_dir(root);
}

bool is_held(const std::string& folder) {
    const UniqueFd fd(::open((folder + "/lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    // Shared, so that two who ask at the same time do not take each other for the owner.
    return fd && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace

bool is_mediator_name(std::string_view name) {
    if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-') return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
}

std::string mediators_path() {
    const std::string runtime = runtime_folder();
    if (!runtime.empty()) return runtime + "/mimic-mediator";
    return fmt::format("/tmp/mimic-{}/mimic-mediator", ::geteuid());
}

Result<RunFolder> RunFolder::claim(std::string_view name, const std::string& path) {
    if (!is_mediator_name(name))
        return fail(std::errc::invalid_argument,
                    "\"{}\" is no name of a mediator; expected a-z, 0-9 and '-'",
                    name.substr(0, 64));
    const std::string root = mediators_path();
    const std::string own = fmt::format("{}/{}", root, name);
    const Status rooted = make_root(root);
    RunFolder folder;
    folder.path_ = path.empty() ? own : path;
    if (path.empty()) {
        MIMIC_TRY(rooted);
    } else if (std::error_code error; !fs::exists(path, error)) {
        MIMIC_TRY(make_dirs(path));
    }
    MIMIC_TRY(make_private_dir(folder.path_));
    const std::string lock = folder.path_ + "/lock";
    folder.lock_ = UniqueFd(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!folder.lock_) return fail_errno("{}", lock);
    // Whoever asks whether it is held has it shared for a moment.
    for (int tries = 0; ::flock(folder.lock_.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
        if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno("{}", lock);
        if (tries == 20)
            return fail(std::errc::device_or_resource_busy, "a mediator runs in {} already",
                        folder.path_);
        ::usleep(5000);
    }
    // Who has a folder elsewhere is found by a link; without the root it works, too.
    if (!path.empty() && rooted) {
        const std::string link = own + std::string(kLinkSuffix);
        std::error_code error;
        const auto old = fs::read_symlink(link, error);
        if (!error && old != path && is_held(old))
            return fail(std::errc::device_or_resource_busy,
                        "a mediator called {} runs in {} already; choose another --name", name,
                        old.string());
        ::unlink(link.c_str());
        if (::symlink(path.c_str(), link.c_str()) == 0) folder.link_ = link;
    }
    return folder;
}

RunFolder::~RunFolder() {
    if (lock_ && !link_.empty()) ::unlink(link_.c_str());
}

std::vector<FoundMediator> find_mediators(const std::string& of_all) {
    std::map<std::string, FoundMediator> found;
    std::error_code error;
    for (fs::directory_iterator at(of_all, error), end; !error && at != end; at.increment(error)) {
        std::string name = at->path().filename();
        std::string folder = at->path();
        if (name.ends_with(kLinkSuffix)) {
            name.resize(name.size() - kLinkSuffix.size());
            std::error_code unread;
            folder = fs::read_symlink(at->path(), unread);
        }
        if (!is_mediator_name(name) || folder.empty() || !is_held(folder)) continue;
        found[name] = {name, folder, folder + "/control.sock"};
    }
    std::vector<FoundMediator> all;
    for (auto& [name, mediator] : found) all.push_back(std::move(mediator));
    return all;
}

}  // namespace mimic::mediator
