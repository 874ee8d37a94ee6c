// SPDX-License-Identifier: Apache-2.0
// Trace files that anybody may have written: whatever is in one, it is read or refused with a line,
// and what was read can be written in every format and read again.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "base/check.h"
#include "trace/writer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic::trace;
    std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
    const auto file = read_trace(in, "fuzz");
    if (!file) {
        MIMIC_CHECK(file.error().message().find("line ") != std::string::npos);
        return 0;
    }
    for (const Format format : {Format::kText, Format::kPerfetto, Format::kJsonLines}) {
        std::string text;
        const auto writer = make_writer(format, [&text](std::string_view more) { text += more; });
        writer->begin(file->header);
        for (const Event& event : file->events) writer->event(event);
        writer->end(file->events.size(), file->lost);
        if (format != Format::kJsonLines) continue;
        std::istringstream again(text);
        const auto same = read_trace(again, "again");
        MIMIC_CHECK(same && same->events.size() == file->events.size());
    }
    return 0;
}
