// SPDX-License-Identifier: Apache-2.0
#include "mediator/control/api.h"

#include <unistd.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "mediator/config/parse.h"
#include "mediator/control/mediator_metrics.h"
#include "mediator/control/on_loop.h"
#include "mediator/control/openapi.h"
#include "service/process_routes.h"

namespace mimic::mediator {
namespace {

using service::ApiError;
using service::ApiResult;
using service::HttpRequest;
using service::HttpResponse;
using service::PathNames;
using Json = nlohmann::ordered_json;

constexpr size_t kMaxReason = 200;  // bytes of why a VM is kept out
constexpr const char* kVmPath = "/v1/mediator/vms/{vm}";

ApiResult<VmId> vm_id(const std::string& name) {
    VmId id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (error == std::errc() && end == name.data() + name.size()) return id;
    return service::bad_request(service::shown(name) + " is no VM's number");
}

// What the engine says, as the API says it.
HttpResponse refuse_error(const Error& error) {
    if (error.code() == std::errc::no_such_file_or_directory)
        return service::refuse({404, "unknown_vm", error.message(), {}});
    if (error.code() == std::errc::invalid_argument)
        return service::refuse({400, "bad_request", error.message(), {}});
    return service::refuse({409, "refused", error.message(), {}});
}

HttpResponse unknown_vm(VmId vm) {
    return service::refuse({404, "unknown_vm", fmt::format("there is no VM {}", vm), {}});
}

ApiResult<std::optional<uint64_t>> uint_of(const Json& json, const char* key, uint64_t min,
                                           uint64_t max) {
    const auto found = json.find(key);
    if (found == json.end()) return std::optional<uint64_t>();
    if (found->is_number_unsigned() && *found >= min && *found <= max)
        return std::optional<uint64_t>(found->get<uint64_t>());
    return service::bad_request(fmt::format("{} is a number, {} to {}", key, min, max));
}

// What a PATCH of a VM asks for.
struct Change {
    std::optional<uint64_t> weight;
    Json limits;  // null: none
};

ApiResult<Change> read_change(const HttpRequest& request) {
    auto json = service::json_object(request);
    if (!json) return tl::unexpected(std::move(json).error());
    if (auto only = service::only_members(*json, {"weight", "limits"}); !only)
        return tl::unexpected(std::move(only).error());
    Change change;
    auto weight = uint_of(*json, "weight", 1, kMaxWeight);
    if (!weight) return tl::unexpected(std::move(weight).error());
    change.weight = *weight;
    if (const auto limits = json->find("limits"); limits != json->end()) {
        // What does not depend on what the limits are now is said before the loop is asked.
        if (auto merged = merge_limits(Limits{.rate = 1}, *limits); !merged)
            return tl::unexpected(std::move(merged).error());
        change.limits = *limits;
    }
    if (!change.weight && change.limits.is_null())
        return service::bad_request("a change has weight, limits, or both");
    return change;
}

}  // namespace

MediatorApi::MediatorApi(ApiParts parts) : parts_(std::move(parts)) {
    service::add_process_routes(router_, openapi_document());
    service::add_event_routes(router_, *parts_.process);
    add_process_operations();
    add_vm_routes();
}

void MediatorApi::add_process_operations() {
    router_.add({"GET", "/v1/mediator"}, [this](const Request&, const PathNames&) {
        return with_snapshot([this](const Snapshot& snapshot) {
            Json json = {{"name", parts_.process->machine},
                         {"pid", ::getpid()},
                         {"config_file", parts_.config_file}};
            json.update(status_json(snapshot));
            return service::answer(json);
        });
    });
    router_.add({"GET", "/v1/mediator/pools"}, [this](const Request&, const PathNames&) {
        return with_snapshot([](const Snapshot& snapshot) {
            Json pools = Json::array();
            for (const auto& pool : snapshot.status.pools) pools.push_back(pool_json(pool));
            return service::answer({{"pools", std::move(pools)}});
        });
    });
    router_.add({"POST", "/v1/mediator/reload"},
                [this](const Request&, const PathNames&) { return reload(); });
    router_.add({"PUT", "/v1/mediator/drain"},
                [this](const Request& request, const PathNames&) { return drain(request); });
    router_.add({"GET", "/metrics"}, [this](const Request&, const PathNames&) {
        return with_snapshot([this](const Snapshot& snapshot) {
            service::Metrics metrics;
            service::add_control_metrics(metrics, *parts_.process);
            add_mediator_metrics(metrics, snapshot);
            return service::metrics_answer(metrics);
        });
    });
}

void MediatorApi::add_vm_routes() {
    router_.add({"GET", "/v1/mediator/vms"}, [this](const Request&, const PathNames&) {
        return with_snapshot([](const Snapshot& snapshot) {
            Json vms = Json::array();
            for (const auto& vm : snapshot.status.vms) vms.push_back(vm_json(vm));
            return service::answer({{"vms", std::move(vms)}});
        });
    });
    router_.add({"GET", kVmPath}, [this](const Request&, const PathNames& names) {
        const auto vm = vm_id(names[0]);
        if (!vm) return service::refuse(vm.error());
        return on_loop_or_busy([this, id = *vm] { return vm_now(id); });
    });
    router_.add({"PATCH", kVmPath}, [this](const Request& request, const PathNames& names) {
        return change_vm(names[0], request);
    });
    router_.add({"PUT", "/v1/mediator/vms/{vm}/quarantine"},
                [this](const Request& request, const PathNames& names) {
                    return quarantine(names[0], request);
                });
    router_.add({"DELETE", "/v1/mediator/vms/{vm}/quarantine"},
                [this](const Request&, const PathNames& names) {
                    const auto vm = vm_id(names[0]);
                    if (!vm) return service::refuse(vm.error());
                    return on_loop_or_busy([this, id = *vm] {
                        if (const auto done = parts_.engine->release(id); !done)
                            return refuse_error(done.error());
                        return vm_now(id);
                    });
                });
}

MediatorApi::Answer MediatorApi::on_loop_or_busy(std::function<Answer()> work) const {
    auto answer = on_loop<Answer>(*parts_.loop, std::move(work), parts_.deadline);
    if (answer) return std::move(*answer);
    return service::refuse({503, "busy", "the mediator's loop does not answer in time", {}});
}

MediatorApi::Answer MediatorApi::with_snapshot(
    const std::function<Answer(const Snapshot&)>& make) const {
    const auto snapshot = on_loop<Snapshot>(
        *parts_.loop, [this] { return take_snapshot(); }, parts_.deadline);
    if (snapshot) return make(*snapshot);
    return service::refuse({503, "busy", "the mediator's loop does not answer in time", {}});
}

Snapshot MediatorApi::take_snapshot() const {
    return {.status = parts_.engine->status(),
            .config = parts_.engine->config(),
            .sockets = parts_.sockets ? parts_.sockets() : ServerCounters(),
            .audit = parts_.audit->counters(),
            .drained = parts_.drained && parts_.drained()};
}

MediatorApi::Answer MediatorApi::vm_now(VmId vm) const {
    const auto status = parts_.engine->vm_status(vm);
    return status ? service::answer(vm_json(*status)) : unknown_vm(vm);
}

MediatorApi::Answer MediatorApi::change_vm(const std::string& name, const Request& request) {
    const auto vm = vm_id(name);
    if (!vm) return service::refuse(vm.error());
    const auto change = read_change(request);
    if (!change) return service::refuse(change.error());
    return on_loop_or_busy([this, id = *vm, change = *change] {
        const auto status = parts_.engine->vm_status(id);
        if (!status) return unknown_vm(id);
        // Both or none: limits are checked first.
        Limits limits = status->limits;
        if (!change.limits.is_null()) {
            const auto merged = merge_limits(limits, change.limits);
            if (!merged) return service::refuse(merged.error());
            limits = *merged;
            if (const auto done = parts_.engine->set_limits(id, limits); !done)
                return refuse_error(done.error());
        }
        if (change.weight) {
            const auto weight = static_cast<uint32_t>(*change.weight);
            if (const auto done = parts_.engine->set_weight(id, weight); !done)
                return refuse_error(done.error());
        }
        return vm_now(id);
    });
}

MediatorApi::Answer MediatorApi::quarantine(const std::string& name, const Request& request) {
    const auto vm = vm_id(name);
    if (!vm) return service::refuse(vm.error());
    auto json = service::json_object(request);
    if (!json) return service::refuse(json.error());
    if (const auto only = service::only_members(*json, {"reason", "release_in_s"}); !only)
        return service::refuse(only.error());
    std::string reason = "by hand";
    if (const auto given = json->find("reason"); given != json->end()) {
        if (!given->is_string() || given->get_ref<const std::string&>().size() > kMaxReason)
            return service::refuse(
                {400, "bad_request",
                 fmt::format("reason is a text of at most {} bytes", kMaxReason)});
        reason = given->get<std::string>();
    }
    const auto longest = std::chrono::duration_cast<std::chrono::seconds>(kLongestSetting).count();
    const auto release = uint_of(*json, "release_in_s", 0, static_cast<uint64_t>(longest));
    if (!release) return service::refuse(release.error());
    const auto after = std::chrono::seconds(release->value_or(0));
    return on_loop_or_busy([this, id = *vm, reason, after] {
        if (const auto done = parts_.engine->quarantine(id, reason, after); !done)
            return refuse_error(done.error());
        return vm_now(id);
    });
}

MediatorApi::Answer MediatorApi::reload() {
    if (!parts_.read_config || parts_.config_file.empty())
        return service::refuse(
            {409, "no_config_file", "this mediator was started without --config", {}});
    auto config = parts_.read_config();
    if (!config) return service::refuse({422, "bad_config", config.error().message(), {}});
    return on_loop_or_busy([this, config = *config]() -> Answer {
        if (const auto done = parts_.apply(config); !done)
            return service::refuse({409, "not_applied", done.error().message(), {}});
        return service::answer({{"reloaded", parts_.config_file}});
    });
}

MediatorApi::Answer MediatorApi::drain(const Request& request) {
    auto json = service::json_object(request);
    if (!json) return service::refuse(json.error());
    if (const auto only = service::only_members(*json, {"on"}); !only)
        return service::refuse(only.error());
    const auto on = json->find("on");
    if (on == json->end() || !on->is_boolean())
        return service::refuse({400, "bad_request", "on is true or false", {}});
    return on_loop_or_busy([this, on = on->get<bool>()] {
        parts_.drain(on);
        return service::answer({{"draining", on}, {"drained", parts_.drained()}});
    });
}

Result<std::unique_ptr<MediatorControl>> MediatorControl::create(const std::string& socket_path,
                                                                 ApiParts parts) {
    auto* const counters = &parts.process->requests;
    std::unique_ptr<MediatorControl> control(new MediatorControl(std::move(parts)));
    MIMIC_ASSIGN_OR_RETURN(
        control->http_,
        service::HttpServer::create(
            socket_path,
            {.handler = [api = &control->api_](
                            const HttpRequest& request) { return api->handle(request); },
             .refuse =
                 [](int status, const char* code, const char* sentence) {
                     return service::refuse({status, code, sentence});
                 },
             .counters = counters}));
    return control;
}

}  // namespace mimic::mediator
