// SPDX-License-Identifier: Apache-2.0
// The arguments of a backend's process.
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "mediator/backend/worker.h"

namespace mimic::mediator::backend {
namespace {

template <class... Ts>
struct Cases : Ts... {
    using Ts::operator()...;
};
template <class... Ts>
Cases(Ts...) -> Cases<Ts...>;

template <typename T>
Status parse_number(const std::string& text, T& value, T least, T most) {
    T parsed{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
    if (error != std::errc{} || end != text.data() + text.size() || !(parsed >= least) ||
        !(parsed <= most)) {
        return fail(std::errc::invalid_argument, "\"{}\" is no number from {} to {}", text, least,
                    most);
    }
    value = parsed;
    return {};
}

constexpr uint32_t kMaxThreads = 1024;
constexpr uint64_t kMaxPatienceMs = 24ull * 3600 * 1000;

Status parse_kind(const std::string& word, BackendConfig& config) {
    if (word == "cpu") {
        config.kind = CpuBackend{};
    } else if (word == "cuda") {
        config.kind = CudaBackend{};
    } else if (word == "sim") {
        config.kind = SimBackend{};
    } else {
        return fail(std::errc::invalid_argument, "there is no backend \"{}\": cpu, cuda, sim",
                    word);
    }
    return {};
}

Status parse_of_kind(const std::string& key, const std::string& value, BackendConfig& config) {
    if (auto* cpu = std::get_if<CpuBackend>(&config.kind); cpu != nullptr && key == "--threads") {
        return parse_number(value, cpu->threads, 1u, kMaxThreads);
    }
    if (auto* cuda = std::get_if<CudaBackend>(&config.kind); cuda != nullptr && key == "--device") {
        return parse_number(value, cuda->device, 0u, 1023u);
    }
    if (auto* sim = std::get_if<SimBackend>(&config.kind); sim != nullptr) {
        if (key == "--model") {
            sim->model = value;
            return {};
        }
        if (key == "--scale") return parse_number(value, sim->scale, 0.0, 1e9);
        if (key == "--parameter") {
            const size_t equals = value.find('=');
            if (equals == std::string::npos || equals == 0) {
                return fail(std::errc::invalid_argument, "\"{}\" is no KEY=VALUE", value);
            }
            sim->parameters[value.substr(0, equals)] = value.substr(equals + 1);
            return {};
        }
    }
    return fail(std::errc::invalid_argument, "unknown, or of another kind");
}

Status parse_argument(const std::string& key, const std::string& value, WorkerOptions& options) {
    if (key == "--kind") return parse_kind(value, options.config);
    if (key == "--name") {
        options.config.name = value;
        return {};
    }
    if (key == "--socket") {
        options.socket = value;
        return {};
    }
    if (key == "--memory") {
        return parse_number(value, options.config.memory_bytes, uint64_t{1},
                            std::numeric_limits<uint64_t>::max());
    }
    if (key == "--patience-ms") {
        uint64_t ms = 0;
        MIMIC_TRY(parse_number(value, ms, uint64_t{0}, kMaxPatienceMs));
        options.patience = std::chrono::milliseconds(ms);
        return {};
    }
    return parse_of_kind(key, value, options.config);
}

}  // namespace

std::vector<std::string> worker_arguments(const WorkerOptions& options) {
    std::vector<std::string> words = {"--name", options.config.name, "--socket", options.socket};
    words.insert(words.end(), {"--memory", fmt::format("{}", options.config.memory_bytes)});
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(options.patience)
                              .count();
    words.insert(words.end(), {"--patience-ms", fmt::format("{}", patience)});
    std::visit(
        Cases{[&](const CpuBackend& cpu) {
                  words.insert(words.end(),
                               {"--kind", "cpu", "--threads", fmt::format("{}", cpu.threads)});
              },
              [&](const CudaBackend& cuda) {
                  words.insert(words.end(),
                               {"--kind", "cuda", "--device", fmt::format("{}", cuda.device)});
              },
              [&](const SimBackend& sim) {
                  words.insert(words.end(), {"--kind", "sim", "--model", sim.model, "--scale",
                                             fmt::format("{}", sim.scale)});
                  for (const auto& [key, value] : sim.parameters) {
                      words.insert(words.end(), {"--parameter", fmt::format("{}={}", key, value)});
                  }
              }},
        options.config.kind);
    return words;
}

Result<WorkerOptions> parse_worker(const std::vector<std::string>& arguments) {
    WorkerOptions options;
    for (size_t i = 0; i < arguments.size(); i += 2) {
        const std::string& key = arguments[i];
        if (i + 1 == arguments.size()) {
            return fail(std::errc::invalid_argument, "{}: its value is missing", key);
        }
        if (auto parsed = parse_argument(key, arguments[i + 1], options); !parsed) {
            return tl::unexpected<Error>(std::move(parsed).error().with_context(key));
        }
    }
    if (options.socket.empty()) return fail(std::errc::invalid_argument, "--socket is missing");
    if (options.config.name.empty()) return fail(std::errc::invalid_argument, "--name is missing");
    return options;
}

}  // namespace mimic::mediator::backend
