// SPDX-License-Identifier: Apache-2.0
#include "service/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"

namespace mimic::service {
namespace {

constexpr MetricFamily kFamilies[] = {
    {"mimic_build_info", "gauge", "1, with the version of the program."},
    {"mimic_machine_state", "gauge", "1 for the state that the machine is in, 0 for the others."},
    {"mimic_machine_process_alive", "gauge", "Whether a process of the machine runs."},
    {"mimic_gateway_unreachable_processes", "gauge",
     "Processes of machines that did not answer this request."},

    {"mimic_device_connected", "gauge", "Whether a VMM uses the device."},
    {"mimic_device_accesses_total", "counter", "Accesses of config space and BARs by the guest."},
    {"mimic_device_interrupts_total", "counter",
     "Messages that left the device, and assertions of its pin."},
    {"mimic_device_dma_operations_total", "counter", "Reads and writes of guest memory."},
    {"mimic_device_dma_bytes_total", "counter", "Bytes of guest memory that were read or written."},
    {"mimic_device_virtio_kicks_total", "counter",
     "Notifications of drivers, of a virtio device behind vhost-user."},
    {"mimic_device_virtio_buffers_total", "counter",
     "Buffers of virtqueues that were taken and returned, of the same."},
    {"mimic_device_model_total", "counter", "What the model of the device counts, by its names."},
    {"mimic_device_errors_total", "counter", "Errors that the device detected."},
    {"mimic_device_vfs", "gauge", "Virtual functions that are enabled, of a physical function."},
    {"mimic_device_faults", "gauge", "Injected faults that stand, by state."},
    {"mimic_device_faults_struck_total", "counter", "Strikes of injected faults."},

    {"mimic_fabric_accesses_total", "counter", "Accesses that the guest made through the fabric."},
    {"mimic_fabric_unsupported_requests_total", "counter", "Accesses that nobody answered."},
    {"mimic_fabric_messages_total", "counter", "Interrupt messages that left the fabric."},
    {"mimic_fabric_dropped_messages_total", "counter",
     "Interrupt messages on a path that is not open, or to no vector."},
    {"mimic_fabric_errors_total", "counter", "Error messages that reached a root port."},
    {"mimic_fabric_peer_to_peer_total", "counter", "DMA that stayed inside the fabric."},

    {"mimic_session_connections_total", "counter", "Connections of VMMs to the device."},
    {"mimic_session_messages_total", "counter", "Messages of the vfio-user protocol."},
    {"mimic_session_errors_total", "counter", "Messages that were answered with an error."},
    {"mimic_session_protocol_faults_total", "counter",
     "Connections that were closed because of what the peer sent."},

    {"mimic_trace_events_total", "counter", "Events that the loop has recorded."},
    {"mimic_trace_overwritten_total", "counter",
     "Events of the loop that newer ones overwrote, whether or not somebody had read them."},
    {"mimic_trace_buffer_bytes", "gauge", "Size of the loop's ring of events; 0 while it is off."},
    {"mimic_trace_dumps_total", "counter", "Files that were written when something went wrong."},

    {"vgpu_jobs_total", "counter", "Jobs that a mediator has done."},
    {"vgpu_errors_total", "counter", "Jobs of a mediator that failed."},
    {"vgpu_rejected_total", "counter",
     "Requests that a mediator did not take: rate, depth, quarantine, admission."},
    {"vgpu_context_switches_total", "counter",
     "Jobs of another VM than the one before on their backend."},
    {"vgpu_gpu_resets_total", "counter", "Processes of backends that were started again."},
    {"vgpu_vm_jobs_total", "counter", "Jobs of the VM that were done."},
    {"vgpu_vm_latency_p95_us", "gauge",
     "From arrival to answer, 95th percentile of all, an upper bound within a factor of 2."},
    {"vgpu_vm_latency_p99_us", "gauge", "The same, 99th percentile."},
    {"mimic_mediator_draining", "gauge", "Whether the mediator takes no new requests."},
    {"mimic_mediator_uptime_seconds", "gauge", "Time since the engine was made."},
    {"mimic_mediator_vm_requests_total", "counter", "Requests that came from the VM."},
    {"mimic_mediator_vm_errors_total", "counter", "Requests of the VM that failed."},
    {"mimic_mediator_vm_rejected_total", "counter",
     "Requests of the VM that were not taken, by reason."},
    {"mimic_mediator_vm_timeouts_total", "counter",
     "Jobs of the VM that were ended because they took too long."},
    {"mimic_mediator_vm_faults_total", "counter",
     "Faults of the VM: timeouts, dead backends, malformed messages."},
    {"mimic_mediator_vm_service_seconds_total", "counter", "Time on backends that the VM has had."},
    {"mimic_mediator_vm_latency_seconds", "histogram", "From arrival to answer, by VM and class."},
    {"mimic_mediator_vm_execution_seconds", "histogram", "On the backend, by VM and class."},
    {"mimic_mediator_vm_queue_depth", "gauge", "Requests of the VM that wait."},
    {"mimic_mediator_vm_running", "gauge", "Jobs of the VM on backends."},
    {"mimic_mediator_vm_connections", "gauge", "Connections of the VM."},
    {"mimic_mediator_vm_memory_bytes", "gauge", "Memory of the VM on backends."},
    {"mimic_mediator_vm_weight", "gauge", "Weight of the VM."},
    {"mimic_mediator_vm_quarantined", "gauge", "Whether the VM is kept out."},
    {"mimic_mediator_pool_queue_depth", "gauge", "Requests that wait in the pool."},
    {"mimic_mediator_pool_fairness", "gauge",
     "Jain's index of service over weight among VMs that wanted some in the last 10 s; 1 is fair."},
    {"mimic_mediator_pool_busy_seconds_total", "counter",
     "Time that the pool's backends have worked."},
    {"mimic_mediator_pool_switches_total", "counter", "Jobs of another VM than the one before."},
    {"mimic_mediator_backend_ready", "gauge",
     "Whether the backend's process is there and initialised."},
    {"mimic_mediator_backend_jobs_total", "counter", "Jobs that the backend has done."},
    {"mimic_mediator_backend_restarts_total", "counter",
     "Times that the backend's process was started again."},
    {"mimic_mediator_backend_memory_bytes", "gauge", "Memory of VMs on the backend."},
    {"mimic_mediator_backend_memory_limit_bytes", "gauge",
     "Memory that VMs may have on the backend."},
    {"mimic_mediator_sockets_open", "gauge", "Connections of VMs that are open."},
    {"mimic_mediator_sockets_held_bytes", "gauge",
     "Requests of VMs that wait, and answers that they have not read."},
    {"mimic_mediator_sockets_total", "counter",
     "What happened to connections of VMs and their messages, by kind."},
    {"mimic_mediator_audit_lines_total", "counter",
     "Lines of the audit log, by what became of them."},

    {"mimic_loops", "gauge", "Event loops of the process."},
    {"mimic_loops_busy", "gauge", "Event loops that did not answer this request."},

    {"mimic_control_requests_total", "counter", "Requests of the control API, by status."},
    {"mimic_control_events_total", "counter", "Events that were published while somebody read."},
    {"mimic_control_event_readers", "gauge", "Readers of the event stream."},
    {"mimic_control_event_readers_dropped_total", "counter",
     "Readers of the event stream that were cut off because they were slow."},

    {"process_cpu_seconds_total", "counter", "User and system CPU time."},
    {"process_start_time_seconds", "gauge", "Start of the process since the epoch."},
    {"process_resident_memory_bytes", "gauge", "Resident memory."},
    {"process_virtual_memory_bytes", "gauge", "Virtual memory."},
    {"process_open_fds", "gauge", "Open file descriptors."},
    {"process_max_fds", "gauge", "Limit of open file descriptors."},
};

constexpr size_t kMaxLine = 4096;      // of another process; arbitrary
constexpr size_t kMaxLines = 200'000;  // the same

std::optional<size_t> find_family(std::string_view name) {
    const auto* const found = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                           [&](const auto& family) { return family.name == name; });
    if (found == std::end(kFamilies)) return std::nullopt;
    return static_cast<size_t>(found - std::begin(kFamilies));
}

// The family of a sample that may be a part of a histogram.
std::optional<size_t> family_of_sample(std::string_view name) {
    if (const auto found = find_family(name)) {
        // A histogram has no sample of its very name.
        if (kFamilies[*found].type == "histogram") return std::nullopt;
        return found;
    }
    for (const std::string_view part : {"_bucket", "_sum", "_count"}) {
        if (!name.ends_with(part)) continue;
        const auto found = find_family(name.substr(0, name.size() - part.size()));
        if (found && kFamilies[*found].type == "histogram") return found;
    }
    return std::nullopt;
}

bool is_label_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
    });
}

std::string escaped(std::string_view value) {
    std::string text;
    for (const char c : value) {
        if (c == '\\' || c == '"') text += '\\';
        text += c == '\n' ? "\\n" : std::string(1, c);
    }
    return text;
}

std::string sample_line(std::string_view name, const MetricLabels& labels, std::string_view value) {
    std::string line(name);
    for (size_t i = 0; i < labels.size(); ++i)
        line += fmt::format("{}{}=\"{}\"", i == 0 ? "{" : ",", labels[i].first,
                            escaped(labels[i].second));
    if (!labels.empty()) line += '}';
    return line.append(" ").append(value).append("\n");
}

// Reads `{name="value",...}` off the front of `text`, or nothing where there is no brace.
bool take_labels(std::string_view& text, MetricLabels& labels) {
    if (!text.starts_with('{')) return true;
    text.remove_prefix(1);
    while (!text.starts_with('}')) {
        const size_t equals = text.find("=\"");
        if (equals == std::string_view::npos || !is_label_name(text.substr(0, equals)))
            return false;
        std::string name(text.substr(0, equals));
        std::string value;
        size_t at = equals + 2;
        for (; at < text.size() && text[at] != '"'; ++at) {
            if (text[at] == '\\') {
                if (++at == text.size()) return false;
                value += text[at] == 'n' ? '\n' : text[at];
            } else {
                value += text[at];
            }
        }
        if (at >= text.size()) return false;
        text.remove_prefix(at + 1);
        if (text.starts_with(',')) {
            text.remove_prefix(1);
        } else if (!text.starts_with('}')) {
            return false;
        }
        labels.emplace_back(std::move(name), std::move(value));
    }
    text.remove_prefix(1);
    return true;
}

bool is_number(std::string_view text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

bool has_label(const MetricLabels& labels, std::string_view name) {
    return std::any_of(labels.begin(), labels.end(),
                       [&](const auto& label) { return label.first == name; });
}

void add_missing(MetricLabels& labels, const MetricLabels& more) {
    for (const auto& label : more)
        if (!has_label(labels, label.first)) labels.push_back(label);
}

}  // namespace

std::span<const MetricFamily> metric_families() {
    return kFamilies;
}

void Metrics::add(std::string_view family, const MetricLabels& labels, uint64_t value) {
    const auto place = find_family(family);
    MIMIC_CHECK(place.has_value());
    for (const auto& label : labels) MIMIC_CHECK(is_label_name(label.first));
    samples_[*place] += sample_line(family, labels, std::to_string(value));
}

void Metrics::add_real(std::string_view family, const MetricLabels& labels, double value) {
    const auto place = find_family(family);
    MIMIC_CHECK(place.has_value());
    samples_[*place] += sample_line(family, labels, fmt::format("{}", value));
}

void Metrics::add_histogram(std::string_view family, const MetricLabels& labels,
                            std::span<const double> bounds, std::span<const uint64_t> counts,
                            double sum, uint64_t count) {
    const auto place = find_family(family);
    MIMIC_CHECK(place.has_value() && bounds.size() == counts.size());
    const std::string name(family);
    MetricLabels with = labels;
    with.emplace_back("le", "");
    for (size_t i = 0; i < bounds.size(); ++i) {
        with.back().second = fmt::format("{}", bounds[i]);
        samples_[*place] += sample_line(name + "_bucket", with, std::to_string(counts[i]));
    }
    with.back().second = "+Inf";
    samples_[*place] += sample_line(name + "_bucket", with, std::to_string(count));
    samples_[*place] += sample_line(name + "_sum", labels, fmt::format("{}", sum));
    samples_[*place] += sample_line(name + "_count", labels, std::to_string(count));
}

size_t Metrics::merge(std::string_view text, const MetricLabels& more,
                      const MetricLabels& unless_device) {
    size_t left_out = 0;
    for (size_t lines = 0; !text.empty() && lines < kMaxLines; ++lines) {
        const std::string_view whole = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(whole.size() + 1, text.size()));
        if (whole.empty() || whole.starts_with('#')) continue;
        std::string_view line = whole;
        const std::string_view name = line.substr(0, line.find_first_of(" {"));
        line.remove_prefix(name.size());
        const auto place = family_of_sample(name);
        MetricLabels labels;
        if (whole.size() > kMaxLine || !place || !take_labels(line, labels) ||
            !line.starts_with(' ') || !is_number(line.substr(1))) {
            ++left_out;
            continue;
        }
        add_missing(labels, more);
        if (!has_label(labels, "device")) add_missing(labels, unless_device);
        samples_[*place] += sample_line(name, labels, line.substr(1));
    }
    return left_out;
}

std::string Metrics::text() const {
    std::string text;
    for (const auto& [place, lines] : samples_) {
        const MetricFamily& family = kFamilies[place];
        text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", family.name, family.help,
                            family.type);
        text += lines;
    }
    return text;
}

}  // namespace mimic::service
