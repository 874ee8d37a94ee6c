// SPDX-License-Identifier: Apache-2.0
// GET /v1/pci-ids: ids in words. The database is read for each request: a scan of its 1.4 MB takes
// about a millisecond, readers keep what they were told, and an update of the package counts at
// once.
#include <charconv>
#include <nlohmann/json.hpp>

#include "gateway/gateway_routes.h"
#include "gateway/pci_ids.h"

namespace mimic::gateway {
namespace {

using service::ApiResult;
using service::HttpRequest;
using service::HttpResponse;
using service::PathNames;
using Json = nlohmann::ordered_json;

// `digits` lower-case or upper-case hexadecimal digits and nothing else.
std::optional<uint32_t> number_of(std::string_view text, size_t digits) {
    uint32_t value = 0;
    if (text.size() != digits) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value, 16);
    if (error != std::errc() || end != text.data() + digits) return std::nullopt;
    return value;
}

// Parameters of a query are bounded by kMaxHttpQuery, so that the names are, too.
ApiResult<PciNames> asked(const HttpRequest& request) {
    if (const auto known = service::only_parameters(request, {"id", "class"}, {"id", "class"});
        !known)
        return tl::unexpected(known.error());
    PciNames names;
    for (const auto& [key, value] : request.query) {
        if (key == "class") {
            const auto code = number_of(value, 6);
            if (!code)
                return service::bad_request(
                    fmt::format("\"{}\" is no class code: six hexadecimal digits, such as 120000",
                                service::shown(value)));
            names.classes[*code];
            continue;
        }
        const std::string_view text = value;
        const auto vendor = number_of(text.substr(0, std::min(text.find(':'), text.size())), 4);
        const auto device = vendor ? number_of(text.substr(std::min<size_t>(5, text.size())), 4)
                                   : std::nullopt;
        if (!device)
            return service::bad_request(fmt::format(
                "\"{}\" is no id: VENDOR:DEVICE in four hexadecimal digits each, such as 8086:28c0",
                service::shown(value)));
        names.ids[{static_cast<uint16_t>(*vendor), static_cast<uint16_t>(*device)}];
    }
    return names;
}

Json or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

HttpResponse answer_of(const Gateway& gateway, const HttpRequest& request) {
    auto names = asked(request);
    if (!names) return service::refuse(names.error());
    const auto file = read_pci_ids(gateway.pci_ids_files());
    if (file) look_up_pci_names(file->text, *names);
    Json ids = Json::array();
    for (const auto& [id, one] : names->ids)
        ids.push_back({{"id", fmt::format("{:04x}:{:04x}", id.vendor, id.device)},
                       {"vendor", or_null(one.vendor)},
                       {"device", or_null(one.device)}});
    Json classes = Json::array();
    for (const auto& [code, one] : names->classes)
        classes.push_back({{"class", fmt::format("{:06x}", code)},
                           {"base", or_null(one.base)},
                           {"sub", or_null(one.sub)},
                           {"interface", or_null(one.interface)}});
    return service::answer({{"file", file ? Json(file->path) : Json(nullptr)},
                            {"ids", std::move(ids)},
                            {"classes", std::move(classes)}});
}

}  // namespace

void add_pci_id_routes(service::Router& router, Gateway& gateway) {
    router.add({"GET", "/v1/pci-ids"}, [&gateway](const HttpRequest& request, const PathNames&) {
        return answer_of(gateway, request);
    });
}

}  // namespace mimic::gateway
