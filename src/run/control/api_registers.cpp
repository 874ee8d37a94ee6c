// SPDX-License-Identifier: Apache-2.0
// GET /v1/devices/{name}/registers: configuration space and BARs by name, without side effects. The
// loop of the device only copies what is stored; the names are added on the thread of the server.
#include <time.h>

#include <nlohmann/json.hpp>

#include "control/routes.h"
#include "pci/describe/function_registers.h"

namespace mimic::control {
namespace {

using Json = nlohmann::ordered_json;

// What a request wants to see.
struct View {
    bool config = true;
    bool bars = true;
    std::optional<unsigned> bar;
};

// What a device's loop copied.
struct Capture {
    std::string device;
    int64_t time_ns = 0;
    std::vector<uint8_t> config;
    std::vector<pci::BarRegisters> bars;
    std::vector<pci::RegisterMap> state;
};

int64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::string hex(uint64_t value) {
    return fmt::format("{:#x}", value);
}

const char* type_name(pci::BarType type) {
    switch (type) {
        case pci::BarType::kIo:
            return "io";
        case pci::BarType::kMemory64:
            return "memory64";
        default:
            return "memory32";
    }
}

Json registers_json(const std::vector<pci::DescribedRegister>& registers) {
    Json list = Json::array();
    for (const auto& one : registers) {
        Json fields = Json::array();
        for (const auto& field : one.fields) {
            fields.push_back({{"name", field.name},
                              {"hi", field.hi},
                              {"lo", field.lo},
                              {"value", hex(field.value)},
                              {"text", field.text.empty() ? Json() : Json(field.text)}});
        }
        list.push_back({{"name", one.name},
                        {"offset", hex(one.offset)},
                        {"width", one.width},
                        {"value", fmt::format("{:#0{}x}", one.value, one.width / 4 + 2)},
                        {"doc", one.doc},
                        {"fields", std::move(fields)}});
    }
    return list;
}

Json config_json(const std::vector<uint8_t>& bytes) {
    const auto described = pci::describe_config(bytes);
    Json sections = Json::array();
    for (const auto& one : described.sections) {
        sections.push_back({{"name", one.name},
                            {"id", one.id ? Json(hex(*one.id)) : Json()},
                            {"extended", one.extended},
                            {"offset", hex(one.offset)},
                            {"registers", registers_json(one.registers)}});
    }
    std::string text;
    text.reserve(2 * bytes.size());
    for (const uint8_t byte : bytes) fmt::format_to(std::back_inserter(text), "{:02x}", byte);
    return {{"size", bytes.size()},
            {"sections", std::move(sections)},
            {"problems", described.problems},
            {"hex", std::move(text)}};
}

Json maps_json(const std::vector<pci::RegisterMap>& maps) {
    Json list = Json::array();
    for (const auto& map : maps) {
        list.push_back({{"name", map.name},
                        {"offset", hex(map.offset)},
                        {"registers", registers_json(map.registers)}});
    }
    return list;
}

Json bars_json(const std::vector<pci::BarRegisters>& bars) {
    Json list = Json::array();
    for (const auto& bar : bars) {
        list.push_back({{"bar", bar.bar},
                        {"type", type_name(bar.type)},
                        {"prefetchable", bar.prefetchable},
                        {"size", bar.size},
                        {"address", bar.address ? Json(hex(*bar.address)) : Json()},
                        {"maps", maps_json(bar.maps)}});
    }
    return list;
}

service::ApiResult<View> wanted(const service::HttpRequest& request) {
    View view;
    if (const auto known = service::only_parameters(request, {"view", "bar"}); !known)
        return tl::unexpected<service::ApiError>(known.error());
    const auto name = service::parameter(request, "view").value_or("all");
    if (name != "all" && name != "config" && name != "bars")
        return service::bad_request(
            fmt::format("view \"{}\" is none of config, bars, all", service::shown(name)));
    const auto bar = service::number_parameter(request, "bar", pci::kBarCount - 1);
    if (!bar) return tl::unexpected<service::ApiError>(bar.error());
    if (*bar && name == "config") return service::bad_request("the view \"config\" has no BARs");
    view.config = name != "bars";
    view.bars = name != "config";
    if (*bar) view.bar = static_cast<unsigned>(**bar);
    return view;
}

service::HttpResponse capture(Target& target, const View& view, Capture& out) {
    pci::Function* const function = target.function();
    out.device = target.info().name;
    out.time_ns = monotonic_ns();
    if (function == nullptr) {
        if (view.config && view.bars) out.state = target.state();
        if (!out.state.empty()) return {};
        return service::refuse(
            {409, "not_possible", out.device + " has no configuration space and no BARs here", {}});
    }
    if (view.config) out.config = pci::config_bytes(*function);
    if (view.bars) out.bars = pci::bar_registers(*function, view.bar);
    if (view.bar && out.bars.empty()) {
        return service::refuse(
            {404, "unknown_bar", fmt::format("{} has no BAR {}", out.device, *view.bar), {}});
    }
    return {};
}

service::HttpResponse registers(Targets& targets, const std::string& name,
                                const service::HttpRequest& request) {
    const auto view = wanted(request);
    if (!view) return service::refuse(view.error());
    // Shared with a loop that may answer after this call has given up.
    const auto copy = std::make_shared<Capture>();
    service::HttpResponse response = targets.on(
        name, [copy, view = *view](Target& target) { return capture(target, view, *copy); });
    if (response.status != 200) return response;
    Json json{{"device", copy->device}, {"time_ns", copy->time_ns}};
    if (!copy->state.empty()) {
        json["state"] = maps_json(copy->state);
        return service::answer(json);
    }
    if (view->config) json["config"] = config_json(copy->config);
    if (view->bars) json["bars"] = bars_json(copy->bars);
    return service::answer(json);
}

}  // namespace

void add_register_routes(service::Router& router, Targets& targets) {
    router.add({"GET", "/v1/devices/{name}/registers"},
               [&targets](const service::HttpRequest& request, const service::PathNames& names) {
                   return registers(targets, names[0], request);
               });
}

}  // namespace mimic::control
