// SPDX-License-Identifier: Apache-2.0
#include "machine/boot_display.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

/// A boot of 10 s whose kernel began after 2 s.
BootHistory a_past() {
    BootTimes times;
    times[BootStage::kDevices] = 0;
    times[BootStage::kKernel] = 2;
    times[BootStage::kReady] = 10;
    BootHistory history;
    history.add("kind", times);
    return history;
}

/// What a display wrote.
std::string written_by(ProgressKind kind, const std::function<void(BootDisplay&)>& work) {
    char* text = nullptr;
    size_t size = 0;
    std::FILE* const out = ::open_memstream(&text, &size);
    const BootHistory history = a_past();
    {
        BootDisplay display(out, kind, history);
        work(display);
    }
    std::fclose(out);
    std::string written(text, size);
    std::free(text);  // NOLINT(cppcoreguidelines-no-malloc): open_memstream(3) allocates
    return written;
}

TEST(BootDisplay, SaysStageTimeAndRest) {
    const TimePoint start{};
    std::map<std::string, BootDisplay::Row> rows;
    rows["lab"] = {.kind = "kind", .stage = BootStage::kKernel, .stage_begun = start + 2s};
    EXPECT_EQ(boot_line(rows, a_past(), start, start + 4s),
              "booting lab: kernel, 4 s, about 6 s more");
    EXPECT_EQ(boot_line(rows, a_past(), start, start + 60s), "booting lab: kernel, 60 s, soon up");
    EXPECT_EQ(boot_line(rows, BootHistory(), start, start + 4s), "booting lab: kernel, 4 s");
}

TEST(BootDisplay, OfSeveralItShowsTheOneThatTakesLongest) {
    const TimePoint start{};
    std::map<std::string, BootDisplay::Row> rows;
    rows["a"] = {.kind = "kind", .stage = BootStage::kKernel, .stage_begun = start};
    rows["b"] = {.kind = "kind", .stage = BootStage::kDevices, .stage_begun = start};
    rows["c"] = {.kind = "kind", .stage = BootStage::kReady, .stage_begun = start, .ended = true};
    EXPECT_EQ(boot_line(rows, a_past(), start, start + 1s),
              "booting 3 machines (1 up): b: devices, 1 s, about 9 s more");
    rows["a"].ended = rows["b"].ended = true;
    EXPECT_EQ(boot_line(rows, a_past(), start, start + 1s), "");
}

TEST(BootDisplay, AFastBootNeedsNoWords) {
    const auto quick = [](BootDisplay& display) {
        display.begin("lab", "kind");
        display.enter("lab", BootStage::kReady);
        display.end("lab");
    };
    EXPECT_EQ(written_by(ProgressKind::kNone, quick), "");
    EXPECT_EQ(written_by(ProgressKind::kAuto, quick).find('\r'), std::string::npos);
}

TEST(BootDisplay, EventsAreJsonLines) {
    std::istringstream lines(written_by(ProgressKind::kJson, [](BootDisplay& display) {
        display.begin("lab", "kind");
        display.enter("lab", BootStage::kKernel);
        display.enter("lab", BootStage::kInit);
    }));
    std::vector<std::string> stages;
    for (std::string line; std::getline(lines, line);) {
        const auto event = nlohmann::json::parse(line);
        EXPECT_EQ(event["event"], "boot-stage");
        EXPECT_EQ(event["machine"], "lab");
        EXPECT_EQ(event["rest"].is_null(), event["stage"] == "init");
        stages.push_back(event["stage"]);
    }
    EXPECT_EQ(stages, (std::vector<std::string>{"devices", "kernel", "init"}));
}

}  // namespace
}  // namespace mimic::machine
