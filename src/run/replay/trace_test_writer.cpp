// SPDX-License-Identifier: Apache-2.0
#include "replay/trace_test_writer.h"
#include "devices/all_models.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/unique_fd.h"
#include "replay/replay.h"
#include "topology/topology.h"

namespace mimic::replay {
namespace {

constexpr size_t kMaxName = 64;  // arbitrary

bool is_name(const std::string& name) {
    const auto is_letter = [](char c) {
        return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0;
    };
    return !name.empty() && name.size() <= kMaxName &&
           std::all_of(name.begin(), name.end(), is_letter) &&
           std::isdigit(static_cast<unsigned char>(name.front())) == 0;
}

Status write_new(const std::string& path, const std::string& text) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!fd) return fail_errno("cannot make {}", path);
    for (size_t done = 0; done < text.size();) {
        const ssize_t written = ::write(fd.get(), text.data() + done, text.size() - done);
        if (written < 0 && errno != EINTR) return fail_errno("cannot write {}", path);
        if (written > 0) done += static_cast<size_t>(written);
    }
    return {};
}

// Ports and fabrics are not replayed, so what they did is no part of the test.
std::set<std::string> functions_of(const trace::TraceFile& file) {
    std::set<std::string> names;
    const auto model = topology::parse(file.header.topology, "topology of the trace",
                                       devices::all_models());
    if (!model) return names;
    const auto* const machine = model->find_machine(file.header.machine);
    if (machine == nullptr) return names;
    for (const auto& fabric : machine->fabrics) {
        names.insert(fabric.name);
        for (const auto& port : fabric.ports) names.insert(port.name);
    }
    return names;
}

std::string trimmed(const trace::TraceFile& file) {
    const auto left_out = functions_of(file);
    std::string text = trace::header_line(file.header);
    uint64_t count = 0;
    uint64_t skipped = 0;
    for (trace::Event event : file.events) {
        if (left_out.contains(event.device)) {
            ++skipped;
            continue;
        }
        // Numbers that were left out on purpose are no events that were lost.
        event.sequence -= skipped;
        text += trace::event_line(event);
        ++count;
    }
    return text + trace::end_line(count, file.lost);
}

std::string test_source(const std::string& name) {
    return fmt::format(
        R"(// SPDX-License-Identifier: Apache-2.0
// Replays {0}.jsonl, which `mimic trace` recorded, and expects that the device models do today
// what they did then. The trace lies beside this file, or in MIMIC_TRACE_DIR if that is defined.
// Link mimic::replay and GTest::gtest_main. With an installed Mimic:
//     find_package(mimic COMPONENTS replay), or
//     g++ -std=c++20 {0}_test.cpp $(pkg-config --cflags --libs mimic-replay gtest_main)
#include <gtest/gtest.h>

#include <string>

#include "replay/replay.h"

TEST(Replay, {0}) {{
#ifdef MIMIC_TRACE_DIR
    const std::string dir = MIMIC_TRACE_DIR "/";
#else
    const std::string here = __FILE__;
    const std::string dir = here.substr(0, here.rfind('/') + 1);
#endif
    EXPECT_EQ(mimic::replay::replay_problem(dir + "{0}.jsonl"), "");
}}
)",
        name);
}

}  // namespace

Status write_replay_test(const trace::TraceFile& file, const std::string& dir,
                         const std::string& name) {
    if (!is_name(name))
        return fail(std::errc::invalid_argument,
                    "\"{}\" cannot be the name of a test: letters, digits and _", name);
    MIMIC_ASSIGN_OR_RETURN(const ReplayResult result, replay_trace(file));
    // A difference is what the test is for: it fails until the model is mended. But a trace that
    // cannot be replayed makes no test.
    if (!result.stopped.empty())
        return fail(std::errc::invalid_argument, "the trace makes no test:\n{}",
                    replay_report(result));
    MIMIC_TRY(write_new(dir + "/" + name + ".jsonl", trimmed(file)));
    return write_new(dir + "/" + name + "_test.cpp", test_source(name));
}

}  // namespace mimic::replay
