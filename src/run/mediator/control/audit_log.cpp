// SPDX-License-Identifier: Apache-2.0
#include "mediator/control/audit_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/private_files.h"

namespace mimic::mediator {
namespace {

// RFC 3339, in UTC, with microseconds.
std::string time_now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    std::tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                       now.tv_nsec / 1000);
}

Result<UniqueFd> open_file(const std::string& path) {
    UniqueFd fd(::open(path.c_str(),
                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600));
    if (!fd) return fail_errno("{}", path);
    return fd;
}

uint64_t size_of(int fd) {
    struct stat info {};
    return ::fstat(fd, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::open(std::string mediator, std::string path,
                                                 uint64_t max_bytes) {
    std::unique_ptr<AuditLog> log(new AuditLog(std::move(mediator), max_bytes));
    MIMIC_TRY(log->reopen(path));
    log->thread_ = std::thread([raw = log.get()] { raw->run(); });
    return log;
}

AuditLog::~AuditLog() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void AuditLog::write(const AuditEvent& event) {
    nlohmann::ordered_json json = {
        {"time", time_now()}, {"mediator", mediator_}, {"what", event.what}};
    if (event.vm) json["vm"] = *event.vm;
    if (!event.detail.empty()) json["detail"] = event.detail.substr(0, kMaxDetail);
    std::string line = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    line += '\n';
    {
        const std::lock_guard lock(mutex_);
        if (waiting_.size() >= kMaxWaiting) {
            ++counters_.dropped;
            return;
        }
        waiting_.push_back(std::move(line));
    }
    changed_.notify_one();
}

Status AuditLog::reopen(const std::string& path) {
    UniqueFd fd;
    if (!path.empty()) {
        MIMIC_ASSIGN_OR_RETURN(fd, open_file(path));
    }
    const std::lock_guard lock(file_mutex_);
    path_ = path;
    size_ = fd ? size_of(fd.get()) : 0;
    fd_ = std::move(fd);
    return {};
}

AuditLog::Counters AuditLog::counters() const {
    const std::lock_guard lock(mutex_);
    return counters_;
}

void AuditLog::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        std::string line = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        put(std::move(line));
        lock.lock();
    }
}

void AuditLog::put(std::string line) {
    bool written = false;
    {
        const std::lock_guard lock(file_mutex_);
        if (!fd_) return;
        if (size_ + line.size() > max_bytes_) rotate();
        written = write_all(fd_.get(), line).has_value();
        if (written) size_ += line.size();
    }
    const std::lock_guard lock(mutex_);
    ++(written ? counters_.written : counters_.dropped);
}

void AuditLog::rotate() {
    if (std::rename(path_.c_str(), (path_ + ".1").c_str()) != 0) {
        const int error = errno;
        if (uint64_t more = 0; rename_log_.allow(SteadyClock().now(), more))
            MIMIC_LOG("mediator", kWarn, "The audit log grows on: {}: {}", path_,
                      std::generic_category().message(error));
        return;
    }
    auto fd = open_file(path_);
    if (!fd) {  // the old one goes on; it has another name now
        MIMIC_LOG("mediator", kWarn, "The audit log stays in its old file: {}",
                  fd.error().message());
        size_ = 0;
        return;
    }
    fd_ = std::move(*fd);
    size_ = size_of(fd_.get());
}

}  // namespace mimic::mediator
