// SPDX-License-Identifier: Apache-2.0
#include "host/trace_dump.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <fstream>
#include <future>

#include "base/private_files.h"

namespace mimic::host {
namespace {

class TraceDump : public ::testing::Test {
protected:
    TraceDump() {
        std::string pattern = ::testing::TempDir() + "/dumps-XXXXXX";
        dir_ = ::mkdtemp(pattern.data());
    }
    ~TraceDump() override { EXPECT_TRUE(remove_tree(dir_)); }

    TraceDumper::Dump dump(const char* device) {
        auto ring = std::make_unique<pci::TraceRing>(pci::kMinTraceBytes, clock_);
        ring->record(ring->source(device), {.kind = pci::TraceKind::kMsix, .value = 3});
        return {.device = device, .ring = std::move(ring)};
    }
    std::string path(const std::string& name) const { return dir_ + "/" + name; }

    SteadyClock clock_;
    std::string dir_;
};

TEST_F(TraceDump, IsATraceFileThatOthersCannotRead) {
    TraceDumper::Options options{.dir = dir_};
    options.header.machine = "box";
    TraceDumper dumper(options);
    dumper.write_now(dump("gpu0"));
    const auto file = trace::read_trace_file(path("trace-gpu0-0.jsonl"));
    ASSERT_TRUE(file) << file.error().message();
    EXPECT_EQ(file->header.machine, "box");
    ASSERT_EQ(file->events.size(), 1U);
    EXPECT_EQ(file->events[0].value, 3U);
    struct stat status {};
    ASSERT_EQ(::stat(path("trace-gpu0-0.jsonl").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(TraceDump, TheOldestMakeRoom) {
    TraceDumper dumper({.dir = dir_});
    for (size_t i = 0; i < kMaxDumps + 3; ++i) dumper.write_now(dump("gpu0"));
    EXPECT_NE(::access(path("trace-gpu0-2.jsonl").c_str(), F_OK), 0);
    EXPECT_EQ(::access(path("trace-gpu0-3.jsonl").c_str(), F_OK), 0);
    EXPECT_EQ(dumper.paths().size(), kMaxDumps);
    EXPECT_EQ(dumper.paths().front(), path("trace-gpu0-3.jsonl"));
}

TEST_F(TraceDump, FollowsNoLink) {
    const std::string precious = path("precious");
    std::ofstream(precious) << "mine";
    ASSERT_EQ(::symlink(precious.c_str(), path("trace-gpu0-0.jsonl").c_str()), 0);
    // The number of the link is taken, so this is number 1; a link there is passed over, too.
    ASSERT_EQ(::symlink(precious.c_str(), path("trace-gpu0-1.json").c_str()), 0);
    TraceDumper dumper({.dir = dir_});
    dumper.write_now(dump("gpu0"));
    std::string text;
    std::ifstream(precious) >> text;
    EXPECT_EQ(text, "mine");
    EXPECT_EQ(dumper.paths(), std::vector<std::string>{path("trace-gpu0-1.jsonl")});
}

TEST_F(TraceDump, NamesCannotLeaveTheFolder) {
    TraceDumper dumper({.dir = dir_});
    dumper.write_now(dump("../../x"));
    EXPECT_EQ(dumper.paths(), std::vector<std::string>{path("trace-.._.._x-0.jsonl")});
}

TEST_F(TraceDump, IsWrittenByAnotherThread) {
    std::mutex mutex;
    std::condition_variable changed;
    std::string written;
    TraceDumper dumper(
        {.dir = dir_, .header = {}, .written = [&](const std::string& file, const std::string&) {
             const std::lock_guard lock(mutex);
             written = file;
             changed.notify_all();
         }});
    ASSERT_TRUE(dumper.claim());
    EXPECT_FALSE(dumper.claim()) << "the next one is too early";
    dumper.submit(dump("gpu0"));
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return !written.empty(); }));
    EXPECT_EQ(written, path("trace-gpu0-0.jsonl"));
}

// A device host that is killed while the dump of an earlier fault is being written.
TEST_F(TraceDump, LastWordsComeBehindTheDumpThatIsBeingWritten) {
    std::promise<void> all;
    TraceDumper* dumper = nullptr;
    bool is_first = true;
    TraceDumper owner(
        {.dir = dir_, .header = {}, .written = [&](const std::string&, const std::string&) {
             if (!std::exchange(is_first, false)) return;
             dumper->submit(dump("dropped"));
             dumper->submit(dump("last"), TraceDumper::Rank::kLastWords);
             dumper->when_written([&] { all.set_value(); });
         }});
    dumper = &owner;
    owner.submit(dump("first"));
    ASSERT_EQ(all.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
    EXPECT_EQ(owner.paths(),
              (std::vector<std::string>{path("trace-first-0.jsonl"), path("trace-last-1.jsonl")}));
}

TEST_F(TraceDump, WithoutAFolderNothingIsWritten) {
    TraceDumper dumper({.dir = ""});
    EXPECT_FALSE(dumper.claim());
    dumper.write_now(dump("gpu0"));
    EXPECT_TRUE(dumper.paths().empty());
}

}  // namespace
}  // namespace mimic::host
