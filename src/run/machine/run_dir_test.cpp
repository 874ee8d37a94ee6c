// SPDX-License-Identifier: Apache-2.0
#include "machine/run_dir.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/private_files.h"
#include "machine/launch_plan.h"
#include "machine/up_source.h"

namespace mimic::machine {
namespace {

/// A folder of our own as XDG_RUNTIME_DIR, removed at the end.
class RunDirTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "mimic-run-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        ::setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }

    std::string folder_;
};

TEST_F(RunDirTest, ClaimMakesAPrivateFolderThatIsAliveUntilItIsRemoved) {
    const auto root = RunRoot::open();
    ASSERT_TRUE(root) << root.error().message();
    auto claimed = root->claim("node1");
    ASSERT_TRUE(claimed) << claimed.error().message();
    struct stat info {};
    ASSERT_EQ(::stat(claimed->path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0700u);
    EXPECT_TRUE(root->is_alive("node1"));
    EXPECT_EQ(root->names(), std::vector<std::string>{"node1"});

    ASSERT_TRUE(root->remove(std::move(*claimed)));
    EXPECT_FALSE(root->is_alive("node1"));
    EXPECT_TRUE(root->names().empty());
}

TEST_F(RunDirTest, ASecondClaimIsBusy) {
    const auto root = RunRoot::open();
    ASSERT_TRUE(root);
    const auto first = root->claim("node1");
    ASSERT_TRUE(first);
    const auto second = root->claim("node1");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), std::errc::device_or_resource_busy);
    EXPECT_TRUE(root->is_alive("node1"));
}

// `mimic ps` looks while `mimic up` does: neither is the owner.
TEST_F(RunDirTest, SomebodyWhoLooksIsNotTakenForTheOwner) {
    const auto root = RunRoot::open();
    ASSERT_TRUE(root);
    ASSERT_EQ(::mkdir(root->machine_dir("node1").c_str(), 0700), 0);
    const UniqueFd other(
        ::open((root->machine_dir("node1") + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::flock(other.get(), LOCK_SH | LOCK_NB), 0);  // as is_alive() does
    EXPECT_FALSE(root->is_alive("node1"));
    EXPECT_TRUE(root->clean_leftovers("node1"));
}

// The disk of a machine that boots an image lies with its logs; a killed supervisor removes none.
TEST_F(RunDirTest, LeftoversOutsideTheFolderGoToo) {
    const auto root = RunRoot::open();
    ASSERT_TRUE(root);
    const std::string disk = folder_ + "/disk.qcow2";
    ASSERT_TRUE(write_file_atomically(disk, "x"));
    LaunchPlan plan;
    plan.qemu = {"qemu-system-x86_64"};
    plan.temporary_files = {disk};
    {
        const auto claimed = root->claim("node1");
        ASSERT_TRUE(claimed);
        ASSERT_TRUE(write_file_atomically(claimed->path + "/launch.json", to_json(plan)));
    }
    ASSERT_TRUE(root->clean_leftovers("node1"));
    EXPECT_NE(::access(disk.c_str(), F_OK), 0);
    EXPECT_TRUE(root->names().empty());
}

TEST_F(RunDirTest, LeftoversAreReplacedByTheNextClaim) {
    const auto root = RunRoot::open();
    ASSERT_TRUE(root);
    {
        const auto first = root->claim("node1");
        ASSERT_TRUE(first);
        std::ofstream(first->path + "/gpu0.sock") << "stale";
    }  // the lock is free now, as after SIGKILL
    EXPECT_FALSE(root->is_alive("node1"));
    const auto second = root->claim("node1");
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_NE(::access((second->path + "/gpu0.sock").c_str(), F_OK), 0);
}

TEST_F(RunDirTest, ALinkInPlaceOfTheRootIsRefused) {
    ASSERT_EQ(::symlink("/tmp", (folder_ + "/mimic").c_str()), 0);
    const auto root = RunRoot::open();
    ASSERT_FALSE(root);
    EXPECT_EQ(root.error().code(), std::errc::permission_denied);
}

TEST_F(RunDirTest, ARootThatIsOpenToOthersIsRefused) {
    ASSERT_EQ(::mkdir((folder_ + "/mimic").c_str(), 0700), 0);
    ASSERT_EQ(::chmod((folder_ + "/mimic").c_str(), 0770), 0);
    EXPECT_FALSE(RunRoot::open());
}

// As after su(1) that keeps the variable: that user could put a folder of his in place of ours.
TEST_F(RunDirTest, RuntimeFolderOfAnotherUserIsRefused) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder to another user";
    ASSERT_TRUE(RunRoot::open());
    ASSERT_EQ(::chown(folder_.c_str(), 65534, 65534), 0);
    const auto refused = RunRoot::open();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), std::errc::permission_denied);
    EXPECT_NE(refused.error().message().find("XDG_RUNTIME_DIR"), std::string::npos);
    ASSERT_EQ(::chown(folder_.c_str(), 0, 0), 0);
}

TEST(MachineName, OnlyLabelsBecomePartOfAPath) {
    EXPECT_TRUE(is_machine_name("node-1"));
    for (const char* bad : {"", ".", "..", "../x", "a/b", "-a", "a-", "A", "a b", ".lock"})
        EXPECT_FALSE(is_machine_name(bad)) << bad;
    EXPECT_FALSE(is_machine_name(std::string(64, 'a')));
}

TEST_F(RunDirTest, LastLinesAreFitForATerminalWithoutEmptyEnds) {
    const std::string path = folder_ + "/log";
    std::ofstream(path) << "one\n\x1b[31mtwo\x1b[0m\r\n\x07three\n\n\n";
    EXPECT_EQ(last_lines(path, 2), (std::vector<std::string>{"two", "?three"}));
    EXPECT_TRUE(last_lines(folder_ + "/none", 2).empty());
}

TEST(LaunchPlanTest, SurvivesJsonWithAnyBytesInPaths) {
    LaunchPlan plan;
    plan.state.name = "node1";
    plan.state.qemu = {42, 4242};
    plan.state_dir = "/tmp/\xff\xc3\xa4 x";
    plan.qemu = {"qemu", "-device", "{\"driver\":\"vfio-user-pci\"}"};
    plan.device_hosts.push_back({{"mimic", "serve"}});
    plan.shut_down_guest = true;
    const auto again = parse_launch_plan(to_json(plan));
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(again->state_dir, plan.state_dir);
    EXPECT_EQ(again->qemu, plan.qemu);
    EXPECT_EQ(again->device_hosts.at(0).argv, plan.device_hosts.at(0).argv);
    EXPECT_EQ(again->state.qemu.start_time, 4242u);
    EXPECT_TRUE(again->shut_down_guest);
}

TEST(LaunchPlanTest, RefusesWhatItDidNotWrite) {
    EXPECT_FALSE(parse_launch_plan(""));
    EXPECT_FALSE(parse_launch_plan("[]"));
    EXPECT_FALSE(parse_launch_plan("{\"state\": 1}"));
}

TEST(DidYouMean, NamesTheNearestOrAll) {
    EXPECT_EQ(did_you_mean("sinlge", {"dual", "single"}), "; did you mean single?");
    EXPECT_EQ(did_you_mean("unrelated", {"a", "b"}), "; there are a, b");
    EXPECT_EQ(did_you_mean("x", {}), "");
}

}  // namespace
}  // namespace mimic::machine
