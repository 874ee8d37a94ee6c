// SPDX-License-Identifier: Apache-2.0
// Words in, words out.
#include <charconv>
#include <cmath>
#include <string_view>

#include "mediator/load/load.h"

namespace mimic::mediator::load {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts;
    size_t from = 0;
    for (;;) {
        const size_t to = text.find(at, from);
        parts.push_back(text.substr(from, to - from));
        if (to == std::string::npos) return parts;
        from = to + 1;
    }
}

Result<uint32_t> parse_number(const std::string& word) {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size() || word.empty())
        return fail(std::errc::invalid_argument, "\"{}\" is no number", word);
    return value;
}

Result<Job> parse_job(const std::string& word) {
    Job job;
    const auto parts = split(word, ':');
    if (parts[0] == "sum")
        job.kind = Job::Kind::kSum;
    else if (parts[0] == "spin")
        job.kind = Job::Kind::kSpin;
    else if (parts[0] != "nop")
        return fail(std::errc::invalid_argument, "job \"{}\": nop, sum or spin:TIME", word);
    if ((parts.size() > 1) != (job.kind == Job::Kind::kSpin))
        return fail(std::errc::invalid_argument, "job \"{}\": spin needs times, others none", word);
    for (size_t i = 1; i < parts.size(); ++i) {
        MIMIC_ASSIGN_OR_RETURN(const Duration time, parse_time(parts[i]));
        job.spin_ns.push_back(static_cast<uint64_t>(time.count()));
    }
    return job;
}

Result<uint8_t> parse_priority(const std::string& word) {
    if (word == "low") return uint8_t{0};
    if (word == "medium") return uint8_t{1};
    if (word == "high") return uint8_t{2};
    return fail(std::errc::invalid_argument, "priority \"{}\": low, medium or high", word);
}

Status set(Vm& vm, const std::string& key, const std::string& value) {
    if (key == "pool") {
        if (value.size() != 1 || value[0] < 'A' || value[0] > 'Z')
            return fail(std::errc::invalid_argument, "pool \"{}\": a letter A .. Z", value);
        vm.identity.pool_id = value[0];
    } else if (key == "priority") {
        MIMIC_ASSIGN_OR_RETURN(vm.identity.priority, parse_priority(value));
    } else if (key == "depth") {
        MIMIC_ASSIGN_OR_RETURN(vm.depth, parse_number(value));
        if (vm.depth == 0 || vm.depth > compute::Queue::kMaxInFlight)
            return fail(std::errc::invalid_argument, "depth {}: 1 .. {}", value,
                        compute::Queue::kMaxInFlight);
    } else if (key == "think") {
        MIMIC_ASSIGN_OR_RETURN(vm.think, parse_time(value));
    } else if (key == "job") {
        MIMIC_ASSIGN_OR_RETURN(vm.job, parse_job(value));
    } else {
        return fail(std::errc::invalid_argument,
                    "\"{}\": there are pool, priority, depth, think and job", key);
    }
    return {};
}

uint64_t failures(const VmResult& vm) {
    uint64_t all = 0;
    for (const auto& [error, count] : vm.failed) all += count;
    return all;
}

uint64_t all_done(const Outcome& outcome) {
    uint64_t all = 0;
    for (const auto& vm : outcome.vms) all += vm.done;
    return all;
}

double rate(uint64_t count, double seconds) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

// Of the backends' time, where jobs say how long they are; else of the answers.
double share(const Outcome& outcome, const VmResult& vm) {
    uint64_t asked = 0;
    for (const auto& one : outcome.vms) asked += one.asked_ns;
    const uint64_t all = asked != 0 ? asked : all_done(outcome);
    const uint64_t own = asked != 0 ? vm.asked_ns : vm.done;
    return all == 0 ? 0 : static_cast<double>(own) / static_cast<double>(all);
}

double us(uint64_t ns) {
    return static_cast<double>(ns) / 1e3;
}

}  // namespace

Result<Duration> parse_time(const std::string& word) {
    static constexpr std::pair<std::string_view, double> kUnits[] = {
        {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    double value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    const std::string_view unit(end, static_cast<size_t>(word.data() + word.size() - end));
    for (const auto& [name, ns] : kUnits)
        if (error == std::errc{} && unit == name && value >= 0 && value * ns < 1e15)
            return Duration(static_cast<int64_t>(std::llround(value * ns)));
    return fail(std::errc::invalid_argument, "\"{}\" is no time, such as 20ms", word);
}

Result<Vm> parse_vm(const std::string& words) {
    const auto parts = split(words, ',');
    Vm vm;
    MIMIC_ASSIGN_OR_RETURN(vm.identity.vm_id, parse_number(parts[0]));
    for (size_t i = 1; i < parts.size(); ++i) {
        const size_t at = parts[i].find('=');
        if (at == std::string::npos)
            return fail(std::errc::invalid_argument, "\"{}\": KEY=VALUE is wanted", parts[i]);
        MIMIC_TRY(set(vm, parts[i].substr(0, at), parts[i].substr(at + 1)));
    }
    return vm;
}

std::string as_text(const Outcome& outcome) {
    std::string text;
    for (const auto& vm : outcome.vms) {
        const auto& times = vm.latencies;
        text += fmt::format(
            "vm {}: {} done, {:.0f}/s, share {:.3f}, p50 {:.1f} us, p90 {:.1f} us, p99 {:.1f} us, "
            "most {:.1f} us, {} failed",
            vm.vm.identity.vm_id, vm.done, rate(vm.done, outcome.seconds), share(outcome, vm),
            us(times.percentile(0.5)), us(times.percentile(0.9)), us(times.percentile(0.99)),
            us(times.most()), failures(vm));
        for (const auto& [error, count] : vm.failed)
            text += fmt::format(", error {}: {}", error, count);
        text += '\n';
    }
    const uint64_t all = all_done(outcome);
    return text + fmt::format("all: {} done in {:.2f} s, {:.0f}/s\n", all, outcome.seconds,
                              rate(all, outcome.seconds));
}

std::string as_json(const Outcome& outcome) {
    std::string text = fmt::format("{{\"seconds\": {:.6f}, \"per_second\": {:.3f}, \"vms\": [",
                                   outcome.seconds, rate(all_done(outcome), outcome.seconds));
    const char* comma = "";
    for (const auto& vm : outcome.vms) {
        std::string failed;
        for (const auto& [error, count] : vm.failed)
            failed += fmt::format("{}\"{}\": {}", failed.empty() ? "" : ", ", error, count);
        const auto& times = vm.latencies;
        text += fmt::format(
            "{}{{\"vm_id\": {}, \"done\": {}, \"failed\": {{{}}}, \"per_second\": {:.3f}, "
            "\"share\": {:.6f}, \"p50_us\": {:.3f}, \"p90_us\": {:.3f}, \"p99_us\": {:.3f}, "
            "\"max_us\": {:.3f}, \"resent\": {}, \"connections\": {}}}",
            comma, vm.vm.identity.vm_id, vm.done, failed, rate(vm.done, outcome.seconds),
            share(outcome, vm), us(times.percentile(0.5)), us(times.percentile(0.9)),
            us(times.percentile(0.99)), us(times.most()), vm.counters.resent,
            vm.counters.connections);
        comma = ", ";
    }
    return text + "]}\n";
}

}  // namespace mimic::mediator::load
