// SPDX-License-Identifier: Apache-2.0
#include "mediator/control/audit_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace mimic::mediator {
namespace {

class AuditLogTest : public testing::Test {
protected:
    AuditLogTest() {
        if (::mkdtemp(folder.data()) == nullptr) std::abort();
    }
    ~AuditLogTest() override { std::filesystem::remove_all(folder); }

    static std::vector<nlohmann::json> lines(const std::string& path) {
        std::vector<nlohmann::json> all;
        std::ifstream file(path);
        for (std::string line; std::getline(file, line);)
            all.push_back(nlohmann::json::parse(line));
        return all;
    }

    std::string folder = std::filesystem::temp_directory_path() / "mimic-audit-XXXXXX";
    std::string path;
};

TEST_F(AuditLogTest, HasALineForEachEvent) {
    path = folder + "/audit.log";
    {
        const auto log = *AuditLog::open("m", path);
        log->write({"quarantined", 7, "5 faults"});
        log->write({"odd", std::nullopt, "a\n\"b\xff"});
    }
    const auto all = lines(path);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0]["what"], "quarantined");
    EXPECT_EQ(all[0]["vm"], 7);
    EXPECT_EQ(all[0]["detail"], "5 faults");
    EXPECT_EQ(all[0]["mediator"], "m");
    EXPECT_EQ(all[0]["time"].get<std::string>().size(), 27U);
    EXPECT_FALSE(all[1].contains("vm"));
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(AuditLogTest, IsBoundedByRotation) {
    path = folder + "/audit.log";
    {
        const auto log = *AuditLog::open("m", path, 2000);
        for (int i = 0; i < 200; ++i) log->write({"event", 1, std::string(3000, 'x')});
    }
    // One line is longer than what a file may have: each has its own, and two files are kept.
    EXPECT_EQ(lines(path).size(), 1U);
    EXPECT_EQ(lines(path + ".1").size(), 1U);
    EXPECT_EQ(lines(path)[0]["detail"].get<std::string>().size(), AuditLog::kMaxDetail);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 2);
}

TEST_F(AuditLogTest, GoesOnInANewFileWhenItIsToldTo) {
    path = folder + "/audit.log";
    {
        const auto log = *AuditLog::open("m", path);
        log->write({"before", std::nullopt, ""});
        while (log->counters().written == 0) ::usleep(1000);
        std::filesystem::rename(path, folder + "/kept");
        ASSERT_TRUE(log->reopen(path).has_value());
        log->write({"after", std::nullopt, ""});
        EXPECT_FALSE(log->reopen(folder + "/none/x").has_value());
    }
    EXPECT_EQ(lines(folder + "/kept").at(0)["what"], "before");
    EXPECT_EQ(lines(path).at(0)["what"], "after");
}

TEST_F(AuditLogTest, AFullDiskIsCounted) {
    if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "SKIP: no /dev/full";
    const auto log = *AuditLog::open("m", "/dev/full");
    log->write({"lost", std::nullopt, ""});
    while (log->counters().dropped == 0) ::usleep(1000);
    EXPECT_EQ(log->counters().written, 0U);
}

TEST_F(AuditLogTest, WithoutAFileNothingIsWritten) {
    const auto log = *AuditLog::open("m", "");
    log->write({"x", std::nullopt, ""});
    EXPECT_TRUE(std::filesystem::is_empty(folder));
}

}  // namespace
}  // namespace mimic::mediator
