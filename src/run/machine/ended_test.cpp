// SPDX-License-Identifier: Apache-2.0
#include "machine/ended.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/private_files.h"
#include "machine/launch_plan.h"

namespace mimic::machine {
namespace {

/// Folders of our own for running machines and for what is left of them.
class EndedTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "mimic-ended-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        ::setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
        ::setenv("XDG_STATE_HOME", (folder_ + "/state").c_str(), 1);
        ASSERT_EQ(::mkdir((folder_ + "/state").c_str(), 0700), 0);
        ASSERT_EQ(::mkdir((folder_ + "/state/mimic").c_str(), 0700), 0);
    }
    void TearDown() override {
        ::unsetenv("XDG_STATE_HOME");
        EXPECT_TRUE(remove_tree(folder_));
    }

    std::string logs_of(const std::string& name) const { return folder_ + "/state/mimic/" + name; }

    void end(const std::string& name, const std::string& reason, bool asked, time_t time) {
        ASSERT_TRUE(make_dirs(logs_of(name)));
        MachineState state;
        state.name = name;
        state.accel = "tcg";
        state.kernel = "6.1";
        state.started = "2026-01-31T12:00:00Z";
        state.file = "/a/file.yaml";
        state.functions = 3;
        ASSERT_TRUE(note_end(logs_of(name), state, reason, {"why"}, asked));
        const timespec times[2] = {{time, 0}, {time, 0}};
        ASSERT_EQ(::utimensat(AT_FDCWD, (logs_of(name) + "/exit-reason").c_str(), times, 0), 0);
    }

    std::string folder_;
};

TEST_F(EndedTest, TellsWhatEndedAndWhyNewestFirst) {
    const auto root = RunRoot::open();
    ASSERT_TRUE(root);
    end("old", "stopped on request", true, 1'000'000'000);
    end("new", "QEMU was killed by signal 9", false, 1'700'000'000);
    const auto all = ended_machines(*root);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 2u);
    EXPECT_EQ((*all)[0].name, "new");
    EXPECT_EQ((*all)[0].reason, "QEMU was killed by signal 9");
    EXPECT_EQ((*all)[0].ended, "2023-11-14T22:13:20Z");
    EXPECT_EQ((*all)[0].started, "2026-01-31T12:00:00Z");
    EXPECT_EQ((*all)[0].functions, 3u);
    EXPECT_FALSE((*all)[0].asked);
    EXPECT_EQ((*all)[1].name, "old");
    EXPECT_TRUE((*all)[1].asked);
    EXPECT_EQ(end_of("old"), "stopped on request");
    EXPECT_EQ(end_of("never"), "");
}

TEST_F(EndedTest, FilesThatAreDamagedOrNotOursAreNoEnd) {
    const auto root = RunRoot::open();
    ASSERT_TRUE(root);
    ASSERT_TRUE(make_dirs(logs_of("empty")));
    ASSERT_TRUE(make_dirs(logs_of(".cluster-others")));
    ASSERT_TRUE(write_file_atomically(logs_of(".cluster-others") + "/exit-reason", "x\n"));
    end("hostile", "a\x1b[2Jb\x01", false, 1'700'000'000);
    ASSERT_TRUE(write_file_atomically(logs_of("hostile") + "/ended.json",
                                      R"({"accel": 7, "functions": -1, "asked": "x"})"));
    ASSERT_TRUE(make_dirs(logs_of("killed")));
    ASSERT_TRUE(write_file_atomically(logs_of("killed") + "/supervisor.log", ""));
    const auto all = ended_machines(*root);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 2u);
    EXPECT_EQ((*all)[0].name, "killed");
    EXPECT_NE((*all)[0].reason.find("unknown"), std::string::npos);
    EXPECT_EQ((*all)[1].name, "hostile");
    EXPECT_EQ((*all)[1].reason, "ab?");
    EXPECT_EQ((*all)[1].accel, "");
    EXPECT_EQ((*all)[1].functions, 0u);
}

TEST_F(EndedTest, OneThatRunsAgainHasNotEndedAndIsNotRemoved) {
    const auto root = RunRoot::open();
    ASSERT_TRUE(root);
    end("again", "stopped on request", true, 1'700'000'000);
    auto claimed = root->claim("again");
    ASSERT_TRUE(claimed);
    EXPECT_TRUE(ended_machines(*root)->empty());
    const Status removed = root->remove_logs("again");
    ASSERT_FALSE(removed);
    EXPECT_EQ(removed.error().code(), std::errc::device_or_resource_busy);
    ASSERT_TRUE(root->remove(std::move(*claimed)));
    EXPECT_TRUE(root->remove_logs("again"));
    EXPECT_TRUE(ended_machines(*root)->empty());
    EXPECT_FALSE(root->remove_logs("../again"));
}

TEST_F(EndedTest, KeepsTheNewest) {
    const auto root = RunRoot::open();
    ASSERT_TRUE(root);
    for (int i = 0; i < 5; ++i) end("m" + std::to_string(i), "x", true, 1'700'000'000 + i);
    prune_ended(*root, 2);
    const auto all = ended_machines(*root);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 2u);
    EXPECT_EQ((*all)[0].name, "m4");
    EXPECT_EQ((*all)[1].name, "m3");
}

TEST_F(EndedTest, WhoCleansUpAfterAKilledSupervisorSaysSo) {
    const auto root = RunRoot::open();
    ASSERT_TRUE(root);
    ASSERT_TRUE(make_dirs(logs_of("node1")));
    ASSERT_EQ(::mkdir(root->machine_dir("node1").c_str(), 0700), 0);
    LaunchPlan plan;
    plan.qemu = {"qemu-system-x86_64"};
    plan.state_dir = logs_of("node1");
    MachineState state;
    state.name = "node1";
    state.started = "2026-01-31T12:00:00Z";
    ASSERT_TRUE(write_file_atomically(root->machine_dir("node1") + "/launch.json", to_json(plan)));
    ASSERT_TRUE(write_machine_state(root->machine_dir("node1"), state));
    EXPECT_TRUE(ended_machines(*root)->empty());  // it is a leftover
    ASSERT_TRUE(root->clean_leftovers("node1"));
    const auto all = ended_machines(*root);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 1u);
    EXPECT_EQ((*all)[0].reason, "its supervisor was killed");
    EXPECT_FALSE((*all)[0].asked);
}

}  // namespace
}  // namespace mimic::machine
