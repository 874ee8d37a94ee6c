// SPDX-License-Identifier: Apache-2.0
// Checkpoint's files; their texts are in checkpoint.cpp.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>

#include "base/log.h"
#include "base/private_files.h"
#include "dra/plugin/checkpoint.h"
#include "dra/plugin/files.h"

namespace mimic::dra {
namespace {

// Some hundred claims of one device; arbitrary.
constexpr off_t kJournalSize = 256 << 10;

Status write_at(int fd, std::string_view text, off_t offset) {
    while (!text.empty()) {
        const ssize_t count = ::pwrite(fd, text.data(), text.size(), offset);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("cannot write the checkpoint's journal");
        text.remove_prefix(static_cast<size_t>(count));
        offset += count;
    }
    return {};
}

}  // namespace

Checkpoint::Checkpoint(std::string folder)
    : folder_(std::move(folder)),
      path_(folder_ + "/checkpoint.json"),
      journal_path_(folder_ + "/checkpoint.journal") {}

bool Checkpoint::same(const Identity& a, const struct stat& b) {
    return a.device == b.st_dev && a.inode == b.st_ino && a.changed.tv_sec == b.st_ctim.tv_sec &&
           a.changed.tv_nsec == b.st_ctim.tv_nsec;
}

Result<PluginState> Checkpoint::load() {
    struct stat info {};
    if (::stat(path_.c_str(), &info) != 0) {
        if (errno != ENOENT) return fail_errno("{}", path_);
        identity_.reset();
        return PluginState{};
    }
    struct stat journal {
    }, ours{};
    const bool is_ours = journal_ && ::stat(journal_path_.c_str(), &journal) == 0 &&
                         ::fstat(journal_.get(), &ours) == 0 && journal.st_ino == ours.st_ino;
    if (identity_ && same(*identity_, info) && is_ours) {
        read_changes();  // of another instance
        return cached_;
    }
    auto text = read_small_file(path_);
    if (!text && text.error().code() != std::errc::file_too_large)
        return tl::unexpected(std::move(text).error());
    auto state = text ? decode_checkpoint(*text, &sequence_)
                      : tl::unexpected(std::move(text).error());
    if (!state) return move_aside(state.error());
    cached_ = std::move(*state);
    MIMIC_TRY(open_journal(false));
    read_changes();
    identity_ = Identity{info.st_dev, info.st_ino, info.st_ctim};
    return cached_;
}

// Its blocks are written once, so that writing a change moves nothing on the disk.
Status Checkpoint::open_journal(bool is_new) {
    if (is_new) MIMIC_TRY(remove_file(journal_path_));
    offset_ = 0;
    journal_.reset(::open(journal_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!journal_) return fail_errno("{}", journal_path_);
    struct stat info {};
    if (::fstat(journal_.get(), &info) != 0) return fail_errno("{}", journal_path_);
    if (info.st_size >= kJournalSize) return {};
    const std::string zeros(static_cast<size_t>(kJournalSize - info.st_size), '\0');
    MIMIC_TRY(write_at(journal_.get(), zeros, info.st_size));
    if (::fsync(journal_.get()) != 0) return fail_errno("cannot write {}", journal_path_);
    return {};
}

// What is behind the last change is zeros, a change that was cut off, or of an older journal: its
// checksum or its sequence says so.
void Checkpoint::read_changes() {
    std::string text(4096, '\0');
    while (true) {
        const ssize_t count = ::pread(journal_.get(), text.data(), text.size(), offset_);
        if (count <= 0) return;
        const auto all = std::string_view(text).substr(0, static_cast<size_t>(count));
        const size_t end = all.find('\n');
        if (end == std::string_view::npos) {
            // A longer line, unless there is none.
            if (all.front() == '\0' || all.size() < text.size() ||
                text.size() >= static_cast<size_t>(kJournalSize))
                return;
            text.resize(2 * text.size());
            continue;
        }
        if (!apply_change(all.substr(0, end), sequence_ + 1, cached_)) return;
        ++sequence_;
        offset_ += static_cast<off_t>(end) + 1;
    }
}

Result<PluginState> Checkpoint::move_aside(const Error& why) {
    const std::string aside = fmt::format("{}.unusable-{}", path_, ::time(nullptr));
    if (::rename(path_.c_str(), aside.c_str()) != 0)
        return fail_errno("{} is unusable ({}) and cannot be moved to {}", path_, why.message(),
                          aside);
    MIMIC_LOG("dra", kError,
              "The checkpoint {} is unusable: {}. It was moved to {}; claims that are prepared are "
              "looked up in the API and in the CDI folder",
              path_, why.message(), aside);
    lost_ = true;
    identity_.reset();
    return PluginState{};
}

Status Checkpoint::append(const std::string& line, const std::function<void()>& half_way) {
    const auto half = std::string_view(line).substr(0, line.size() / 2);
    Status written;
    if (half_way) {
        written = write_at(journal_.get(), half, offset_);
        half_way();
    }
    if (written) written = write_at(journal_.get(), line, offset_);
    if (written && ::fdatasync(journal_.get()) != 0)
        written = fail_errno("cannot write {}", journal_path_);
    if (!written) {
        // Nobody may take it for done.
        [[maybe_unused]] const auto undone = write_at(journal_.get(), "\n", offset_);
        return written;
    }
    offset_ += static_cast<off_t>(line.size());
    return {};
}

Status Checkpoint::rewrite(const PluginState& state, const std::function<void()>& half_way) {
    // Without the first file, changes in the second are of another time.
    if (!identity_) {
        MIMIC_TRY(open_journal(true));
        sequence_ = 0;
    }
    const uint64_t sequence = sequence_ + 1;
    identity_.reset();
    MIMIC_TRY(
        replace_file(path_, encode_checkpoint(state, sequence),
                     {.durability = Durability::kSynced, .mode = 0600, .before_rename = half_way}));
    sequence_ = sequence;
    offset_ = 0;
    cached_ = state;
    struct stat info {};
    if (::stat(path_.c_str(), &info) == 0)
        identity_ = Identity{info.st_dev, info.st_ino, info.st_ctim};
    return {};
}

Status Checkpoint::store(const PluginState& state, const std::function<void()>& half_way) {
    if (!identity_ || state.claims.empty()) return rewrite(state, half_way);
    const auto line = encode_change(cached_, state, sequence_ + 1);
    if (offset_ + static_cast<off_t>(line.size()) > kJournalSize) return rewrite(state, half_way);
    MIMIC_TRY(append(line, half_way));
    ++sequence_;
    cached_ = state;
    return {};
}

void Checkpoint::remove_temporaries() const {
    dra::remove_temporaries(folder_);
}

}  // namespace mimic::dra
