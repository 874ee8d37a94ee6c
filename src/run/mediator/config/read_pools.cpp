// SPDX-License-Identifier: Apache-2.0
// `pools:` of a file, and pools of a command line.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "mediator/config/keys.h"
#include "mediator/config/parse.h"
#include "mediator/config/reader.h"

namespace mimic::mediator {
namespace {

constexpr uint32_t kMaxThreads = 1024;
constexpr uint32_t kMaxCudaDevice = 255;
constexpr size_t kMaxParameters = 64;
constexpr uint64_t kLeastMemory = uint64_t{1} << 20;

bool is_backend_name(std::string_view name) {
    return !name.empty() && name.size() <= kMaxBackendName && name.front() != '-' &&
           std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
           });
}

void refuse_others(const yaml::Fields& fields, size_t kind) {
    const yaml::Words own = kind == 0   ? yaml::Words(kCpuKeys)
                            : kind == 1 ? yaml::Words(kCudaKeys)
                                        : yaml::Words(kSimKeys);
    for (const yaml::Words keys :
         {yaml::Words(kCpuKeys), yaml::Words(kCudaKeys), yaml::Words(kSimKeys)}) {
        if (keys.data() == own.data()) continue;
        for (const auto key : keys)
            if (fields.find(key) != nullptr)
                fields.problem(fields.where(key),
                               fmt::format("{} of a backend of kind {}; expected {}", key,
                                           kBackendKinds[kind], yaml::join_or(own)));
    }
}

void read_sim(const yaml::Fields& fields, SimBackend& sim) {
    if (const auto model = fields.text("model", "the name of a latency model")) sim.model = *model;
    if (const auto scale = real(fields, "scale", 0, 1e9)) sim.scale = *scale;
    const yaml::YamlNode* const parameters = fields.find("parameters");
    if (parameters == nullptr) return;
    if (parameters->kind != yaml::YamlNode::Kind::kMap ||
        parameters->entries.size() > kMaxParameters) {
        fields.problem(parameters->where,
                       fmt::format("{} as 'parameters'; expected a mapping with at most {} keys",
                                   parameters->describe(), kMaxParameters));
        return;
    }
    for (const auto& entry : parameters->entries) {
        if (entry.value->kind == yaml::YamlNode::Kind::kScalar)
            sim.parameters[entry.key] = entry.value->text;
        else
            fields.problem(entry.value->where,
                           fmt::format("{} as a parameter; expected a number or a word",
                                       entry.value->describe()));
    }
}

BackendConfig read_backend(const yaml::YamlPtr& node, yaml::Diagnostics& diagnostics) {
    const yaml::Fields fields(node, "backend", kBackendKeys, diagnostics);
    BackendConfig backend;
    if (const auto name = fields.text("name", "a name")) {
        backend.name = *name;
        if (!is_backend_name(*name))
            fields.problem(fields.where("name"),
                           fmt::format("{} is no name of a backend; expected 1 to {} letters, "
                                       "digits, '-' or '_'",
                                       fields.find("name")->describe(), kMaxBackendName));
    }
    fields.require("kind", yaml::join_or(kBackendKinds));
    if (const auto memory = fields.size("memory_bytes", {kLeastMemory, kMostMemory}))
        backend.memory_bytes = *memory;
    const auto kind = fields.choice("kind", kBackendKinds);
    if (!kind) return backend;
    refuse_others(fields, *kind);
    if (*kind == 0) {
        CpuBackend cpu;
        take_number(fields, "threads", {1, kMaxThreads}, cpu.threads);
        backend.kind = cpu;
    } else if (*kind == 1) {
        CudaBackend cuda;
        take_number(fields, "device", {0, kMaxCudaDevice}, cuda.device);
        backend.kind = cuda;
    } else {
        SimBackend sim;
        read_sim(fields, sim);
        backend.kind = sim;
    }
    return backend;
}

PoolConfig read_pool(const yaml::YamlPtr& node, std::set<std::string>& names,
                     yaml::Diagnostics& diagnostics) {
    const yaml::Fields fields(node, "pool", kPoolKeys, diagnostics);
    PoolConfig pool;
    fields.require("id", "a letter, A to Z");
    fields.require("backends", "a list of backends");
    if (const auto letter = pool_letter(fields, "id")) pool.id = *letter;
    const yaml::YamlNode* const list = fields.list("backends", "a list of backends");
    if (list == nullptr) return pool;
    if (list->items.empty() || list->items.size() > kMaxBackends)
        fields.problem(list->where, fmt::format("{} backends; expected 1 to {}", list->items.size(),
                                                kMaxBackends));
    for (size_t i = 0; i < std::min(list->items.size(), kMaxBackends); ++i) {
        auto backend = read_backend(list->items[i], diagnostics);
        if (backend.name.empty()) backend.name = fmt::format("{}{}", pool.id, i);
        if (!names.insert(backend.name).second)
            fields.problem(list->items[i]->where,
                           fmt::format("a second backend called {}; expected names that differ",
                                       backend.name.substr(0, kMaxBackendName)));
        pool.backends.push_back(std::move(backend));
    }
    return pool;
}

Result<BackendConfig> parse_backend(std::string_view text) {
    const size_t colon = text.find(':');
    const std::string_view kind = text.substr(0, colon);
    const std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
    const auto number = yaml::parse_number(rest);
    const bool none = colon == std::string_view::npos;
    BackendConfig backend;
    if (kind == "cpu" && (none || (number && *number >= 1 && *number <= kMaxThreads))) {
        backend.kind = CpuBackend{none ? 1 : static_cast<uint32_t>(*number)};
    } else if (kind == "cuda" && (none || (number && *number <= kMaxCudaDevice))) {
        backend.kind = CudaBackend{none ? 0 : static_cast<uint32_t>(*number)};
    } else if (kind == "sim" && (none || !rest.empty())) {
        SimBackend sim;
        if (!none) sim.model = std::string(rest);
        backend.kind = sim;
    } else {
        return fail(std::errc::invalid_argument,
                    "'{}' is no backend; expected cpu[:THREADS], cuda[:DEVICE] or sim[:MODEL]",
                    text.substr(0, kMaxBackendName));
    }
    return backend;
}

}  // namespace

void read_pools(const yaml::YamlNode& list, Config& config, yaml::Diagnostics& diagnostics) {
    std::set<std::string> names;
    std::set<char> letters;
    for (const auto& item : list.items) {
        auto pool = read_pool(item, names, diagnostics);
        if (!letters.insert(pool.id).second)
            diagnostics.add(item->where, fmt::format("a second pool {}; expected letters that "
                                                     "differ",
                                                     pool.id));
        else
            config.pools.push_back(std::move(pool));
    }
    if (list.items.empty()) diagnostics.add(list.where, "no pool; expected at least one");
}

Result<PoolConfig> parse_pool(std::string_view text) {
    if (text.size() < 3 || text[1] != '=' || text[0] < 'A' || text[0] > 'Z')
        return fail(std::errc::invalid_argument,
                    "'{}' is no pool; expected a letter and its backends such as A=cpu:2,cuda",
                    text.substr(0, kMaxBackendName));
    PoolConfig pool;
    pool.id = text[0];
    text.remove_prefix(2);
    for (bool more = true; more;) {
        const size_t comma = text.find(',');
        more = comma != std::string_view::npos;
        MIMIC_ASSIGN_OR_RETURN(auto backend, parse_backend(text.substr(0, comma)));
        pool.backends.push_back(std::move(backend));
        if (pool.backends.size() > kMaxBackends)
            return fail(std::errc::invalid_argument, "pool {} has more than {} backends", pool.id,
                        kMaxBackends);
        if (more) text.remove_prefix(comma + 1);
    }
    return pool;
}

void name_backends(Config& config) {
    for (auto& pool : config.pools)
        for (size_t i = 0; i < pool.backends.size(); ++i)
            if (pool.backends[i].name.empty())
                pool.backends[i].name = fmt::format("{}{}", pool.id, i);
}

}  // namespace mimic::mediator
