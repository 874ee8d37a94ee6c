// SPDX-License-Identifier: Apache-2.0
#include "commands/trace_command.h"

#include <unistd.h>

#include <cstdio>
#include <deque>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/interrupt.h"
#include "base/terminal_text.h"
#include "gateway/api_client.h"
#include "replay/trace_test_writer.h"
#include "service/client.h"
#include "service/peer_json.h"

namespace mimic::commands {
namespace {

using service::string_member;
using service::uint_member;
using Json = nlohmann::ordered_json;

constexpr Duration kPoll = std::chrono::milliseconds(100);  // arbitrary
constexpr uint64_t kRecordingBytes = uint64_t{64} << 20;    // of each loop; arbitrary
constexpr uint32_t kTestDataBytes = 64U << 10;              // what a replay needs
constexpr const char* kAnswerLimit = "4096";

// What `output` is called says what people want in it.
trace::Format format_of(const TraceOptions& options) {
    if (!options.to_test.empty()) return trace::Format::kJsonLines;
    if (options.format) return *options.format;
    if (options.output.ends_with(".jsonl")) return trace::Format::kJsonLines;
    if (options.output.ends_with(".json")) return trace::Format::kPerfetto;
    return trace::Format::kText;
}

// Records with payload while it lives, and puts the settings back at its end.
class Recording {
public:
    Recording(const gateway::ApiClient& client, std::string path)
        : client_(client), path_(std::move(path)) {}
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;
    ~Recording() {
        if (before_.is_null()) return;
        const auto put = client_.put(path_, before_);
        if (!put && put.error().code() != std::errc::no_such_file_or_directory)
            std::fputs("mimic: warning: the settings of the trace could not be put back\n", stderr);
    }

    Status begin(const Json& status, const TraceOptions& options, uint32_t data_bytes) {
        Json wanted{{"enabled", true},
                    {"devices", options.devices.empty() ? Json("all") : Json(options.devices)},
                    {"data_bytes", data_bytes},
                    {"buffer_bytes",
                     std::max(uint_member(status, "buffer_bytes").value_or(0), kRecordingBytes)}};
        MIMIC_ASSIGN_OR_RETURN([[maybe_unused]] const Json now, client_.put(path_, wanted));
        before_ = Json::object();
        for (const char* key : {"enabled", "devices", "data_bytes", "buffer_bytes"})
            if (status.contains(key)) before_[key] = status[key];
        return {};
    }

private:
    const gateway::ApiClient& client_;
    const std::string path_;
    Json before_;
};

// Takes the events of a machine and writes them.
class Tracer {
public:
    Tracer(const gateway::ApiClient& client, const TraceOptions& options, std::ostream& out)
        : client_(client),
          options_(options),
          writer_(trace::make_writer(format_of(options),
                                     [&out](std::string_view text) { out << text; })),
          out_(out) {}

    Status run() {
        MIMIC_ASSIGN_OR_RETURN(path_, gateway::ApiClient::machine_path(options_.machine));
        path_ += "/trace";
        MIMIC_ASSIGN_OR_RETURN(const Json status, client_.get(path_));
        MIMIC_ASSIGN_OR_RETURN(trace::TraceHeader header, header_of(status));
        Recording recording(client_, path_);
        const bool records = options_.data_bytes || !options_.to_test.empty();
        live_ = options_.follow || options_.seconds || records;
        if (live_) cursor_ = string_member(status, "newest");
        if (records) {
            header.data_bytes = options_.data_bytes.value_or(kTestDataBytes);
            MIMIC_TRY(recording.begin(status, options_, header.data_bytes));
        } else if (status.value("enabled", Json(false)) != true) {
            return fail(std::errc::invalid_argument,
                        "nothing is recorded: the machine was started with --trace-buffer 0; "
                        "--data begins a recording");
        }
        if (live_) std::fputs(recording_line(options_).c_str(), stderr);
        writer_->begin(header);
        MIMIC_TRY(take_all());
        for (const auto& event : kept_) writer_->event(event);
        writer_->end(events_, lost_);
        out_.flush();
        // What was asked for goes to standard output, this does not.
        if (live_ || !options_.output.empty()) std::fputs(summary().c_str(), stderr);
        return {};
    }

private:
    static std::string recording_line(const TraceOptions& options) {
        if (!options.seconds) return "recording; Ctrl-C ends it\n";
        return fmt::format("recording for {} s; Ctrl-C ends it sooner\n", *options.seconds);
    }

    std::string summary() const {
        const uint64_t written = options_.last ? kept_.size() : events_;
        std::string text = fmt::format("{} event{}", written, written == 1 ? "" : "s");
        if (!options_.output.empty() && options_.to_test.empty())
            text = fmt::format("{}: {}", options_.output, text);
        text += lost_ == 0
                    ? ", none lost"
                    : fmt::format(", {} lost: they were overwritten before they were read", lost_);
        return text + (ended_ ? "; the machine ended\n" : "\n");
    }

    Result<trace::TraceHeader> header_of(const Json& status) {
        trace::TraceHeader header{
            .mimic = MIMIC_VERSION,
            .machine = options_.machine,
            .topology = string_member(status, "topology"),
            .devices = {},
            .data_bytes = static_cast<uint32_t>(std::min<uint64_t>(
                uint_member(status, "data_bytes").value_or(0), pci::kMaxTraceDmaBytes))};
        MIMIC_ASSIGN_OR_RETURN(const std::string machine,
                               gateway::ApiClient::machine_path(options_.machine));
        for (const std::string& name : options_.devices) {
            // Says what there is, if there is none of that name.
            MIMIC_ASSIGN_OR_RETURN(const auto path,
                                   gateway::ApiClient::device_path(options_.machine, name));
            MIMIC_ASSIGN_OR_RETURN([[maybe_unused]] const Json device, client_.get(path));
        }
        header.devices = options_.devices;
        if (!header.devices.empty()) return header;
        MIMIC_ASSIGN_OR_RETURN(const Json answer, client_.get(machine + "/devices"));
        const Json devices = answer.value("devices", Json::array());
        for (const Json& device : devices)
            if (device.is_object()) header.devices.push_back(string_member(device, "name"));
        return header;
    }

    // Until what there is has been read, or, live, until somebody says so.
    Status take_all() {
        const SteadyClock clock;
        const TimePoint start = clock.now();
        const auto over = [&] {
            if (interrupted() != 0) return true;
            return options_.seconds &&
                   clock.now() - start >= std::chrono::duration<double>(*options_.seconds);
        };
        for (bool last = false;;) {
            // What came before the end of the recording is still read.
            last = last || !live_ || over();
            MIMIC_ASSIGN_OR_RETURN(const bool more, take_some());
            if (ended_) return {};
            if (more) continue;
            if (last) return {};
            out_.flush();
            sleep_unless_interrupted(kPoll);
        }
    }

    // True if there are more events now.
    Result<bool> take_some() {
        std::string target = path_ + "/events?limit=" + kAnswerLimit +
                             "&since=" + service::percent_encode(cursor_);
        for (const std::string& name : options_.devices)
            target += "&device=" + service::percent_encode(name);
        const auto answer = client_.get(target);
        if (!answer) {
            // The end of the machine is the end of its trace.
            const bool gone = answer.error().code() == std::errc::no_such_file_or_directory ||
                              answer.error().code() == std::errc::connection_reset;
            if (!live_ || !gone || events_ == 0) return tl::unexpected<Error>(answer.error());
            ended_ = true;
            return false;
        }
        cursor_ = string_member(*answer, "next");
        lost_ += uint_member(*answer, "lost").value_or(0);
        const Json events = answer->value("events", Json::array());
        if (!events.is_array()) return fail(std::errc::protocol_error, "no list of events");
        for (const Json& json : events) {
            MIMIC_ASSIGN_OR_RETURN(trace::Event event, trace::parse_event(json));
            event.sequence = ++events_ + lost_;
            if (!options_.last) {
                writer_->event(event);
                continue;
            }
            kept_.push_back(std::move(event));
            if (kept_.size() > *options_.last) kept_.pop_front();
        }
        return !events.empty() && answer->value("more", Json(false)) == true;
    }

    const gateway::ApiClient& client_;
    const TraceOptions& options_;
    std::unique_ptr<trace::Writer> writer_;
    std::ostream& out_;
    std::string path_;
    std::string cursor_;
    bool live_ = false;
    bool ended_ = false;
    uint64_t events_ = 0;
    uint64_t lost_ = 0;
    std::deque<trace::Event> kept_;  // with --last
};

Status trace_to_test(const gateway::ApiClient& client, const TraceOptions& options) {
    std::stringstream recorded;
    MIMIC_TRY(Tracer(client, options, recorded).run());
    MIMIC_ASSIGN_OR_RETURN(const auto file, trace::read_trace(recorded, "the recording"));
    const std::string dir = options.output.empty() ? "." : options.output;
    MIMIC_TRY(replay::write_replay_test(file, dir, options.to_test));
    std::puts(fmt::format("{0}/{1}_test.cpp replays {0}/{1}.jsonl, {2} events", dir,
                          options.to_test, file.events.size())
                  .c_str());
    return {};
}

Status trace(const TraceOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const auto client, gateway::ApiClient::open());
    if (!options.to_test.empty()) return trace_to_test(client, options);
    if (options.output.empty()) {
        // Not std::cout: the rest of the program prints by stdio, and the two must not mix.
        class Out final : public std::streambuf {
            int_type overflow(int_type c) override {
                return c == traits_type::eof() ? c : std::fputc(c, stdout);
            }
            std::streamsize xsputn(const char* from, std::streamsize size) override {
                return static_cast<std::streamsize>(
                    std::fwrite(from, 1, static_cast<size_t>(size), stdout));
            }
            int sync() override { return std::fflush(stdout); }
        } buffer;
        std::ostream out(&buffer);
        return Tracer(client, options, out).run();
    }
    std::ofstream out(options.output, std::ios::binary | std::ios::trunc);
    if (!out) return fail_errno("cannot write {}", options.output);
    MIMIC_TRY(Tracer(client, options, out).run());
    if (!out) return fail_errno("cannot write {}", options.output);
    return {};
}

int status_of(const Status& done) {
    if (done) return 0;
    std::fputs(fmt::format("mimic: error: {}\n", terminal_lines(done.error().message())).c_str(),
               stderr);
    return 1;
}

}  // namespace

int run_trace(const TraceOptions& options) {
    catch_interrupts();
    return status_of(trace(options));
}

int run_write_test(const std::string& trace, const std::string& name) {
    const auto file = trace::read_trace_file(trace);
    if (!file) return status_of(tl::unexpected<Error>(file.error()));
    return status_of(replay::write_replay_test(*file, ".", name));
}

}  // namespace mimic::commands
