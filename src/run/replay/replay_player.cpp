// SPDX-License-Identifier: Apache-2.0
#include "replay/replay_player.h"

#include <algorithm>
#include <bit>

#include "base/text_table.h"
#include "trace/writer.h"

namespace mimic::replay {
namespace {

using pci::TraceKind;

// A task that had this long in the recording has run there; one that had less may have waited
// behind the next access: a turn of a loop ends by time, and sockets come before what is left over.
// What a task does is in the recording and makes it run in time; this is for those that do nothing
// that is recorded. Arbitrary: more than a loop with many busy devices on a loaded machine takes.
constexpr Duration kPatience = std::chrono::seconds(1);

// How far behind an event the task may be due that brings it about: clocks are read at different
// points. Arbitrary.
constexpr Duration kTurn = std::chrono::milliseconds(1);
constexpr unsigned kMostTasks = 1'000'000;  // while one event is awaited; arbitrary
constexpr size_t kContext = 6;              // events shown before a difference; arbitrary
constexpr const char* kUntraced =
    ": memory of a BAR that a guest may map, or that was filled before the recording, holds what "
    "no event tells: ";
constexpr const char* kNoBytes =
    "the bytes of DMA were not recorded (record with --data 65536; of DMA longer than half of the "
    "buffer they never are)";

TimePoint time_of(const trace::Event& event) {
    return TimePoint(Duration(event.time_ns));
}

// What the replay brings about, as opposed to what must come from the model.
bool is_fed(const trace::Event& event) {
    return event.is_access() || (event.is_dma() && event.has(pci::kTraceLater));
}

// Says nothing about the model.
bool is_remark(const trace::Event& event) {
    return event.kind == TraceKind::kFault || event.kind == TraceKind::kState ||
           event.kind == TraceKind::kSlot || event.kind == TraceKind::kDmaData ||
           event.kind == TraceKind::kRequest || event.has(pci::kTraceInjected);
}

std::optional<TraceKind> trace_kind(pci::FunctionEventKind kind) {
    switch (kind) {
        case pci::FunctionEventKind::kAttach:
            return TraceKind::kAttach;
        case pci::FunctionEventKind::kDetach:
            return TraceKind::kDetach;
        case pci::FunctionEventKind::kReset:
            return TraceKind::kReset;
        case pci::FunctionEventKind::kPower:
            return TraceKind::kPower;
        case pci::FunctionEventKind::kError:
            return TraceKind::kError;
        case pci::FunctionEventKind::kVfs:
            return TraceKind::kVfs;
        default:
            return std::nullopt;
    }
}

std::string text_of(TraceKind kind, uint64_t value, uint64_t address = 0, uint64_t size = 0) {
    trace::Event event;
    event.kind = kind;
    event.value = value;
    event.address = address;
    event.size = size;
    return trace::describe(event);
}

std::string key_of(const std::string& device, TraceKind kind) {
    return device + " " + std::string(trace::kind_name(kind));
}

std::string value_text(std::span<const uint8_t> data) {
    trace::Event event;
    event.data.assign(data.begin(), data.end());
    if (const auto number = event.number()) return trace::hex(*number);
    std::string text;
    constexpr size_t kShown = 16;
    for (size_t i = 0; i < std::min(data.size(), kShown); ++i)
        text += fmt::format("{}{:02x}", i == 0 ? "" : " ", data[i]);
    return data.size() > kShown ? text + " .." : text;
}

}  // namespace

ReplayPlayer::ReplayPlayer(const trace::TraceFile& file, std::span<const size_t> events,
                           std::unique_ptr<pci::Function> root, bool on_fabric,
                           ReplayResult& result)
    : file_(file),
      events_(events),
      on_fabric_(on_fabric),
      result_(result),
      done_(events_.size()),
      root_(std::move(root)) {
    root_->set_observer(this);
}

ReplayPlayer::~ReplayPlayer() {
    quiet_ = true;
    root_->detach();
    waiting_.clear();
    time_.drop_all();
}

void ReplayPlayer::run() {
    size_t skipped = 0;
    size_t lost = events_.empty() ? 0 : events_.front();  // none is missing up to this one
    for (size_t at = 0; at < events_.size() && !over(); ++at) {
        cursor_ = at;
        for (; lost < events_[at]; ++lost) {
            if (file_.events[lost + 1].sequence != file_.events[lost].sequence + 1)
                return stop(at, "events before it were lost");
        }
        if (done_[at]) continue;
        if (!started_.contains(event(at).device)) {
            if (!start(at)) ++skipped;
            done_[at] = true;
            continue;
        }
        ++result_.events;
        play(at);
    }
    result_.left_out += skipped;
    if (skipped != 0)
        note(fmt::format("{}: {} before a state, an attach or a reset: left out", root_->name(),
                         counted(skipped, "event")));
}

void ReplayPlayer::play(size_t at) {
    const trace::Event& now = event(at);
    if (now.kind == TraceKind::kFault) note("faults were injected: what they did is left out");
    if (now.kind == TraceKind::kPower) note_power(now, now.value == 0);
    if (is_remark(now)) {
        done_[at] = true;
    } else if (is_fed(now)) {
        for (unsigned i = 0; i < kMostTasks && !over() && !done_[at]; ++i)
            if (!time_.run_one(time_of(now) - kPatience)) break;
        if (over() || done_[at]) return;
        time_.advance(time_of(now));
        feed(at);
    } else {
        switch (now.kind) {
            case TraceKind::kReset:
            case TraceKind::kAttach:
            case TraceKind::kDetach:
            case TraceKind::kError:
                return world(at);
            default:
                return await(at);
        }
    }
}

// --- The guest's side ------------------------------------------------------------------------

void ReplayPlayer::feed(size_t at) {
    const trace::Event& now = event(at);
    done_[at] = true;
    if (now.is_dma()) return complete(at);
    if (now.has(pci::kTraceFaulted)) return note("accesses that faults answered are left out");
    pci::Function* const function = find(now.device);
    if (function == nullptr) return differ(at, "there is no such VF");
    if (now.size == 0 || now.size > pci::kTraceAccessBytes || now.data.size() != now.size)
        return stop(at, "its bytes were not recorded");
    const uint64_t space = now.is_config() ? pci::kTraceAccessBytes
                                           : function->bars()[now.bar].size;
    if (now.address > space || now.size > space - now.address)
        return stop(at, "it is outside of the device");
    now.is_read() ? feed_read(at) : feed_write(at);
}

void ReplayPlayer::feed_read(size_t at) {
    const trace::Event& now = event(at);
    pci::Function& function = *find(now.device);
    std::vector<uint8_t> data(now.size);
    if (now.is_config())
        function.config_read(static_cast<uint32_t>(now.address), data);
    else
        function.read_bar(now.bar, now.address, data);
    if (over()) return;
    if (data == now.data) {
        ++result_.compared;
        return;
    }
    if (!is_untraced(function, now)) return differ(at, "reads " + value_text(data));
    // The model goes on with what was there.
    function.restore_bar(now.bar, now.address, now.data);
    note(now.device + kUntraced + "reads of it that differ are not compared");
}

void ReplayPlayer::feed_write(size_t at) {
    const trace::Event& now = event(at);
    pci::Function& function = *find(now.device);
    if (now.is_config())
        function.config_write(static_cast<uint32_t>(now.address), now.data);
    else
        function.write_bar(now.bar, now.address, now.data);
}

void ReplayPlayer::complete(size_t at) {
    const trace::Event& now = event(at);
    const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&now](const Waiting& one) {
        return one.device == now.device && one.kind == now.kind && one.address == now.address &&
               one.size == now.size;
    });
    if (found == waiting_.end()) return differ(at, "the model has not begun it");
    const Waiting waiting = std::move(*found);
    waiting_.erase(found);
    const bool failed = now.has(pci::kTraceFailed);
    const auto error = [&now] {
        return fail(static_cast<std::errc>(now.value & 0xfff), "as it was recorded");
    };
    if (now.kind == TraceKind::kDmaWrite)
        return waiting.written(failed ? Status(error()) : Status());
    if (failed) return waiting.read(error());
    const std::vector<uint8_t> data = dma_bytes(at);
    if (data.size() != now.size) return stop(at, kNoBytes);
    waiting.read(std::as_bytes(std::span(data)));
}

// --- The world's side: what nobody told the function to do -----------------------------------

void ReplayPlayer::world(size_t at) {
    const trace::Event& now = event(at);
    pci::Function* const function = find(now.device);
    if (function != root_.get()) return differ(at, "nothing of that kind happens");
    done_[at] = true;
    time_.advance(time_of(now));
    swallow_[key_of(now.device, now.kind)] = true;
    if (now.kind == TraceKind::kAttach) {
        if (function->slot() != nullptr) return differ(at, "it is attached");
        attach(*function);
    } else if (now.kind == TraceKind::kDetach) {
        function->detach();
    } else if (now.kind == TraceKind::kError) {
        if (std::popcount(now.value) != 1 || now.value > UINT32_MAX)
            return stop(at, "there is no such error");
        std::optional<bool> fatal;
        if (now.address != 0) fatal = now.address == 2;
        function->report_error({.correctable = now.address == 0,
                                .bit = static_cast<uint32_t>(now.value),
                                .fatal = fatal});
        note("the header log of errors was not recorded: reads of it may differ");
    } else if (now.value == static_cast<uint64_t>(pci::ResetKind::kDetach)) {
        function->detach();
    } else if (now.value < static_cast<uint64_t>(pci::ResetKind::kDetach)) {
        function->reset(static_cast<pci::ResetKind>(now.value));
    } else {
        stop(at, "there is no such reset");
    }
    swallow_.clear();
}

// --- The function's side ---------------------------------------------------------------------

// Lets the model work until it has done what event `at` says.
void ReplayPlayer::await(size_t at) {
    const TimePoint limit = time_of(event(at)) + kTurn;
    for (unsigned i = 0; i < kMostTasks && !done_[at] && !over(); ++i)
        if (!time_.run_one(limit)) break;
    // A read is recorded behind what it brought about.
    if (!done_[at] && !over()) feed_next_read(at);
    if (!done_[at] && !over()) {
        if (event(at).kind == TraceKind::kDmaMap) return stop(at, kNoBytes);
        differ(at, "nothing: the model does not do it");
    }
}

bool ReplayPlayer::feed_next_read(size_t at) {
    for (size_t next = at + 1; next < events_.size(); ++next) {
        if (done_[next] || event(next).device != event(at).device || is_remark(event(next)))
            continue;
        if (!is_fed(event(next))) continue;
        if (!event(next).is_read()) return false;
        ++result_.events;
        feed(next);
        return true;
    }
    return false;
}

// The bytes of DMA: those of its event, and of the events of further ones behind it.
std::vector<uint8_t> ReplayPlayer::dma_bytes(size_t at) const {
    const trace::Event& dma = event(at);
    std::vector<uint8_t> bytes = dma.data;
    for (size_t next = at + 1; next < events_.size() && bytes.size() < dma.size; ++next) {
        const trace::Event& more = event(next);
        const bool fits = more.kind == TraceKind::kDmaData && more.device == dma.device &&
                          more.address == dma.address + bytes.size() &&
                          more.data.size() <= dma.size - bytes.size();
        if (!fits || more.data.empty()) break;
        bytes.insert(bytes.end(), more.data.begin(), more.data.end());
    }
    return bytes;
}

// The next event of `device` that is not done; SIZE_MAX: the recording ends before it.
size_t ReplayPlayer::next_of(const std::string& device, size_t from) const {
    for (size_t at = from; at < events_.size(); ++at)
        if (!done_[at] && event(at).device == device && !is_remark(event(at))) return at;
    return SIZE_MAX;
}

bool ReplayPlayer::expect(const pci::Function& function, TraceKind kind, uint64_t value,
                          const std::string& now) {
    if (quiet_ || over()) return false;
    const size_t at = next_of(function.name());
    if (at == SIZE_MAX) return false;
    if (event(at).kind != kind || event(at).value != value) {
        unexpected(function.name(), now);
        return false;
    }
    done_[at] = true;
    if (at != cursor_) ++result_.events;
    ++result_.compared;
    return true;
}

void ReplayPlayer::sent(const pci::Function& function, TraceKind kind, uint64_t value) {
    expect(function, kind, value, text_of(kind, value));
}

void ReplayPlayer::on_event(const pci::Function& function, const pci::FunctionEvent& event) {
    const auto kind = trace_kind(event.kind);
    if (!kind) return;
    if (swallow_.erase(key_of(function.name(), *kind)) != 0) return;
    expect(function, *kind, event.value, text_of(*kind, event.value));
    if (*kind == TraceKind::kAttach && !quiet_) started_.insert(function.name());
}

bool ReplayPlayer::expect_dma(const pci::Function& function, TraceKind kind, uint64_t address,
                              uint64_t size, size_t& at) {
    if (quiet_ || over()) return false;
    at = next_of(function.name());
    if (at == SIZE_MAX) return false;
    const trace::Event& next = event(at);
    if (next.kind == TraceKind::kDmaMap && next.address == address) {
        stop(at, kNoBytes);
        return false;
    }
    if (next.kind != kind || next.address != address || next.size != size ||
        next.has(pci::kTraceLater)) {
        unexpected(function.name(), text_of(kind, 0, address, size));
        return false;
    }
    done_[at] = true;
    if (at != cursor_) ++result_.events;
    ++result_.compared;
    return true;
}

void ReplayPlayer::dma_read(const pci::Function& function, uint64_t iova, uint64_t size,
                            memory::DmaSpace::ReadDone done) {
    size_t at = 0;
    if (!expect_dma(function, TraceKind::kDmaRead, iova, size, at)) return;
    const trace::Event& next = event(at);
    if (next.has(pci::kTraceIssued)) {
        waiting_.push_back({function.name(), TraceKind::kDmaRead, iova, size, std::move(done), {}});
    } else if (next.has(pci::kTraceFailed)) {
        done(fail(static_cast<std::errc>(next.value & 0xfff), "as it was recorded"));
    } else if (const std::vector<uint8_t> bytes = dma_bytes(at); bytes.size() != next.size) {
        stop(at, kNoBytes);
    } else {
        done(std::as_bytes(std::span(bytes)));
    }
}

void ReplayPlayer::dma_write(const pci::Function& function, uint64_t iova,
                             std::span<const std::byte> data, memory::DmaSpace::WriteDone done) {
    size_t at = 0;
    if (!expect_dma(function, TraceKind::kDmaWrite, iova, data.size(), at)) return;
    const trace::Event& next = event(at);
    const std::vector<uint8_t> kept = dma_bytes(at);
    const auto recorded = std::as_bytes(std::span(kept));
    if (recorded.size() < data.size() && !next.has(pci::kTraceFailed))
        note("bytes of long DMA were not recorded: only their beginning is compared");
    for (size_t i = 0; i < recorded.size(); ++i) {
        if (recorded[i] == data[i]) continue;
        if (has_untraced(function)) {
            note(function.name() + kUntraced + "bytes of DMA that differ are not compared");
            break;
        }
        return differ(at, fmt::format("byte {} is {:#04x}, not {:#04x}", i,
                                      std::to_integer<unsigned>(data[i]), kept[i]));
    }
    if (next.has(pci::kTraceIssued)) {
        waiting_.push_back(
            {function.name(), TraceKind::kDmaWrite, iova, data.size(), {}, std::move(done)});
    } else if (next.has(pci::kTraceFailed)) {
        done(fail(static_cast<std::errc>(next.value & 0xfff), "as it was recorded"));
    } else {
        done({});
    }
}

// --- What comes out --------------------------------------------------------------------------

void ReplayPlayer::differ(size_t at, const std::string& now) {
    if (over()) return;
    const trace::Event& first = event(at);
    const int64_t start = file_.events.front().time_ns;
    ReplayDifference difference{.sequence = first.sequence,
                                .line = file_.lines[events_[at]],
                                .time = trace::since(first.time_ns, start),
                                .device = first.device,
                                .recorded = trace::describe(first),
                                .now = now,
                                .context = {}};
    for (size_t before = at; before > 0 && difference.context.size() < kContext; --before) {
        const trace::Event& one = event(before - 1);
        if (one.device != first.device) continue;
        difference.context.push_back(
            fmt::format("{:>12} {}", trace::since(one.time_ns, start), trace::describe(one)));
    }
    std::reverse(difference.context.begin(), difference.context.end());
    result_.difference = std::move(difference);
}

// The model did something, and the recording has something else next.
void ReplayPlayer::unexpected(const std::string& device, const std::string& now) {
    differ(next_of(device), now);
}

void ReplayPlayer::stop(size_t at, const std::string& why) {
    if (over()) return;
    stopped_at_ = at;
    result_.stopped = fmt::format("line {}: {} {}: {}", file_.lines[events_[at]], event(at).device,
                                  trace::describe(event(at)), why);
}

void ReplayPlayer::note(const std::string& text) {
    auto& notes = result_.notes;
    if (std::find(notes.begin(), notes.end(), text) == notes.end()) notes.push_back(text);
}

}  // namespace mimic::replay
