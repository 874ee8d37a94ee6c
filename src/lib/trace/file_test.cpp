// SPDX-License-Identifier: Apache-2.0
#include "trace/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace mimic::trace {
namespace {

using ::testing::HasSubstr;

const TraceHeader kHeader{.mimic = "0.1.0",
                          .machine = "box",
                          .topology = "machines:\n  - name: box\n",
                          .devices = {"gpu0"},
                          .data_bytes = 64};

Event event(uint64_t sequence, int64_t time) {
    return {.sequence = sequence,
            .time_ns = time,
            .device = "gpu0",
            .kind = pci::TraceKind::kConfigRead,
            .size = 4,
            .data = {1, 2, 3, 4}};
}

std::string file_text() {
    return header_line(kHeader) + event_line(event(1, 10)) + event_line(event(5, 10)) +
           end_line(2, 3);
}

Result<TraceFile> read(const std::string& text) {
    std::istringstream in(text);
    return read_trace(in, "t");
}

std::string problem(const std::string& text) {
    const auto file = read(text);
    return file ? "none" : file.error().message();
}

TEST(TraceFile, GoesThroughAFileUnchanged) {
    const auto file = read(file_text());
    ASSERT_TRUE(file) << file.error().message();
    EXPECT_EQ(header_line(file->header), header_line(kHeader));
    ASSERT_EQ(file->events.size(), 2U);
    EXPECT_EQ(file->events[1].sequence, 5U);
    EXPECT_EQ(file->events[1].data, event(1, 1).data);
    EXPECT_EQ(file->lines, (std::vector<size_t>{2, 3}));
    EXPECT_EQ(file->lost, 3U);
}

TEST(TraceFile, EveryTruncationIsNoticed) {
    const std::string text = file_text();
    // Without its last newline it is still whole.
    for (size_t size = 0; size + 1 < text.size(); ++size)
        EXPECT_FALSE(read(text.substr(0, size))) << size;
    EXPECT_THAT(problem(header_line(kHeader) + event_line(event(1, 10))),
                HasSubstr("line 3: the end line is missing"));
    EXPECT_THAT(problem(""), HasSubstr("line 1: the file is empty"));
}

TEST(TraceFile, OtherVersionsAreRefused) {
    EXPECT_THAT(problem(R"({"mimic_trace":2})"), HasSubstr("of format 2"));
    EXPECT_THAT(problem(R"({"mimic_trace":"1"})"), HasSubstr("no trace of mimic's"));
    EXPECT_THAT(problem(R"({"seq":1})"), HasSubstr("line 1: this is no trace"));
}

TEST(TraceFile, ProblemsNameTheirLine) {
    const std::string start = header_line(kHeader);
    EXPECT_THAT(problem(start + "x\n"), HasSubstr("t: line 2: not JSON"));
    EXPECT_THAT(problem(start + "{\"seq\":"), HasSubstr("line 2: it ends in the middle"));
    EXPECT_THAT(problem(start + "[]\n"), HasSubstr("line 2: not a JSON object"));
    EXPECT_THAT(problem(start + event_line(event(2, 1)) + event_line(event(2, 1))),
                HasSubstr("line 3: \"seq\" does not rise"));
    EXPECT_THAT(problem(start + event_line(event(0, 1))), HasSubstr("line 2: \"seq\""));
    EXPECT_THAT(problem(start + event_line(event(1, 9)) + event_line(event(2, 8))),
                HasSubstr("line 3: \"t\" is before"));
    EXPECT_THAT(problem(start + end_line(1, 0)), HasSubstr("line 2: it speaks of 1 event,"));
    EXPECT_THAT(problem(start + "{\"end\":true}"), HasSubstr("line 2: \"events\""));
    EXPECT_THAT(problem(start + end_line(0, 0) + end_line(0, 0)),
                HasSubstr("line 3: there is something behind the end"));
    EXPECT_THAT(problem(start + std::string(kMaxTraceLine + 1, ' ')),
                HasSubstr("line 2: longer than"));
    EXPECT_THAT(problem(start + "{\"seq\":1}\n"), HasSubstr("line 2: \"t\" is missing"));
}

TEST(TraceFile, TheHeaderIsChecked) {
    const std::string right = header_line(kHeader);
    const auto with = [&right](const std::string& from, const std::string& to) {
        std::string text = right;
        text.replace(text.find(from), from.size(), to);
        return problem(text + end_line(0, 0));
    };
    EXPECT_EQ(with("box", "crate"), "none");
    EXPECT_THAT(with("[\"gpu0\"]", "\"gpu0\""), HasSubstr("\"devices\""));
    EXPECT_THAT(with("[\"gpu0\"]", "[7]"), HasSubstr("\"devices\""));
    EXPECT_THAT(with("64", "65537"), HasSubstr("\"data_bytes\""));
    EXPECT_THAT(with("64", "-1"), HasSubstr("\"data_bytes\""));
    EXPECT_THAT(with("\"0.1.0\"", "0"), HasSubstr("\"mimic\""));
    EXPECT_THAT(with("\"topology\"", "\"topologies\""), HasSubstr("must be strings"));
}

TEST(TraceFile, DeepNestingIsNoProblem) {
    EXPECT_THAT(problem(std::string(100'000, '[')),
                HasSubstr("line 1: this is no trace of mimic's"));
    for (const char* perfetto :
         {"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", "{\"traceEvents\":[]}\n"})
        EXPECT_THAT(problem(perfetto), HasSubstr("for Perfetto")) << perfetto;
    const std::string deep = "{\"end\":" + std::string(50'000, '[') + std::string(50'000, ']') +
                             "}";
    EXPECT_THAT(problem(header_line(kHeader) + deep), HasSubstr("line 2"));
}

TEST(TraceFile, AMissingFileSaysSo) {
    const auto file = read_trace_file("/nonexistent/trace.jsonl");
    ASSERT_FALSE(file);
    EXPECT_THAT(file.error().message(), HasSubstr("/nonexistent/trace.jsonl"));
}

}  // namespace
}  // namespace mimic::trace
