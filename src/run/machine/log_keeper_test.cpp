// SPDX-License-Identifier: Apache-2.0
// Logs of guests that print for ever.
#include "machine/log_keeper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/private_files.h"
#include "base/unique_fd.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class LogKeeperTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "mimic-logs-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }

    std::string path() const { return folder_ + "/console.log"; }
    static std::string content(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::string folder_;
};

TEST_F(LogKeeperTest, LongLogMovesAndItsWriterGoesOn) {
    const UniqueFd writer(::open(path().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600));
    ASSERT_TRUE(write_all(writer.get(), "0123456789"));
    EXPECT_FALSE(shorten_log(path(), 10));
    EXPECT_FALSE(fs::exists(old_log(path())));
    ASSERT_TRUE(write_all(writer.get(), "abc"));
    EXPECT_TRUE(shorten_log(path(), 10));
    EXPECT_EQ(content(old_log(path())), "3456789abc");
    EXPECT_EQ(content(path()), "");
    ASSERT_TRUE(write_all(writer.get(), "next"));
    EXPECT_EQ(content(path()), "next") << "no hole before what is appended";
    ASSERT_TRUE(write_all(writer.get(), std::string(20, 'x')));
    EXPECT_TRUE(shorten_log(path(), 10));
    EXPECT_EQ(content(old_log(path())), std::string(10, 'x')) << "one old file, not many";
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
}

TEST_F(LogKeeperTest, OnlyFilesAreShortened) {
    EXPECT_FALSE(shorten_log(path(), 1));
    const std::string other = folder_ + "/other";
    std::ofstream(other) << "precious";
    fs::create_symlink(other, path());
    EXPECT_FALSE(shorten_log(path(), 1));
    EXPECT_EQ(content(other), "precious");
    EXPECT_FALSE(shorten_log(folder_, 0));
}

TEST_F(LogKeeperTest, OldFileThatCannotBeMadeDoesNotKeepTheLog) {
    std::ofstream(path()) << "long";
    fs::create_directory(old_log(path()));  // nothing can be renamed to it
    EXPECT_TRUE(shorten_log(path(), 3));
    EXPECT_EQ(content(path()), "");
}

// As a guest with `yes >/dev/ttyS0`: far more than the limit in all.
TEST_F(LogKeeperTest, EndlessLogStaysBounded) {
    constexpr uint64_t kLimit = 64 << 10;
    const UniqueFd writer(::open(path().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600));
    const LogKeeper keeper({.paths = {path()}, .limit = kLimit, .period = 1ms});
    const std::string line(1023, 'y');
    uint64_t largest = 0;
    for (unsigned i = 0; i < 1000; ++i) {
        ASSERT_TRUE(write_all(writer.get(), line + "\n"));
        // A writer that waits when the keeper has not had its turn; time decides nothing here.
        while (fs::file_size(path()) > 2 * kLimit) ::usleep(100);
        largest = std::max(largest, fs::file_size(path()));
    }
    EXPECT_GT(largest, kLimit) << "was the log ever too long?";
    const uint64_t kept = fs::file_size(old_log(path()));
    EXPECT_GT(kept, 0u);
    EXPECT_LE(kept, 2 * kLimit + line.size() + 1) << "what was copied and came meanwhile";
}

}  // namespace
}  // namespace mimic::machine
