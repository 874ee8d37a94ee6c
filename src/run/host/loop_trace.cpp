// SPDX-License-Identifier: Apache-2.0
#include "host/loop_trace.h"

#include <algorithm>
#include <utility>

#include "host/function_state.h"

namespace mimic::host {
namespace {

constexpr size_t kMaxNames = 512;          // functions whose names are kept; arbitrary
constexpr size_t kNamesOfAnAnswer = 32;    // looked up, so that the loop does not stop for long
constexpr size_t kNamesOfADump = 8;        // so that the loop does not stop for long; arbitrary
constexpr uint64_t kBytesOfAnEvent = 300;  // of its JSON, without payload; about

// States of one round, which comes while half of the ring is written: what they cost is bounded,
// with however many functions. Arbitrary.
constexpr size_t kStatesOfARound = 16;
constexpr unsigned kTries = 8;                                // of one at work; arbitrary
constexpr Duration kTryAgain = std::chrono::milliseconds(1);  // arbitrary
constexpr size_t kLastStates = 4096;                          // names that are kept; arbitrary

bool is_trouble(const pci::TraceEvent& event) {
    if (event.kind == pci::TraceKind::kError) return true;
    return event.kind == pci::TraceKind::kFault && event.text.ends_with(" struck");
}

// Ports are not replayed.
bool is_port(const pci::Function& function) {
    return function.options().header == pci::HeaderType::kBridge;
}

// A PF means its VFs, too, which may be gone: so by name.
bool is_asked_for(const std::vector<std::string>& devices, std::string_view name) {
    if (devices.empty()) return true;
    return std::any_of(devices.begin(), devices.end(), [name](const std::string& device) {
        return name.starts_with(device) &&
               (name.size() == device.size() || name.substr(device.size()).starts_with("-vf"));
    });
}

}  // namespace

LoopTrace::LoopTrace(TaskRunner& runner, const Options& options)
    : runner_(runner), dumper_(options.dumper) {
    settings_.enabled = options.buffer_bytes != 0;
    settings_.buffer_bytes = settings_.enabled ? options.buffer_bytes : kDefaultTraceBytes;
    if (settings_.enabled) make_ring();
}

LoopTrace::~LoopTrace() {
    clear();
}

void LoopTrace::make_ring() {
    ring_ = std::make_unique<pci::TraceRing>(settings_.buffer_bytes, clock_, first_number_,
                                             pci::cheapest_ticks());
    ring_->set_dma_bytes(settings_.data_bytes);
    settings_.buffer_bytes = ring_->capacity();
    last_states_.clear();
    ring_->set_due(ring_->capacity() / 2, [this] {
        round_due_ = true;
        post_round({});
    });
    ring_->set_listener([this](std::string_view device, const pci::TraceEvent& event) {
        if (event.kind == pci::TraceKind::kFault && event.text.ends_with(" armed")) {
            // What it does will be of interest, and what the function was before that.
            if (round_.size() < kLastStates) round_.emplace_front(device, 0);
            post_round({});
        }
        if (dumper_ == nullptr || !is_trouble(event)) return;
        // The crash waits for this file, and there is no later turn of the loop to make it in.
        if (event.text.starts_with("host-crash "))
            return dump(std::string(device), TraceDumper::Rank::kLastWords);
        // The first of a storm is the one to see.
        if (!dumper_->claim()) return;
        // Behind the access that is under way, so that the dump has all of it.
        runner_.post([weak = weak_.ptr(), name = std::string(device)] {
            if (const LoopTrace* const self = weak.get())
                self->dump(name, TraceDumper::Rank::kOneOfMany);
        });
    });
}

void LoopTrace::add(pci::Function& function, pci::Fabric* fabric) {
    thread_.check();
    sources_.push_back({&function, fabric});
    apply();
}

void LoopTrace::add(virtio::Device& device) {
    thread_.check();
    virtio_sources_.push_back(std::make_unique<VirtioTrace>(device));
    apply();
}

void LoopTrace::clear() {
    thread_.check();
    stop_all();
    sources_.clear();
    virtio_sources_.clear();
}

void LoopTrace::stop_all() const {
    for_each([](pci::Function& function, bool) { function.set_tracer(nullptr); });
    for (const auto& source : virtio_sources_) source->set_tracer(nullptr);
}

void LoopTrace::for_each(const std::function<void(pci::Function&, bool)>& visit) const {
    for (const Source& source : sources_) {
        visit(*source.function, source.fabric != nullptr);
        if (source.fabric == nullptr) continue;
        source.fabric->for_each(
            [&visit](pci::Function& function, uint16_t /*routing_id*/) { visit(function, false); });
    }
}

// All that passes a fabric passes its endpoint, too: twice is no use unless somebody asks.
bool LoopTrace::wanted(pci::Function& function, bool is_fabric) const {
    if (!settings_.enabled) return false;
    if (settings_.all) return !is_fabric;
    const pci::Function* const pf = function.physical_function();
    return is_named(function.name()) || (pf != nullptr && is_named(pf->name()));
}

bool LoopTrace::is_named(const std::string& name) const {
    return std::find(settings_.devices.begin(), settings_.devices.end(), name) !=
           settings_.devices.end();
}

void LoopTrace::apply() {
    for_each([this](pci::Function& function, bool is_fabric) {
        function.set_tracer(wanted(function, is_fabric) ? ring_.get() : nullptr);
    });
    for (const auto& source : virtio_sources_) {
        const bool is_wanted = settings_.enabled && (settings_.all || is_named(source->name()));
        source->set_tracer(is_wanted ? ring_.get() : nullptr);
    }
}

control::TraceStatus LoopTrace::status() const {
    control::TraceStatus status{.settings = settings_, .dumps = {}};
    if (ring_) {
        status.events = ring_->next() - ring_->oldest();
        status.dropped = ring_->overwritten();
        status.oldest = ring_->oldest();
        status.next = ring_->next();
        status.recorded_total = ring_->next() - 1;  // numbers begin with 1
        status.overwritten_total = overwritten_before_ + ring_->overwritten();
    }
    if (dumper_ != nullptr) status.dumps = dumper_->paths();
    return status;
}

void LoopTrace::change(const control::TraceChange& change) {
    thread_.check();
    const bool was_enabled = settings_.enabled;
    settings_.enabled = change.enabled.value_or(settings_.enabled);
    if (change.all) settings_.all = true;
    if (change.devices) {
        settings_.all = false;
        settings_.devices = *change.devices;
    }
    settings_.data_bytes = change.data_bytes.value_or(settings_.data_bytes);
    const bool resized = change.buffer_bytes && *change.buffer_bytes != settings_.buffer_bytes;
    settings_.buffer_bytes = change.buffer_bytes.value_or(settings_.buffer_bytes);
    if (settings_.enabled && (!ring_ || resized || !was_enabled)) {
        stop_all();
        if (ring_) {
            first_number_ = ring_->next();
            overwritten_before_ += ring_->overwritten();
        }
        make_ring();
    }
    if (ring_) {
        ring_->set_dma_bytes(settings_.data_bytes);
        settings_.data_bytes = ring_->dma_bytes();
    }
    apply();
    if (settings_.enabled && settings_.data_bytes > 0) record_states();
    if (settings_.enabled && settings_.data_bytes == 0) begin_round();
}

// Of all at once: for those who want to replay what comes now.
void LoopTrace::record_states() {
    for_each([this](pci::Function& function, bool is_fabric) {
        if (wanted(function, is_fabric)) record_state(function);
    });
}

void LoopTrace::record_state(pci::Function& function) {
    if (is_port(function)) return;
    const std::string state = capture_state(function);
    // One that the ring would shorten is none.
    if (state.size() > std::min<uint64_t>(UINT16_MAX, ring_->capacity() / 8)) return;
    if (last_states_.size() == kLastStates) last_states_.clear();
    last_states_[function.name()] = ring_->next();
    ring_->record(ring_->source(function.name()), {.kind = pci::TraceKind::kState, .text = state});
}

// Those whose last state is the oldest come first, so that each has its turn.
void LoopTrace::begin_round() {
    std::vector<std::pair<uint64_t, std::string>> by_age;
    for_each([&](pci::Function& function, bool is_fabric) {
        if (!wanted(function, is_fabric) || is_port(function)) return;
        const auto last = last_states_.find(function.name());
        by_age.emplace_back(last != last_states_.end() ? last->second : 0, function.name());
    });
    std::sort(by_age.begin(), by_age.end());
    by_age.resize(std::min(by_age.size(), kStatesOfARound));
    for (auto& [age, name] : by_age) round_.emplace_back(std::move(name), 0);
    if (!round_.empty()) post_round({});
}

void LoopTrace::post_round(Duration delay) {
    if (next_of_round_.is_pending()) return;
    auto task = [this] { next_of_round(); };
    delay == Duration::zero() ? next_of_round_.post(runner_, task)
                              : next_of_round_.start(runner_, delay, task);
}

// One function a turn of the loop, behind the access that is under way, so that nobody waits for
// all of them.
void LoopTrace::next_of_round() {
    if (!settings_.enabled || !ring_) round_.clear();
    if (std::exchange(round_due_, false) && round_.empty() && settings_.enabled && ring_)
        return begin_round();
    if (round_.empty()) return;
    auto [name, tries] = std::move(round_.front());
    round_.pop_front();
    Duration delay{};
    pci::Function* const function = find(name);
    if (function != nullptr && function->tracer() == ring_.get()) {
        if (!function->at_work()) {
            record_state(*function);
        } else if (tries < kTries) {
            round_.emplace_back(std::move(name), tries + 1);
            delay = kTryAgain;
        }
    }
    if (!round_.empty()) post_round(delay);
}

pci::Function* LoopTrace::find(std::string_view name) const {
    pci::Function* found = nullptr;
    for_each([&](pci::Function& function, bool) {
        if (function.name() == name) found = &function;
    });
    return found;
}

const pci::TraceNames* LoopTrace::names_of(std::string_view device) const {
    if (const auto known = names_.find(device); known != names_.end()) return &known->second;
    const pci::Function* const found = find(device);
    if (found == nullptr) return nullptr;
    return &names_.emplace(device, pci::TraceNames(*found)).first->second;
}

control::TraceSlice LoopTrace::events(const control::TraceQuery& query) const {
    thread_.check();
    control::TraceSlice result;
    result.slice.until_ns = clock_.now().time_since_epoch().count();
    if (!ring_) return result;
    if (query.since != 0 && query.since < ring_->oldest())
        result.lost = ring_->oldest() - query.since;
    size_t bytes = 0;
    if (names_.size() > kMaxNames) names_.clear();
    // Names of one device only become known or unknown between two calls.
    std::map<std::string, const pci::TraceNames*, std::less<>> names;
    size_t looked_up = 0;
    size_t visited = 0;
    constexpr size_t kMostVisited = 64U << 10;  // of which few may pass the filter
    const auto stop_before = [&result](const pci::TraceRecord& record) {
        result.slice.more = true;
        // Nothing of what was visited is missing.
        result.slice.until_ns = record.time_ns - 1;
        return false;
    };
    result.next = ring_->read(query.since, [&](const pci::TraceRecord& record) {
        if (result.slice.events.size() == query.limit || bytes > control::kMaxTraceAnswerBytes ||
            ++visited > kMostVisited)
            return stop_before(record);
        if (!is_asked_for(query.devices, record.source)) return true;
        auto known = names.find(record.source);
        if (known == names.end()) {
            if (!names_.contains(record.source) && ++looked_up > kNamesOfAnAnswer)
                return stop_before(record);
            known = names.emplace(record.source, names_of(record.source)).first;
        }
        result.slice.events.push_back(trace::event_of(
            record, known->second != nullptr ? known->second->find(record.event) : std::nullopt));
        bytes += kBytesOfAnEvent + 2 * record.event.data.size() + record.event.text.size();
        return true;
    });
    return result;
}

void LoopTrace::dump(const std::string& device, TraceDumper::Rank rank) const {
    TraceDumper::Dump dump{.device = device, .ring = ring_->copy(kMaxDumpBytes), .names = {}};
    if (names_.size() > kMaxNames) names_.clear();
    const auto add_names = [&](std::string_view name) {
        if (dump.names.size() == kNamesOfADump || dump.names.contains(name)) return;
        if (const pci::TraceNames* const names = names_of(name)) dump.names.emplace(name, *names);
    };
    add_names(device);
    for_each([&](const pci::Function& function, bool) { add_names(function.name()); });
    dumper_->submit(std::move(dump), rank);
}

}  // namespace mimic::host
