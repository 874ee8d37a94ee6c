// SPDX-License-Identifier: Apache-2.0
#include "starter/questions.h"

#include <vector>

#include <gmock/gmock.h>

namespace mimic::starter {
namespace {

using testing::HasSubstr;

/// A person with prepared answers; what was asked and said is in `heard`.
struct Person {
    std::vector<std::string> answers;
    std::string heard{};
    size_t next = 0;

    Conversation conversation() {
        return {.ask = [this](const std::string& question) -> std::optional<std::string> {
                    heard += question + "\n";
                    if (next == answers.size()) return std::nullopt;
                    return answers[next++];
                },
                .say = [this](const std::string& line) { heard += line + "\n"; }};
    }
};

TEST(Questions, EmptyAnswersTakeTheShapeAsItIs) {
    Person person{.answers = {"dual-numa", "", "", "", "", "", "", ""}};
    const auto answers = ask_answers(person.conversation());
    ASSERT_TRUE(answers) << answers.error().message();
    EXPECT_EQ(answers->numa_nodes, 2U);
    EXPECT_EQ(answers->name, "dual-numa");
    EXPECT_EQ(answers->all_memory(), 512ull << 20);
    EXPECT_THAT(person.heard, HasSubstr("Memory [512M]: "));
    EXPECT_THAT(person.heard, HasSubstr("8-gpu"));
}

TEST(Questions, AWrongAnswerIsAskedForAgain) {
    Person person{.answers = {"duel-numa", "dual-numa", "No Name", " rack ", "", "x", "16", "3",
                              "2", "7", "2", "6", "lots", "100M", "6G"}};
    const auto answers = ask_answers(person.conversation());
    ASSERT_TRUE(answers) << answers.error().message();
    EXPECT_EQ(answers->name, "rack");
    EXPECT_EQ(answers->numa_nodes, 3U);
    EXPECT_EQ(answers->devices_per_node, 2U);
    EXPECT_EQ(answers->vfs, 7U);
    EXPECT_EQ(answers->cpus, 6U);
    EXPECT_EQ(answers->memory, 6ull << 30);
    EXPECT_THAT(person.heard, HasSubstr("did you mean dual-numa?"));
    EXPECT_THAT(person.heard, HasSubstr("expected a number from 0 to 15"));
    EXPECT_THAT(person.heard, HasSubstr("64M at least for each of 3 NUMA nodes"));
}

TEST(Questions, TheEndOfTheInputWritesNothing) {
    Person person{.answers = {"single"}};
    const auto answers = ask_answers(person.conversation());
    ASSERT_FALSE(answers);
    EXPECT_EQ(answers.error().code(), std::errc::operation_canceled);
    Person stubborn{.answers = std::vector<std::string>(1000, "nonsense")};
    EXPECT_FALSE(ask_answers(stubborn.conversation()));
    EXPECT_LT(stubborn.next, 100U);
}

}  // namespace
}  // namespace mimic::starter
